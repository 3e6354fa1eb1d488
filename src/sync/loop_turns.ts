import type { Library } from "../../ffi/load.ts";

/** How long results may follow each other without a turn of the event loop, in milliseconds. */
const MAX_RUN = 8;

/**
 * Sees to it that timers, signals and sockets get their turn where a loop always finds its next result at once, and so
 * never sleeps.
 */
export class LoopTurns {
  readonly #shim: Library["shim"];
  /** When results began to follow each other, in nanoseconds; 0: not now. */
  #runningSince = 0;

  /** @param shim whose clock to use */
  constructor(shim: Library["shim"]) {
    this.#shim = shim;
  }

  /** Whether it is time for a turn. */
  get due(): boolean {
    const now = this.#shim.shim_clock();
    if (this.#runningSince === 0) this.#runningSince = now;
    return now - this.#runningSince > MAX_RUN * 1e6;
  }

  /** The loop sleeps: others get their turn now. */
  slept(): void {
    this.#runningSince = 0;
  }

  /** Gives the event loop a turn. */
  async take(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#runningSince = 0;
  }
}
