import { inWords } from "../xpc/in_words.ts";

/** How long a wait spins before it parks, in microseconds, unless told otherwise. */
const DEFAULT_SPIN = 50;

/** The longest time that a wait may spin on the event loop, where nothing else runs meanwhile, in microseconds. */
export const MAX_SPIN_ON_LOOP = 1000;

/** The longest spin that parks afterwards, in microseconds: a minute. */
const MAX_SPIN = 60_000_000;

/** `SHIM_SPIN_ONLY`: never park. */
export const SPIN_ONLY = 0xffff_ffff;

/** Options of waits that park a thread. */
export interface SyncWaitOptions {
  /**
   * The longest time to wait, in milliseconds.
   *
   * @default {Infinity}
   */
  timeout?: number | undefined;
  /**
   * How long to spin before parking, in microseconds. Below the time that a wake takes (some 50 µs) spinning is
   * usually cheaper than sleeping. `Infinity` never parks: the quickest, and a whole core.
   *
   * @default {50}
   */
  spin?: number | undefined;
}

/** Options of waits that leave the event loop running. */
export interface WaitOptions extends SyncWaitOptions {
  /** Ends the wait with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * The spin time as the shim takes it.
 *
 * @throws {RangeError} if it is not a number from 0 to `Infinity`
 */
export function spinOf(options: SyncWaitOptions): number {
  const { spin } = options;
  if (spin === undefined) return DEFAULT_SPIN;
  if (typeof spin !== "number" || !(spin >= 0) || (spin > MAX_SPIN && spin !== Infinity)) {
    throw new RangeError(
      `Cannot spin for ${
        inWords(spin)
      }: \`spin\` is a number of microseconds from 0 to ${MAX_SPIN}, or Infinity`,
    );
  }
  return spin === Infinity ? SPIN_ONLY : Math.ceil(spin);
}

/**
 * The time to wait as the shim takes it: -1 means no timeout.
 *
 * @throws {RangeError} if it is not a number from 0 to `Infinity`
 */
export function millisecondsOf(options: SyncWaitOptions): number {
  const { timeout } = options;
  if (timeout === undefined || timeout === Infinity) return -1;
  if (typeof timeout !== "number" || !(timeout >= 0)) {
    throw new RangeError(
      `Cannot wait for ${inWords(timeout)}: \`timeout\` is a number of milliseconds, 0 or more`,
    );
  }
  return timeout;
}

/**
 * The signal, checked.
 *
 * @throws {TypeError} if it is not an `AbortSignal`
 */
export function signalOf(options: { readonly signal?: AbortSignal | undefined }): AbortSignal | undefined {
  const { signal } = options;
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw new TypeError(`Cannot wait with the signal ${inWords(signal)}: \`signal\` is an AbortSignal`);
}

/**
 * A revision, checked. No revision is below 0, so that every revision comes after a negative number.
 *
 * @throws {TypeError} if it is not an integer
 */
export function revisionOf(value: number, option: string): number {
  if (Number.isInteger(value)) return value; // a hostile peer may make revisions beyond 2 ** 53
  throw new TypeError(
    `Cannot wait for a revision after ${inWords(value)}: \`${option}\` is a revision, an integer`,
  );
}

/** What a wait throws when its time is over. */
export function timeoutError(doing: string, milliseconds: number, why = ""): DOMException {
  return new DOMException(`Cannot ${doing} within ${milliseconds} ms${why}`, "TimeoutError");
}
