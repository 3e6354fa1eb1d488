/**
 * A client of the cast that takes locks of every kind, several at once, and looks whether each keeps its promise.
 *
 * @module
 */
import { connect, type LockGuard, type MutexLock, type RwLock, type Semaphore } from "../../../mod.ts";
import type { WritableRegion } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import {
  broker,
  COMMON,
  CONNECT_BOUND,
  excused,
  id,
  LONGEST_WAIT,
  name,
  onceThereIsABroker,
  pause,
  PAUSE_AFTER_ERROR,
  stop,
  violated,
} from "./common.ts";
import { alone, told, unlessLost } from "./exclusion.ts";
import { lives } from "./lives.ts";
import { Turns } from "./turns.ts";
import { CATALOG, DEVICE, MARKS, MARKS_LENGTH, UNITS, VERSION } from "./words.ts";

const LONGEST_HOLD = 6;

/** How long a process may look alive when its connections have ended already, in milliseconds. */
const DYING = 1000;

/** What one server's life gives. */
interface Held {
  readonly ledger: WritableRegion;
  readonly device: MutexLock;
  readonly catalog: RwLock;
  readonly budget: Semaphore;
}

const signal = AbortSignal.timeout(CONNECT_BOUND);
const client = await onceThereIsABroker(() => connect(name, { broker, signal }));
const LOOPS = ["device", "write", "read", "budget 0", "budget 1"] as const;
const turns = new Turns(...LOOPS);
const mine = MARKS + (id * UNITS) % MARKS_LENGTH;
let marks = 0;
let resting = false;
/** How many loops have a lock or wait for one. */
let busy = 0;
/** What is to be held until the process is killed, and is not held yet. */
const wanted = new Map<string, PromiseWithResolvers<void>>();

async function work(): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      const signal = stop.signal;
      await using ledger = await client.open("ledger", { write: true, signal });
      await using device = await client.lock("device", "mutex", { signal });
      await using catalog = await client.lock("catalog", "rwlock", { signal });
      await using budget = await client.lock("budget", "semaphore", { signal });
      await takeAll({ ledger, device, catalog, budget });
    } catch (error) {
      if (stop.signal.aborted) return;
      excused(error);
      await pause(PAUSE_AFTER_ERROR);
    }
  }
}

