import { type Distribution, distribution } from "./statistics.ts";

/** A frame is late if the writer waited longer than this for the reader, in milliseconds. */
export const LATE = 1;

/** How regularly the writer wrote. */
export interface CadenceResult {
  /** From one frame to the next, once the memory has been written: the system makes each page at its first touch. */
  readonly intervalMilliseconds: Distribution;
  /** For a slot, or for the lock. */
  readonly waitMicroseconds: Distribution;
  /** Frames for which that took more than {@linkcode LATE} milliseconds. */
  readonly late: number;
}

/** Notes when frames were written, and how long the writer waited before each. Times are in nanoseconds. */
export class Cadence {
  readonly #intervals: number[] = [];
  readonly #waits: number[] = [];
  #first: number;
  #last: number | undefined;

  /** @param first how many frames it takes until all memory has been written once */
  constructor(first: number) {
    this.#first = first;
  }

  /**
   * A frame was written.
   *
   * @param begun when the writer wanted to begin it
   * @param got when it had the slot, or the lock
   * @param done when it was committed
   */
  add(begun: number, got: number, done: number): void {
    this.#waits.push((got - begun) / 1e3);
    if (this.#first > 0) this.#first--;
    else if (this.#last !== undefined) this.#intervals.push((done - this.#last) / 1e6);
    this.#last = done;
  }

  /** What was noted. */
  get result(): CadenceResult {
    return {
      intervalMilliseconds: distribution(this.#intervals),
      waitMicroseconds: distribution(this.#waits),
      late: this.#waits.filter((wait) => wait > LATE * 1000).length,
    };
  }
}
