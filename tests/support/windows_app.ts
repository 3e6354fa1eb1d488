/**
 * An app for tests of what Windows apps do: it counts under a lock, beside others, and can be killed while it holds one.
 *
 * Word 0 of the region counts all turns, words 1 to 15 those of each process. Who holds the lock sees whether the previous
 * holder was stopped half-way: then word 0 is not the sum of the others.
 *
 * @module
 */
import {
  type Client,
  connect,
  type LockGuard,
  type ManualResetEvent,
  type MutexLock,
  type RwLock,
  type Semaphore,
  serve,
  type Server,
  waitAny,
  waitAnySync,
  type WritableRegion,
} from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

/** What one side of the service has. */
interface Things {
  readonly frame: WritableRegion;
  readonly device: MutexLock;
  readonly catalog: RwLock;
  readonly one: Semaphore;
  readonly budget: Semaphore;
  readonly stop: ManualResetEvent;
}

/** What a process saw. */
interface Seen {
  /** How often the guard said that the previous holder died. */
  abandoned: number;
  /** How often word 0 was wrong, and was mended. */
  mended: number;
  /** How often it was wrong although the guard said nothing. */
  untold: number;
}

let server: Server | undefined;
let client: Client | undefined;
let things: Things | undefined;

const PROCESSES = 15;

/** Takes a lock in its way, and gives its guard. */
const TAKERS: Readonly<Record<string, (from: Things, sync: boolean) => LockGuard | Promise<LockGuard>>> = {
  region: ({ frame }, sync) => sync ? frame.mutex.lockSync() : frame.mutex.lock(),
  device: ({ device }, sync) => sync ? device.lockSync() : device.lock(),
  catalog: ({ catalog }, sync) => sync ? catalog.writeSync() : catalog.write(),
  reading: ({ catalog }, sync) => sync ? catalog.readSync() : catalog.read(),
  one: ({ one }, sync) => sync ? one.acquireSync() : one.acquire(),
  budget: ({ budget }, sync) => sync ? budget.acquireSync() : budget.acquire(),
  async waitAny({ stop, device }, sync) {
    const items = [stop, device];
    const index = sync ? waitAnySync(items) : await waitAny(items);
    if (index !== 1) throw new Error(`waitAny() gave ${index}, but nobody has set the event`);
    return device.adopt();
  },
};

async function take(p: Record<string, unknown>, sync: boolean): Promise<LockGuard> {
  return await TAKERS[String(p["by"])]!(things!, sync);
}

function words(): Float64Array<ArrayBuffer> {
  return things!.frame.view(Float64Array, 0, PROCESSES + 1);
}

/** Looks, under the lock, at what the previous holder has left. */
function look(guard: LockGuard, seen: Seen): void {
  const sum = words().subarray(1).reduce((total, count) => total + count, 0);
  if (guard.abandoned) seen.abandoned++;
  if (words()[0] === sum) return;
  if (!guard.abandoned) seen.untold++;
  seen.mended++;
}

/** Mends what a writer that died has left; readers must not. */
function mend(): void {
  words()[0] = words().subarray(1).reduce((total, count) => total + count, 0);
}

const calls: Calls = {
  async serve(p) {
    server = await serve(String(p["name"]), {
      regions: { frame: { byteLength: 4096 } },
      locks: {
        device: "mutex",
        catalog: "rwlock",
        one: { semaphore: 1 },
        budget: { semaphore: 3 },
        stop: { event: "manual" },
      },
      broker: { service: String(p["broker"]) },
    });
    things = {
      frame: server.region("frame"),
      device: server.lock("device", "mutex"),
      catalog: server.lock("catalog", "rwlock"),
      one: server.lock("one", "semaphore"),
      budget: server.lock("budget", "semaphore"),
      stop: server.lock("stop", "manual"),
    };
  },
  async connect(p) {
    client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
    things = {
      frame: await client.open("frame", { write: true }),
      device: await client.lock("device", "mutex"),
      catalog: await client.lock("catalog", "rwlock"),
      one: await client.lock("one", "semaphore"),
      budget: await client.lock("budget", "semaphore"),
      stop: await client.lock("stop", "manual"),
    };
  },
  /** Counts so many turns under a lock; by nothing that is atomic. */
  async count(p): Promise<Seen> {
    const seen = { abandoned: 0, mended: 0, untold: 0 };
    for (let turn = 0; turn < Number(p["turns"]); turn++) {
      using guard = await take(p, p["sync"] === true && turn % 2 === 0);
      look(guard, seen);
      mend();
      words()[0]! += 1;
      words()[Number(p["place"])]! += 1;
    }
    return seen;
  },
  /** Takes a read lock so many times, and looks whether a writer is at work. */
  async read(p): Promise<Seen> {
    const seen = { abandoned: 0, mended: 0, untold: 0 };
    for (let turn = 0; turn < Number(p["turns"]); turn++) {
      using guard = await take({ by: "reading" }, p["sync"] === true && turn % 2 === 0);
      look(guard, seen);
    }
    return seen;
  },
  /** Takes a lock, leaves half of a turn, and holds the lock until this process is killed. */
  async hold(p): Promise<Seen> {
    const seen = { abandoned: 0, mended: 0, untold: 0 };
    look(await take(p, false), seen);
    mend();
    words()[0]! += 1;
    return seen;
  },
  /** Takes the semaphore of 3 so many times; gives the most that were inside at the same time. */
  async crowd(p): Promise<number> {
    const inside = things!.frame.view(Int32Array, 512, 2);
    let most = 0;
    for (let turn = 0; turn < Number(p["turns"]); turn++) {
      using _ = await take({ by: "budget" }, p["sync"] === true && turn % 2 === 0);
      most = Math.max(most, Atomics.add(inside, 0, 1) + 1);
      Atomics.add(inside, 1, 1);
      if (turn % 4 === 0) await new Promise((resolve) => setTimeout(resolve)); // meanwhile others come in
      Atomics.sub(inside, 0, 1);
    }
    return most;
  },
  /** Takes the semaphore of 3 and keeps it. */
  async enter(): Promise<void> {
    await take({ by: "budget" }, false);
  },
  crowded: () => ({
    words: [...things!.frame.view(Int32Array, 512, 2)],
    available: things!.budget.available,
  }),
  counts: () => [...words()],
  /** Writes a view of a part, as after `MapViewOfFile` with an offset. */
  writePart(p) {
    const part = things!.frame.view(Float32Array, Number(p["byteOffset"]), Number(p["length"]));
    part.fill(Number(p["value"]));
    things!.frame.commit();
  },
  /** Reads bytes of the whole. */
  part(p) {
    return [...things!.frame.view(Uint8Array, Number(p["byteOffset"]), Number(p["length"]))];
  },
  /** Closes the region, as `UnmapViewOfFile` and `CloseHandle` do; gives the length of a view from before. */
  async unmap(): Promise<number> {
    const view = words();
    await things!.frame.close();
    return view.length;
  },
};

await answer(calls);
await client?.close();
await server?.close();