/** Runs all loops until the server is gone, or one of them cannot go on. */
async function takeAll(held: Held): Promise<void> {
  let failed = false;
  const loop = async (which: string, turn: () => Promise<void>): Promise<void> => {
    try {
      while (!failed && !held.ledger.orphaned && !stop.signal.aborted) {
        if (resting) await pause(5);
        else await once(which, turn);
      }
    } finally {
      failed = true;
    }
  };
  const ends = await Promise.allSettled([
    loop("device", () => takeDevice(held)),
    loop("write", () => write(held)),
    loop("read", () => read(held)),
    loop("budget 0", () => acquire(held, 0)),
    loop("budget 1", () => acquire(held, 1)),
  ]);
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

async function once(which: string, turn: () => Promise<void>): Promise<void> {
  busy++;
  try {
    await turn();
  } catch (error) {
    if (!(error instanceof GoneWithServer)) throw error;
    return;
  } finally {
    busy--;
  }
  turns.count(which);
  await pause(1);
}

async function takeDevice({ ledger, device }: Held): Promise<void> {
  using guard = await inTime(ledger, "the device", (wait) => device.lock(wait));
  await alone({ lock: "device", region: ledger, word: DEVICE }, guard, () => hold("device"));
}

async function write({ ledger, catalog }: Held): Promise<void> {
  using guard = await inTime(ledger, "the catalog (to write)", (wait) => catalog.write(wait));
  await alone({ lock: "catalog", region: ledger, word: CATALOG }, guard, async () => {
    const words = ledger.view(BigUint64Array);
    words[VERSION]!++;
    await hold("catalog");
    words[VERSION]!++;
  });
}

async function read({ ledger, catalog }: Held): Promise<void> {
  using guard = await inTime(ledger, "the catalog (to read)", (wait) => catalog.read(wait));
  const words = ledger.view(BigUint64Array);
  const writer = words[CATALOG]!;
  const version = words[VERSION]!;
  if (writer !== 0n && !guard.abandoned) {
    await unlessLost(ledger, `${id} reads the catalog, and ${writer} writes it`);
  }
  await pause(Math.random() * LONGEST_HOLD);
  if (words[CATALOG] !== writer || words[VERSION] !== version) {
    await unlessLost(ledger, `${words[CATALOG]} wrote the catalog while ${id} read it`);
  }
}

async function acquire({ ledger, budget }: Held, loop: number): Promise<void> {
  using _ = await inTime(ledger, "the budget", (wait) => budget.acquire(wait));
  const words = ledger.view(BigUint64Array);
  const mark = BigInt(Deno.pid) << 32n | BigInt(++marks);
  words[mine + loop] = mark;
  const holders = await together(words);
  if (holders > UNITS) await unlessLost(ledger, `${holders} hold the ${UNITS} units of the budget`);
  if (loop === 0) await hold("budget");
  else await pause(Math.random() * LONGEST_HOLD);
  if (words[mine + loop] !== mark) await unlessLost(ledger, `another wrote the mark of ${id}`);
  words[mine + loop] = 0n;
}

/** How many hold a unit at one moment at least: those whose marks are the same at two looks, and who live after that. */
async function together(words: BigUint64Array): Promise<number> {
  const first = words.slice(MARKS, MARKS + MARKS_LENGTH);
  if (first.filter((mark) => mark !== 0n).length <= UNITS) return 0;
  const second = words.slice(MARKS, MARKS + MARKS_LENGTH);
  const pids = [...first.filter((mark, index) => mark !== 0n && mark === second[index])]
    .map((mark) => Number(mark >> 32n));
  if (await living(pids) <= UNITS) return 0;
  await pause(DYING); // the connections of who was killed end some time before the kernel says that it is dead
  return await living(pids);
}

/** How many of these processes live. */
async function living(pids: readonly number[]): Promise<number> {
  return (await Promise.all(pids.map(lives))).filter(Boolean).length;
}

/** Holds what was taken for a while, or for ever if that was asked. */
async function hold(which: string): Promise<void> {
  do {
    await pause(Math.random() * LONGEST_HOLD);
    wanted.get(which)?.resolve();
  } while (wanted.has(which) && !stop.signal.aborted);
}

/** Ends a turn without an error: the lock has died with its server. */
class GoneWithServer extends Error {}

/** Takes a lock, or finds out why it is not to be had. */
async function inTime(
  ledger: WritableRegion,
  what: string,
  take: (wait: { signal: AbortSignal; timeout: number }) => Promise<LockGuard>,
): Promise<LockGuard> {
  try {
    return await take({ signal: stop.signal, timeout: LONGEST_WAIT });
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "TimeoutError") throw error;
    if (!ledger.orphaned) violated(`${what} was not to be had in ${LONGEST_WAIT} ms: ${error.message}`);
    throw new GoneWithServer();
  }
}

const working = work();
await answer({
  ...COMMON,
  ready: () => client.pid,
  more: () => turns.more(),
  turns: () => `${turns}`,
  told: () => told,
  /** Takes one of each and keeps it: for one who is killed next. Gives of what the next holder is to be told. */
  hold: async () => {
    for (const which of ["device", "catalog", "budget"]) wanted.set(which, Promise.withResolvers());
    await Promise.all([...wanted.values()].map(({ promise }) => promise));
    return ["device", "catalog"];
  },
  /** Gives all back, and takes nothing until it is to resume. */
  rest: async () => {
    resting = true;
    while (busy > 0) await pause(5);
  },
  resume: () => void (resting = false),
});
stop.abort(new Error("the program ends"));
await working;
await client.close();
