import { describeError } from "../../ffi/errno.ts";
import type { Life, RevisionPlace } from "./revision_place.ts";

/** What a parked wait looks at. */
export interface ParkingPlace extends RevisionPlace {
  readonly life: Life;
}

/**
 * One wait that is parked until `poll` gives a result: on the doorbell where the other side can ring it, on a native
 * thread elsewhere. Whatever the wait has set up is undone before its promise settles.
 */
export class Parking<T> {
  /** Settles with the result of `poll`, or with what it throws. */
  readonly promise: Promise<T | undefined>;
  readonly #place: ParkingPlace;
  readonly #poll: () => T | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #resolvers = Promise.withResolvers<T | undefined>();
  #settle: (() => void) | undefined; // set once the wait is over and only its sleep has to end
  #wake: () => void = () => {};

  /**
   * Parks.
   *
   * @param place where to wait
   * @param after the revision that is known
   * @param poll looks for a result; throws to fail the wait
   * @param signal makes the wait poll when it aborts
   */
  constructor(
    place: ParkingPlace,
    after: number,
    poll: () => T | undefined,
    signal: AbortSignal | undefined,
  ) {
    this.promise = this.#resolvers.promise;
    this.#place = place;
    this.#poll = poll;
    this.#signal = signal;
    this.#wake = place.bell.ready() ? this.#sleepOnBell() : this.#sleepOnThread(after);
    place.life.waits.add(this.promise);
    place.life.checks.add(this.check);
    signal?.addEventListener("abort", this.check, { once: true });
    // Parked first, then the look at the word. A commit does the reverse, so that one of the two sees the other.
    this.check();
  }

  /** Whether the wait is over already, without a sleep. */
  get over(): boolean {
    return this.#settle !== undefined;
  }

  /** Polls, and ends the wait if there is a result. */
  readonly check = (): void => {
    if (this.#settle !== undefined) return;
    const { resolve, reject } = this.#resolvers;
    try {
      const found = this.#poll();
      // The look itself may have ended the waits, and this one with them.
      if (found === undefined || this.over) return;
      this.#settle = () => resolve(found);
    } catch (error) {
      if (this.over) return;
      this.#settle = () => reject(error);
    }
    this.#wake();
  };

  /** Sleeps on the doorbell; the result wakes. */
  #sleepOnBell(): () => void {
    const { parked, bell } = this.#place;
    const listener = (): void => {
      this.check();
      // The other side cannot ring any more (it may still commit): the caller parks anew, on a thread.
      if (this.#settle === undefined && !bell.ready()) wake();
    };
    const wake = (): void => {
      parked.leave();
      bell.remove(listener);
      this.#finish();
    };
    bell.add(listener);
    parked.enter();
    return wake;
  }

  /** Has a native thread sleep; the result wakes it. The wait is over only when that thread has ended. */
  #sleepOnThread(after: number): () => void {
    const { queue, revision, parked, name } = this.#place;
    const { shim } = queue.library;
    let ended = false;
    const request = queue.expect(() => {
      ended = true;
      this.check();
      this.#finish();
    });
    const error = shim.shim_revision_wait_async(queue.handle, request, revision, parked.address, after, -1);
    if (error !== 0) {
      queue.forget(request);
      throw new Error(`Cannot wait for changes of "${name}": ${describeError(error)}`);
    }
    return () => {
      if (!ended) shim.shim_wait_cancel(queue.handle, request);
    };
  }

  /** The sleep has ended: settles. Without a result (the revision was another for a moment only), with `undefined`. */
  #finish(): void {
    const { life } = this.#place;
    life.waits.delete(this.promise);
    life.checks.delete(this.check);
    this.#signal?.removeEventListener("abort", this.check);
    const settle = this.#settle ?? ((): void => this.#resolvers.resolve(undefined));
    this.#settle = settle;
    settle();
  }
}
