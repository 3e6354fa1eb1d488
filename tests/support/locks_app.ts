/**
 * An app for tests of locks: as `app.ts`, and does what its parent tells it.
 *
 * @module
 */
import {
  type AnyLock,
  type Client,
  connect,
  type LockGuard,
  type LockSpec,
  MutexLock,
  type Region,
  type RegionAfter,
  RwLock,
  Semaphore,
  serve,
  type Server,
  type Waitable,
  waitAny,
  waitAnySync,
  type WritableRegion,
} from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

type Parameters = Record<string, unknown>;

let server: Server | undefined;
let client: Client | undefined;
const locks = new Map<string, AnyLock>();
const regions = new Map<string, Region>();
const guards = new Map<string, LockGuard[]>();

async function lockOf(p: Parameters): Promise<AnyLock> {
  const name = String(p["lock"]);
  const known = locks.get(name);
  if (known !== undefined) return known;
  const lock = server?.lock(name) ?? await client!.lock(name);
  locks.set(name, lock);
  return lock;
}

async function regionOf(name: string): Promise<Region> {
  const known = regions.get(name);
  if (known !== undefined) return known;
  const region = server?.region(name) ?? await client!.open(name, { write: true });
  regions.set(name, region);
  return region;
}

function optionsOf(p: Parameters): { timeout?: number; spin?: number } {
  const options: { timeout?: number; spin?: number } = {};
  if (typeof p["timeout"] === "number") options.timeout = p["timeout"];
  if (typeof p["spin"] === "number") options.spin = p["spin"];
  return options;
}

/** Takes a lock in the way that its kind has; `true` for what nobody holds. */
async function take(lock: AnyLock, p: Parameters): Promise<LockGuard | true> {
  const options = optionsOf(p);
  const write = p["mode"] === "write";
  const sync = p["sync"] === true;
  if (lock instanceof MutexLock) return sync ? lock.lockSync(options) : await lock.lock(options);
  if (lock instanceof Semaphore) return sync ? lock.acquireSync(options) : await lock.acquire(options);
  if (lock instanceof RwLock) {
    if (write) return sync ? lock.writeSync(options) : await lock.write(options);
    return sync ? lock.readSync(options) : await lock.read(options);
  }
  if (sync) lock.waitSync(options);
  else await lock.wait(options);
  return true;
}

function tryTake(lock: AnyLock, p: Parameters): LockGuard | boolean | undefined {
  if (lock instanceof MutexLock) return lock.tryLock();
  if (lock instanceof Semaphore) return lock.tryAcquire();
  if (lock instanceof RwLock) return p["mode"] === "write" ? lock.tryWrite() : lock.tryRead();
  return lock.tryWait();
}

function keep(name: string, guard: LockGuard | true): boolean {
  if (guard === true) return false;
  guards.set(name, [...guards.get(name) ?? [], guard]);
  return guard.abandoned;
}

/** What `waitAny()` takes: names of locks, `name:write` and `name:read`, and `region:name`. */
async function itemOf(item: string): Promise<Waitable | RegionAfter> {
  const [first = "", second] = item.split(":");
  if (first === "region") return await regionOf(second!);
  const lock = await lockOf({ lock: first });
  if (lock instanceof RwLock) return second === "write" ? lock.writing : lock.reading;
  return lock;
}

const calls: Calls = {
  async serve(p) {
    server = await serve(String(p["name"]), {
      locks: p["locks"] as Record<string, LockSpec>,
      regions: { frame: { byteLength: 4096 } },
      broker: { service: String(p["broker"]) },
    });
  },
  async connect(p) {
    client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
  },
  async open(p) {
    return (await lockOf(p)).kind;
  },
  async take(p) {
    return keep(String(p["lock"]), await take(await lockOf(p), p));
  },
  async tryTake(p) {
    const taken = tryTake(await lockOf(p), p);
    if (taken === undefined || typeof taken === "boolean") return taken ?? false;
    keep(String(p["lock"]), taken);
    return true;
  },
  give: (p) => guards.get(String(p["lock"]))!.shift()!.unlock(),
  async set(p) {
    const lock = await lockOf(p);
    if ("set" in lock) lock.set();
  },
  async reset(p) {
    const lock = await lockOf(p);
    if ("reset" in lock) lock.reset();
  },
  async count(p) {
    const lock = await lockOf(p);
    if (lock instanceof Semaphore) return lock.available;
    return lock instanceof RwLock ? lock.readers : null;
  },
  async closeLock(p) {
    await (await lockOf(p)).close();
    locks.delete(String(p["lock"]));
  },
  async commit(p) {
    return (await regionOf(String(p["region"])) as WritableRegion).commit();
  },
  async any(p) {
    const items = await Promise.all((p["items"] as string[]).map(itemOf));
    return p["sync"] === true ? waitAnySync(items, optionsOf(p)) : await waitAny(items, optionsOf(p));
  },
  async adopt(p) {
    const item = await itemOf(String(p["lock"])) as unknown as { adopt(): LockGuard };
    return keep(String(p["lock"]).split(":")[0]!, item.adopt());
  },
  /** Adds 1 to a word of the region, so many times, under a lock: by what "add" does, which is not atomic. */
  async count_up(p) {
    const lock = await lockOf(p);
    const words = (await regionOf("frame") as WritableRegion).view(Float64Array);
    for (let turn = 0; turn < Number(p["turns"]); turn++) {
      const sync = p["sync"] === true || (p["sync"] === "both" && turn % 2 === 0);
      const guard = await take(lock, { ...p, sync, spin: turn % 3 * 10 });
      words[0]! += 1;
      if (guard !== true) guard.unlock();
      else if ("set" in lock) lock.set();
    }
  },
  async word() {
    return (await regionOf("frame") as WritableRegion).view(Float64Array)[0];
  },
  async closed(p) {
    return (await (await lockOf(p)).closed)?.name ?? null;
  },
};

await answer(calls);
await client?.close();
await server?.close();
