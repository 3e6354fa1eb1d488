import type { ReadableRegion } from "../../mod.ts";
import { type Distribution, distribution } from "./statistics.ts";
import { stampAfter } from "./stamps.ts";

/**
 * How long the reader must have had nothing to do for a commit to count, in nanoseconds. All iterators have spun and
 * parked by then.
 */
const IDLE = 1_000_000;

/**
 * Measures the time from a commit to the iterator's yield. A commit counts if it came while this process was asleep. If
 * several came before the yield, the first one counts, so that a slow wake counts in full.
 */
export class Wakes {
  readonly #clock: () => number;
  readonly #samples: { pulse: number[]; frame: number[] } = { pulse: [], frame: [] };
  #active: number;

  /** @param clock the shared clock */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#active = clock();
  }

  /** Notes that this process was busy until now. */
  touch(): void {
    this.#active = this.#clock();
  }

  /**
   * An iterator has yielded.
   *
   * @param pulse the region with the stamps
   * @param index which region's it is
   * @param known what the iterator yielded before
   * @param revision what it yields
   * @param kind what is counted
   */
  add(pulse: ReadableRegion, index: number, known: number, revision: number, kind: "pulse" | "frame"): void {
    const now = this.#clock();
    const committed = stampAfter(pulse.view(Float64Array), index, known, revision);
    if (committed !== undefined && committed - this.#active > IDLE) {
      this.#samples[kind].push((now - committed) / 1000);
    }
    this.#active = now;
  }

  /** In microseconds. */
  get distributions(): { readonly wake: Distribution; readonly frameWake: Distribution } {
    const { pulse, frame } = this.#samples;
    return { wake: distribution(pulse), frameWake: distribution(frame) };
  }
}
