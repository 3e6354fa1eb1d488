import { startTimer } from "../xpc/timer.ts";
import { LookSource } from "./look_source.ts";
import { Parking } from "./parking.ts";
import { goneError, type Life, type RevisionPlace } from "./revision_place.ts";
import type { WaitSource } from "./wait_source.ts";
import { SPIN_ONLY, timeoutError } from "./waiting.ts";

/** How long to wait, all checked. */
export interface UntilOptions {
  /** What cannot be done in time, for errors: `wait for a frame of "video"`. */
  readonly doing: string;
  /** The longest time, in milliseconds; below 0: no limit. */
  readonly milliseconds: number;
  /** How long to spin, in microseconds, or `SPIN_ONLY`. */
  readonly spin: number;
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Is called when the wait sleeps, so that the event loop has its turn. */
  readonly slept?: (() => void) | undefined;
}

/** The waits for one thing that a revision announces, as one realm sees them: until a look at it finds something. */
export class Waits {
  readonly #place: RevisionPlace;
  readonly #other: "server" | "client";
  readonly #life: Life = { ended: undefined, checks: new Set(), waits: new Set() };

  /**
   * @param place where the revision is
   * @param other who is gone when the place says so
   */
  constructor(place: RevisionPlace, other: "server" | "client" = "server") {
    this.#place = place;
    this.#other = other;
  }

  /**
   * Checks that waits are possible.
   *
   * @throws the error that ended them, or {@linkcode TypeError} if they were ended in order
   */
  check(): void {
    const { ended } = this.#life;
    if (ended === undefined) return;
    throw ended.error ?? new TypeError(`Cannot use "${this.#place.name}": it is closed`);
  }

  /** Whether they were ended in order. */
  get closed(): boolean {
    return this.#life.ended !== undefined && this.#life.ended.error === undefined;
  }

  /** Whether the thing has another generation than `mapped`. */
  isReplaced(mapped: number): boolean {
    const { queue: { library: { shim } }, generation } = this.#place;
    return shim.shim_word_load64(generation) !== mapped;
  }

  /**
   * Waits without blocking the event loop until `look` finds something. `look` must have been called once before, without
   * success: it is called again when the revision changes or somebody rings.
   *
   * @param look gives what was found; what it throws ends the wait
   * @returns what was found
   * @throws {DOMException} `TimeoutError`, the signal's reason, or the error that ended the waits
   */
  until<T>(look: () => T | undefined, options: UntilOptions): Promise<T> {
    const { doing, milliseconds, spin, signal, slept } = options;
    let isOver = false;
    const lookOnce = (): T | undefined => {
      this.check(); // before any word is read: they may be unmapped
      signal?.throwIfAborted();
      const found = look();
      if (found === undefined && isOver) throw timeoutError(doing, milliseconds);
      return found;
    };
    // Not an async function: each of its steps would come between the wake and whoever waits.
    try {
      this.check();
      const found = this.#spin(lookOnce, spin);
      if (found !== undefined) return Promise.resolve(found);
      if (milliseconds < 0) return this.#park(lookOnce, signal, slept);
    } catch (error) {
      return Promise.reject(error);
    }
    let check = (): void => {};
    const stopTimer = startTimer(milliseconds, () => {
      isOver = true;
      check();
    });
    return this.#park(lookOnce, signal, slept, (parking) => check = parking.check).finally(stopTimer);
  }

  /** Parks, again and again, until there is something. */
  #park<T>(
    look: () => T | undefined,
    signal: AbortSignal | undefined,
    slept: (() => void) | undefined,
    parked?: (parking: Parking<T>) => void,
  ): Promise<T> {
    try {
      this.check();
      const parking = new Parking({ ...this.#place, life: this.#life }, this.#revision(), look, signal);
      parked?.(parking);
      if (!parking.over) slept?.();
      return parking.promise.then((found) => found ?? this.#park(look, signal, slept, parked));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Waits, blocking this thread, until `look` finds something; otherwise as {@linkcode until}.
   *
   * @throws {PeerGoneError} if the other side is gone
   */
  untilSync<T>(look: () => T | undefined, { doing, milliseconds, spin }: UntilOptions): T {
    const { queue: { library: { shim } }, revision, parked, gone, name } = this.#place;
    const deadline = milliseconds < 0 ? Infinity : shim.shim_clock() + milliseconds * 1e6;
    for (;;) {
      this.check();
      // The revision first: what comes after this look changes it.
      const seen = this.#revision();
      const found = look();
      if (found !== undefined) return found;
      if (gone !== null && shim.shim_word_load(gone) !== 0) {
        const last = look(); // what came between the look and the end
        if (last !== undefined) return last;
        this.#life.ended ??= { error: goneError(name, this.#other) };
        continue;
      }
      const left = (deadline - shim.shim_clock()) / 1e6;
      if (left <= 0) throw timeoutError(doing, milliseconds);
      shim.shim_revision_wait(revision, parked.address, gone, seen, spin, left === Infinity ? -1 : left);
    }
  }

  /** For one wait for several things: ready when `isReady` says so, which throws what the wait is to fail with. */
  source(isReady: () => boolean): WaitSource {
    return new LookSource({ ...this.#place, life: this.#life }, this.#other, isReady);
  }

  /** Has all waits look again. */
  recheck(): void {
    for (const check of this.#life.checks) check();
  }

  /** Ends all waits, with an error or, without one, in order. Afterwards the words may be unmapped. */
  async end(error?: Error): Promise<void> {
    this.#life.ended ??= { error };
    this.recheck();
    await Promise.allSettled(this.#life.waits);
  }

  #spin<T>(look: () => T | undefined, spin: number): T | undefined {
    const { queue: { library: { shim } }, revision, parked } = this.#place;
    const seen = this.#revision();
    const found = look();
    if (found !== undefined || spin === 0) return found;
    shim.shim_revision_wait(revision, parked.address, null, seen, SPIN_ONLY, spin / 1000);
    return look();
  }

  #revision(): number {
    return this.#place.queue.library.shim.shim_word_load64(this.#place.revision);
  }
}
