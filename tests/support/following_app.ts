/**
 * An app that follows a service over restarts: a peer, a server that adopts, or a client. Whoever serves counts in the
 * region "counter"; everybody follows it and notes whether the count ever went back.
 *
 * @module
 */
import {
  type Client,
  connect,
  type Following,
  join,
  type LockGuard,
  type Peer,
  type ReadableRegion,
  serve,
  type Server,
  WritableRegion,
} from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

type Parameters = Record<string, unknown>;
type Regions = Record<string, { byteLength: number; clients?: "read" | "write" }>;

let server: Server | undefined;
let client: Client | undefined;
let peer: Peer | undefined;
let following: Following<ReadableRegion> | undefined;
let guard: LockGuard | undefined;
const events: string[] = [];
const open = new Map<string, ReadableRegion | WritableRegion>();

/** What the follower has seen. */
const seen = { count: 0, wentBack: false, generations: [] as number[], error: null as string | null };
let progress = Promise.withResolvers<void>();

/** Tells those who wait for something in this process to look again. */
function tell(): void {
  progress.resolve();
  progress = Promise.withResolvers();
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await progress.promise;
}

function note(event: string): void {
  events.push(event);
  tell();
}

function noteClient(of: Client): void {
  of.addEventListener("connect", ({ pid }) => note(`connect ${pid}`));
  of.addEventListener("disconnect", ({ error }) => note(`disconnect ${error.name}`));
}

function notePeer(of: Peer): void {
  of.addEventListener("connect", ({ pid }) => note(`connect ${pid}`));
  of.addEventListener("disconnect", ({ error }) => note(`disconnect ${error.name}`));
  of.addEventListener("rolechange", ({ role }) => note(`rolechange ${role}`));
}

function broker(p: Parameters): { service: string } {
  return { service: String(p["broker"]) };
}

function countOf(region: ReadableRegion | WritableRegion): number {
  return region.view(Uint32Array)[0]!;
}

function servedRegion(p: Parameters): WritableRegion {
  const name = String(p["region"] ?? "counter");
  return (server ?? peer!).region(name);
}

function opened(p: Parameters): ReadableRegion | WritableRegion {
  return open.get(String(p["region"] ?? "counter"))!;
}

const calls: Calls = {
  async join(p) {
    peer = await join(String(p["name"]), {
      regions: p["regions"] as Regions,
      broker: broker(p),
      takeOver: true,
    });
    notePeer(peer);
    return peer.role;
  },
  async serve(p) {
    const { adopt } = p;
    server = await serve(String(p["name"]), {
      regions: p["regions"] as Regions,
      broker: broker(p),
      adopt: adopt as boolean | undefined,
    });
    return Object.fromEntries(server.adopted);
  },
  async connect(p) {
    client = await connect(String(p["name"]), { broker: broker(p) });
    noteClient(client);
    return client.pid;
  },
  /** Adds a region, as the server. */
  async add(p) {
    await server!.add(String(p["region"]), { byteLength: Number(p["byteLength"]) });
  },
  state() {
    const { role, pid, connected, clients, taken } = peer!;
    return { role, pid, connected, clients, taken: Object.fromEntries(taken) };
  },
  /** Waits until there is a server, and tells who. */
  async serverPid(p) {
    const not = Number(p["not"] ?? 0);
    await until(() => (peer ?? client)!.connected && (peer ?? client)!.pid !== not);
    return (peer ?? client)!.pid;
  },
  /** Counts on, as the server: gives the last count. */
  count(p) {
    const region = servedRegion(p);
    const view = region.view(Uint32Array);
    for (let times = Number(p["times"] ?? 1); times > 0; times--) {
      view[0]! += 1;
      region.commit();
    }
    return view[0];
  },
  served(p) {
    const region = servedRegion(p);
    return { count: countOf(region), generation: region.generation, revision: region.revision };
  },
  /** Follows the counter in the background. */
  follow(p) {
    following = (peer ?? client)!.follow(String(p["region"] ?? "counter"));
    const run = async (): Promise<void> => {
      for await (const region of following!) {
        const count = countOf(region);
        if (count < seen.count) seen.wentBack = true;
        seen.count = count;
        if (seen.generations.at(-1) !== region.generation) seen.generations.push(region.generation);
        tell();
      }
    };
    void run().catch((error) => {
      seen.error = String(error);
      tell();
    });
  },
  async sees(p) {
    await until(() => seen.count >= Number(p["count"]) || seen.error !== null);
    return seen;
  },
  seen: () => seen,
  events: () => events,
  async open(p) {
    const name = String(p["region"] ?? "counter");
    const region = p["write"] === true
      ? await (peer ?? client)!.open(name, { write: true })
      : await (peer ?? client)!.open(name);
    open.set(name, region);
    return { generation: region.generation, revision: region.revision, count: countOf(region) };
  },
  opened(p) {
    const region = opened(p);
    return { orphaned: region.orphaned, count: countOf(region) };
  },
  async write(p) {
    const region = opened(p) as WritableRegion;
    region.view(Uint32Array)[0] = Number(p["count"]);
    if (p["commit"] !== false) region.commit();
    await Promise.resolve();
  },
  async lock(p) {
    guard = await opened(p).mutex.lock({ timeout: 10_000 });
    return guard.abandoned;
  },
  async lockServed(p) {
    guard = await servedRegion(p).mutex.lock({ timeout: 10_000 });
    return guard.abandoned;
  },
  unlock: () => guard?.unlock(),
  async closeRegion(p) {
    await opened(p).close();
  },
  async leave() {
    await following?.return();
    await peer?.close();
    await client?.close();
    await server?.close();
  },
};

await answer(calls);
await following?.return();
await peer?.close();
await client?.close();
await server?.close();
