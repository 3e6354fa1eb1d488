/**
 * An app for tests that need several processes: does what its parent tells it over its standard input, one JSON line
 * a call, and answers on its standard output.
 *
 * @module
 */
import { type Client, connect, join, type Region, serve, type Server, WritableRegion } from "../../mod.ts";
import type { LockGuard } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

type Parameters = Record<string, unknown>;

let server: Server | undefined;
let client: Client | undefined;
const regions = new Map<string, Region>();
const guards = new Map<string, LockGuard>();
const iterators = new Map<
  string,
  AsyncIterator<{ revision: number; generation: number; replaced: boolean }>
>();

function broker(parameters: Parameters): { service: string; embedded: boolean } {
  return { service: String(parameters["broker"]), embedded: parameters["embedded"] !== false };
}

function region(parameters: Parameters): Region {
  const name = String(parameters["region"]);
  const found = regions.get(name) ?? server?.region(name);
  if (found === undefined) throw new Error(`no region ${name}`);
  return found;
}

function writable(parameters: Parameters): WritableRegion {
  const found = region(parameters);
  if (!(found instanceof WritableRegion)) throw new Error(`${found.name} is not open for writing`);
  return found;
}

function signalOf(parameters: Parameters): { signal?: AbortSignal } {
  const { timeout } = parameters;
  return typeof timeout === "number" ? { signal: AbortSignal.timeout(timeout) } : {};
}

const calls: Calls = {
  async serve(p) {
    server = await serve(String(p["name"]), {
      regions: p["regions"] as Record<string, { byteLength: number; clients?: "read" | "write" }>,
      broker: broker(p),
      policy: p["policy"] as "reject" | "replace" | undefined,
      schema: p["schema"] as string | undefined,
      ...signalOf(p),
    });
  },
  async connect(p) {
    client = await connect(String(p["name"]), {
      broker: broker(p),
      schema: p["schema"] as string | undefined,
      ...signalOf(p),
    });
    return client.pid;
  },
  async join(p) {
    const joined = await join(String(p["name"]), {
      regions: p["regions"] as Record<string, { byteLength: number }>,
      broker: broker(p),
      ...signalOf(p),
    });
    if (joined.role === "server") server = joined;
    else client = joined;
    return { role: joined.role, pid: joined.role === "client" ? joined.pid : Deno.pid };
  },
  async leave() {
    await client?.close();
    await server?.close();
    client = server = undefined;
    regions.clear();
    iterators.clear();
  },
  async open(p) {
    const name = String(p["region"]);
    const options = signalOf(p);
    const opened = p["write"] === true
      ? await client!.open(name, { write: true, ...options })
      : await client!.open(name, options);
    regions.set(name, opened);
    return { byteLength: opened.byteLength, generation: opened.generation, clients: opened.clients };
  },
  async openAll(p) {
    const begin = performance.now();
    const names = p["regions"] as string[];
    const opened = await Promise.all(names.map((name) => client!.open(name)));
    const milliseconds = performance.now() - begin;
    for (const one of opened) regions.set(one.name, one);
    return milliseconds;
  },
  async closeRegion(p) {
    await region(p).close();
  },
  fill: (p) => void writable(p).view(Uint8Array).fill(Number(p["value"])),
  commit: (p) => writable(p).commit(),
  /** Commits without a pause for so many milliseconds. */
  commitFor(p) {
    const end = performance.now() + Number(p["milliseconds"]);
    while (performance.now() < end) writable(p).commit();
  },
  revision: (p) => region(p).revision,
  orphaned: (p) => region(p).orphaned,
  sum: (p) => sum(region(p)),
  async lock(p) {
    const options = typeof p["timeout"] === "number" ? { timeout: p["timeout"] } : {};
    const guard = await region(p).mutex.lock(options);
    guards.set(region(p).name, guard);
    return guard.abandoned;
  },
  lockSync(p) {
    const options = typeof p["timeout"] === "number" ? { timeout: p["timeout"] } : {};
    const guard = region(p).mutex.lockSync(options);
    guards.set(region(p).name, guard);
    return guard.abandoned;
  },
  tryLock(p) {
    const guard = region(p).mutex.tryLock();
    if (guard !== undefined) guards.set(region(p).name, guard);
    return guard !== undefined;
  },
  unlock: (p) => guards.get(region(p).name)?.unlock(),
  async change(p) {
    const key = `${region(p).name}`;
    let iterator = iterators.get(key);
    if (iterator === undefined) iterators.set(key, iterator = region(p).changes());
    const { value, done } = await iterator.next();
    return done === true ? null : value;
  },
  waitSync(p) {
    return region(p).waitSync(Number(p["after"]), { timeout: Number(p["timeout"] ?? 10_000) });
  },
  async closed() {
    const error = await (server?.closed ?? client?.closed);
    return error === undefined ? null : error.name;
  },
  clients: () => server!.clients,
  async replace(p) {
    await server!.replace(String(p["region"]), { byteLength: Number(p["byteLength"]) });
  },
  resident: () => Deno.memoryUsage().rss,
  /** Writes through a cast into memory that is read-only: the kernel is expected to end this process. */
  vandalise: (p) => void (view(region(p)) as Uint8Array).fill(0xff),
};

function view(from: Region): ArrayLike<number> {
  return (from as WritableRegion).view(Uint8Array);
}

/** The sum of all bytes, and how many there are. */
function sum(from: Region): { total: number; length: number } {
  const bytes = view(from);
  let total = 0;
  for (let index = 0; index < bytes.length; index++) total += bytes[index] ?? 0;
  return { total, length: bytes.length };
}

await answer(calls);
await client?.close();
await server?.close();
