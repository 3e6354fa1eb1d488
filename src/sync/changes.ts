import { describeError } from "../../ffi/errno.ts";
import type { Life, RevisionPlace } from "./revisions.ts";
import { MOST_BLOCKING, SPIN_ONLY, spinOf } from "./waiting.ts";

/** A change of a region. */
export interface Change {
  /** The newest revision: commits in between were conflated. */
  readonly revision: number;
  /** The generation that the region has now, counted from 1. */
  readonly generation: number;
  /** Whether the region was replaced by one of another generation: open it again to see that one. */
  readonly replaced: boolean;
}

/** Options of `changes()`. */
export interface ChangesOptions {
  /**
   * Only revisions other than this one count. By default the newest there is comes first, if there is any.
   *
   * @default {0}
   */
  after?: number | undefined;
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * How long to spin before parking on the event loop, in microseconds, at most 1000. While it spins, nothing else
   * runs in this realm.
   *
   * @default {50}
   */
  spin?: number | undefined;
}

/** Where to look for changes, and what the waits of the region share. */
export interface ChangesPlace extends RevisionPlace {
  /** The generation that is mapped. */
  readonly mapped: number;
  readonly life: Life;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * The changes of a region, one after the other: `for await (const { revision } of region.changes())`.
 *
 * It is no generator, which takes four turns of the event loop from a wake to who waits for it; this takes one.
 */
export class Changes implements AsyncIterableIterator<Change, undefined, void> {
  readonly #place: ChangesPlace;
  readonly #signal: AbortSignal | undefined;
  readonly #spin: number;
  #after: number;
  #told: number;
  #returned = false;
  /** The `next()` that waits; the one behind it waits for that. */
  #pending: Promise<IteratorResult<Change, undefined>> | undefined;
  #look: (() => void) | undefined;

  /** @internal */
  constructor(place: ChangesPlace, options: ChangesOptions) {
    this.#place = place;
    this.#signal = options.signal;
    this.#spin = Math.min(spinOf(options), MOST_BLOCKING);
    this.#after = options.after ?? 0;
    this.#told = place.mapped;
  }

  /** Itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Waits for the next change.
   *
   * @returns the change; `done` when the region is closed or the iteration was ended
   * @throws {PeerGoneError} when the server is gone
   * @throws the signal's reason, when it aborts
   */
  next(): Promise<IteratorResult<Change, undefined>> {
    if (this.#pending !== undefined) {
      const again = (): Promise<IteratorResult<Change, undefined>> => this.next();
      return this.#pending.then(again, again);
    }
    try {
      const found = this.#poll() ?? this.#spinFor();
      return found === undefined ? this.#park() : Promise.resolve(found);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Ends the iteration; a `next()` that waits is done. */
  return(): Promise<IteratorResult<Change, undefined>> {
    this.#returned = true;
    this.#look?.();
    return Promise.resolve(DONE);
  }

  /** What there is to tell now, if anything. */
  #poll(): IteratorResult<Change, undefined> | undefined {
    const { queue: { library: { shim } }, revision, generation, mapped, life } = this.#place;
    if (this.#returned) return DONE;
    this.#signal?.throwIfAborted();
    if (life.ended !== undefined) {
      if (life.ended.error !== undefined) throw life.ended.error;
      return DONE;
    }
    const current = shim.shim_word_load64(revision);
    const newest = shim.shim_word_load64(generation);
    if (current === this.#after && newest === this.#told) return undefined;
    this.#after = current;
    this.#told = newest;
    return { value: { revision: current, generation: newest, replaced: newest !== mapped }, done: false };
  }

  #spinFor(): IteratorResult<Change, undefined> | undefined {
    if (this.#spin === 0) return undefined;
    const { queue: { library: { shim } }, revision, parked } = this.#place;
    shim.shim_revision_wait(revision, parked.address, null, this.#after, SPIN_ONLY, this.#spin / 1000);
    return this.#poll();
  }

  /** Resolves with what there is to tell, once there is something. What is to clean up is done before. */
  #park(): Promise<IteratorResult<Change, undefined>> {
    const { life, bell } = this.#place;
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Change, undefined>>();
    let result: (() => void) | undefined;
    const finish = (): void => {
      life.waits.delete(promise);
      life.checks.delete(look);
      this.#signal?.removeEventListener("abort", look);
      this.#pending = this.#look = undefined;
      if (result !== undefined) result();
      else resolve(this.#park()); // a thread that woke for a revision that was there for a moment only
    };
    const look = (): void => {
      if (result !== undefined) return;
      try {
        const found = this.#poll();
        if (found === undefined) return;
        result = () => resolve(found);
      } catch (error) {
        result = () => reject(error);
      }
      leave();
    };
    const leave = bell.ready() ? this.#onBell(look, finish) : this.#onThread(look, finish);
    life.waits.add(promise);
    life.checks.add(look);
    this.#signal?.addEventListener("abort", look, { once: true });
    this.#look = look;
    this.#pending = promise;
    // Parked by now, then the look at the word; a commit does the reverse, so that one of the two sees the other.
    look();
    return promise;
  }

  /** Parks on the doorbell; gives how to leave it. */
  #onBell(look: () => void, finish: () => void): () => void {
    const { parked, bell } = this.#place;
    bell.add(look);
    parked.enter();
    return () => {
      parked.leave();
      bell.remove(look);
      finish();
    };
  }

  /** Has a native thread wait; gives how to end that. Only when it has ended is the wait over. */
  #onThread(look: () => void, finish: () => void): () => void {
    const { queue, revision, parked, name } = this.#place;
    const { shim } = queue.library;
    let ended = false;
    const request = queue.expect(() => {
      ended = true;
      look(); // leaves by itself, unless it was told to before
      finish();
    });
    const { address } = parked;
    const error = shim.shim_revision_wait_async(queue.handle, request, revision, address, this.#after, -1);
    if (error !== 0) {
      queue.forget(request);
      throw new Error(`Cannot wait for changes of "${name}": ${describeError(error)}`);
    }
    return () => {
      if (!ended) shim.shim_wait_cancel(queue.handle, request);
    };
  }
}
