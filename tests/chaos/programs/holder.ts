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
  LONGEST_WAIT,
  name,
  onceThereIsABroker,
  pause,
  PAUSE_AFTER_ERROR,
  stop,
  violated,
} from "./common.ts";
import { alone, told } from "./exclusion.ts";
import { Turns } from "./turns.ts";
import { HOLDER } from "./words.ts";

const LONGEST_HOLD = 8;

const signal = AbortSignal.timeout(CONNECT_BOUND);
const client = await onceThereIsABroker(() => connect(name, { broker, signal }));
const turns = new Turns("frame");
let holding: PromiseWithResolvers<void> | undefined;

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
    await alone({ lock: "frame", region: frame, word: HOLDER }, guard, async () => {
      do await pause(Math.random() * LONGEST_HOLD); while (isToHold());
    });
  }
  turns.count("frame");
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

function isToHold(): boolean {
  holding?.resolve();
  return holding !== undefined && !stop.signal.aborted;
}

const working = work();
await answer({
  ...COMMON,
  ready: () => client.pid,
  more: () => turns.more(),
  turns: () => `${turns}`,
  /** Whom it took locks over from, of those that died. */
  told: () => told,
  /** Takes the lock and keeps it: for one who is killed next. Gives what it holds. */
  hold: async () => {
    await (holding ??= Promise.withResolvers()).promise;
    return ["frame"];
  },
  /** Gives the lock back after {@linkcode hold}. */
  release: () => void (holding = undefined),
});
stop.abort(new Error("the program ends"));
await working;
await client.close();
