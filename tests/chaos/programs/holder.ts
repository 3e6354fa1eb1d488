/**
 * A client of the cast that locks the frame again and again, and looks whether it is alone in there.
 *
 * @module
 */
import { connect, type LockGuard, type WritableRegion } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import {
  broker,
  COMMON,
  CONNECT_BOUND,
  excused,
  id,
  name,
  onceThereIsABroker,
  pause,
  PAUSE_AFTER_ERROR,
  stop,
  violated,
} from "./common.ts";
import { HOLDER } from "./words.ts";

const LONGEST_HOLD = 8;

/** How long word of a lost connection may take: a lock that went with it is another's by right. */
const WORD_OF_LOSS = 3000;

/**
 * How long a turn may take, in milliseconds. Where the server is gone, nobody notices the death of another client that
 * holds the lock: the README says so, and to lock with a timeout.
 */
const LONGEST_WAIT = 15_000;

const signal = AbortSignal.timeout(CONNECT_BOUND);
const client = await onceThereIsABroker(() => connect(name, { broker, signal }));
const me = BigInt(id);
const abandoned: number[] = [];
let turns = 0;
let holding: PromiseWithResolvers<void> | undefined;
const watchers = new Set<() => void>();

async function work(): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await using frame = await client.open("frame", { write: true, signal: stop.signal });
      while (!frame.orphaned) await turn(frame);
    } catch (error) {
      if (stop.signal.aborted) return;
      excused(error);
      await pause(PAUSE_AFTER_ERROR);
    }
  }
}

async function turn(frame: WritableRegion): Promise<void> {
  {
    using guard = await lock(frame);
    if (guard === undefined) return;
    await hold(frame, guard);
  }
  turns++;
  for (const look of watchers) look();
  await pause(1);
}

/** The lock, or `undefined` if it has died with a server that is gone. */
async function lock(frame: WritableRegion): Promise<LockGuard | undefined> {
  try {
    return await frame.mutex.lock({ signal: stop.signal, timeout: LONGEST_WAIT });
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "TimeoutError") throw error;
    if (!frame.orphaned) violated(`the lock was not to be had in ${LONGEST_WAIT} ms`);
    return undefined;
  }
}

async function hold(frame: WritableRegion, guard: LockGuard): Promise<void> {
  const words = frame.view(BigUint64Array);
  const before = words[HOLDER]!;
  if (guard.abandoned) abandoned.push(Number(before));
  else if (before !== 0n) {
    await unlessLost(frame, `holder ${before} left the lock without being told abandoned`);
  }
  words[HOLDER] = me;
  do await pause(Math.random() * LONGEST_HOLD); while (isToHold());
  if (words[HOLDER] !== me) await unlessLost(frame, `holder ${words[HOLDER]} came into the lock of ${me}`);
  else words[HOLDER] = 0n;
}

/** It is wrong, unless this connection ended and the lock with it. */
async function unlessLost(frame: WritableRegion, what: string): Promise<void> {
  for (let waited = 0; waited < WORD_OF_LOSS; waited += 50) {
    if (frame.orphaned || stop.signal.aborted) return;
    await pause(50);
  }
  violated(what);
}

function isToHold(): boolean {
  holding?.resolve();
  return holding !== undefined && !stop.signal.aborted;
}

/** Resolves when the lock was had once more. */
async function another(): Promise<void> {
  const target = turns + 2; // the one under way may have begun before
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    if (turns >= target) resolve();
  };
  watchers.add(look);
  await promise;
  watchers.delete(look);
}

const working = work();
await answer({
  ...COMMON,
  ready: () => client.pid,
  turn: another,
  /** Whom it took the lock over from, of those that died. */
  abandoned: () => abandoned,
  /** Takes the lock and keeps it: for one who is killed next. */
  hold: () => (holding ??= Promise.withResolvers()).promise,
  /** Gives the lock back after {@linkcode hold}. */
  release: () => void (holding = undefined),
});
stop.abort(new Error("the program ends"));
await working;
await client.close();
