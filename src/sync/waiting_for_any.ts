import { describeError } from "../../ffi/errno.ts";
import { valueOf } from "../../ffi/memory.ts";
import type { Library } from "../../ffi/load.ts";
import { startTimer } from "../xpc/timer.ts";
import type { WaitSource } from "./wait_source.ts";
import {
  MAX_SPIN_ON_LOOP,
  millisecondsOf,
  signalOf,
  SPIN_ONLY,
  spinOf,
  type SyncWaitOptions,
  timeoutError,
  type WaitOptions,
} from "./waiting.ts";

/** The most things to wait for at a time: `SHIM_MAX_SLEEPS`. */
export const MAX_WAITS = 64;

/** How long a thread sleeps before it looks whether a server is gone, in milliseconds. */
const LOOK_AGAIN = 200;

/** The size of `struct shim_sleep`, in bytes. */
const SLEEP_BYTES = 16;

/** What is done, for errors. */
function doing(count: number): string {
  return `wait for one of ${count} things`;
}

/** Takes the first that is ready; its index, or `undefined`. */
function poll(sources: readonly WaitSource[], asks: boolean): number | undefined {
  const index = sources.findIndex((source) => source.poll(asks));
  return index < 0 ? undefined : index;
}

/** Takes the first that is ready within some microseconds; nothing else runs in this realm meanwhile. */
function spinFor(
  sources: readonly WaitSource[],
  shim: Library["shim"],
  microseconds: number,
): number | undefined {
  const end = shim.shim_clock() + microseconds * 1000;
  for (;;) {
    const index = poll(sources, false);
    if (index !== undefined || shim.shim_clock() >= end) return index;
  }
}

/** Waits for the first without blocking the event loop. The sources are ended with it. */
export async function waitForAny(sources: readonly WaitSource[], options: WaitOptions): Promise<number> {
  try {
    const signal = signalOf(options);
    const milliseconds = millisecondsOf(options);
    const spin = Math.min(spinOf(options), MAX_SPIN_ON_LOOP);
    signal?.throwIfAborted();
    const { shim } = sources[0]!.queue.library;
    const index = poll(sources, false) ?? (milliseconds === 0 ? undefined : spinFor(sources, shim, spin));
    if (index !== undefined) return index;
    return await park(sources, milliseconds, signal);
  } finally {
    for (const source of sources) source.end();
  }
}

async function park(
  sources: readonly WaitSource[],
  milliseconds: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let over = false;
  // In the same step as the result: nothing may be taken once the wait is over, and a source that is being closed
  // must not be used any more.
  const finish = (settle: () => void): void => {
    over = true;
    for (const source of sources) source.end();
    settle();
  };
  const look = (trouble?: Error): void => {
    if (over) return;
    try {
      if (trouble !== undefined) throw trouble;
      const index = poll(sources, true);
      if (index !== undefined) finish(() => resolve(index));
    } catch (error) {
      finish(() => reject(error));
    }
  };
  const abort = (): void => {
    if (!over) finish(() => reject(signal?.reason));
  };
  const stopTimer = startTimer(milliseconds < 0 ? Infinity : milliseconds, () => {
    if (!over) finish(() => reject(timeoutError(doing(sources.length), milliseconds)));
  });
  signal?.addEventListener("abort", abort, { once: true });
  try {
    for (const source of sources) source.park(look);
    look(); // parked first, then the look: whoever makes something ready does the reverse
    return await promise;
  } finally {
    over = true;
    stopTimer();
    signal?.removeEventListener("abort", abort);
  }
}

/** Waits for the first, and blocks this thread. The sources are ended with it. */
export function waitForAnySync(sources: readonly WaitSource[], options: SyncWaitOptions): number {
  try {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    const { shim } = sources[0]!.queue.library;
    const deadline = milliseconds < 0 ? Infinity : shim.shim_clock() / 1e6 + milliseconds;
    const spinning = spin === SPIN_ONLY ? Infinity : spin;
    const index =
      spinFor(sources, shim, milliseconds < 0 ? spinning : Math.min(spinning, milliseconds * 1000)) ??
        (spin === SPIN_ONLY ? undefined : sleep(sources, shim, deadline));
    if (index === undefined) throw timeoutError(doing(sources.length), milliseconds);
    return index;
  } finally {
    for (const source of sources) source.end();
  }
}

/** Sleeps in the kernel until one is ready; `undefined` when the time is over. */
function sleep(sources: readonly WaitSource[], shim: Library["shim"], deadline: number): number | undefined {
  const sleeps = new DataView(new ArrayBuffer(sources.length * SLEEP_BYTES));
  for (const [index, source] of sources.entries()) {
    sleeps.setBigUint64(index * SLEEP_BYTES, valueOf(source.word), true);
    source.sleep();
  }
  for (;;) {
    for (const [index, { word }] of sources.entries()) {
      sleeps.setUint32(index * SLEEP_BYTES + 8, shim.shim_word_load(word), true);
    }
    const ready = poll(sources, true);
    const left = deadline - shim.shim_clock() / 1e6;
    if (ready !== undefined || left <= 0) return ready;
    const error = shim.shim_wait_any(sleeps, sources.length, Math.min(left, LOOK_AGAIN));
    if (error !== 0) throw new Error(`Cannot ${doing(sources.length)}: ${describeError(error)}`);
  }
}
