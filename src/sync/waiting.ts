/** How long a wait spins before it parks, in microseconds, unless told otherwise. */
export const DEFAULT_SPIN = 50;

/** The longest that a wait of the event loop's spins before it lets other things run, in microseconds. */
export const MOST_BLOCKING = 1000;

/** `SHIM_SPIN_ONLY` */
export const SPIN_ONLY = 0xffff_ffff;

/** Options of waits that park a thread. */
export interface SyncWaitOptions {
  /**
   * How long to wait at most, in milliseconds.
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
  /** Gives the wait up. */
  signal?: AbortSignal | undefined;
}

/**
 * The spin time as the shim takes it.
 *
 * @throws {RangeError} if it is negative or not a number
 */
export function spinOf(options: SyncWaitOptions): number {
  const { spin } = options;
  if (spin === undefined) return DEFAULT_SPIN;
  if (!(spin >= 0)) throw new RangeError(`Cannot spin for ${spin} microseconds: want 0 or more`);
  return spin === Infinity ? SPIN_ONLY : Math.min(Math.ceil(spin), SPIN_ONLY - 1);
}

/**
 * The time to wait as the shim takes it: below 0 is for ever.
 *
 * @throws {RangeError} if it is negative or not a number
 */
export function millisecondsOf(options: SyncWaitOptions): number {
  const { timeout } = options;
  if (timeout === undefined || timeout === Infinity) return -1;
  if (!(timeout >= 0)) throw new RangeError(`Cannot wait for ${timeout} milliseconds: want 0 or more`);
  return timeout;
}

/** What a wait throws when its time is over. */
export function timeoutError(doing: string, milliseconds: number): DOMException {
  return new DOMException(`Cannot ${doing} within ${milliseconds} ms`, "TimeoutError");
}
