import { describeError } from "../../ffi/errno.ts";
import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/_events.ts";
import { PeerGoneError } from "./errors.ts";
import type { ParkedWord } from "./parked_word.ts";
import {
  millisecondsOf,
  MOST_BLOCKING,
  SPIN_ONLY,
  spinOf,
  type SyncWaitOptions,
  timeoutError,
} from "./waiting.ts";

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

/** What tells a parked realm that something was committed. */
export interface Bell {
  /**
   * Whether it can be used; the first call has it made. Until then, and where it cannot be made, a native thread
   * waits: nobody waits for the other side to know of a bell.
   */
  ready(): boolean;
  /** Calls `listener` at each ring, until it is removed. */
  add(listener: () => void): void;
  remove(listener: () => void): void;
}

/** Where the revision of a region lives. */
export interface RevisionPlace {
  readonly queue: EventQueue;
  /** The region's name, for errors. */
  readonly name: string;
  /** Its number. */
  readonly index: number;
  /** Its revision. */
  readonly revision: Address;
  /** The generation of it that is the newest. */
  readonly generation: Address;
  /** Our parked word for it. */
  readonly parked: ParkedWord;
  /** The word that says that the other side is gone, where there is only one. */
  readonly gone: Address | null;
  /** Whom a commit of ours wakes. */
  readonly audience: ShimAudience;
  /** What wakes us. */
  readonly bell: Bell;
}

/** What waits for changes throw when the other side is gone. */
export function goneError(name: string): PeerGoneError {
  return new PeerGoneError(`Cannot wait for changes of "${name}": the server is gone`);
}

/** The revisions of one generation of a region, as one realm sees them. */
export class Revisions {
  readonly #place: RevisionPlace;
  readonly #generation: number;
  readonly #checks = new Set<() => void>();
  readonly #waits = new Set<Promise<void>>();
  #ended: { readonly error: Error | undefined } | undefined;

  /** @param generation the generation that is mapped */
  constructor(place: RevisionPlace, generation: number) {
    this.#place = place;
    this.#generation = generation;
  }

  /** The newest revision. */
  get current(): number {
    if (this.#ended !== undefined && this.#ended.error === undefined) this.#check();
    return this.#place.queue.library.shim.shim_word_load64(this.#place.revision);
  }

  /** Makes a new revision and wakes those who wait for one. */
  commit(): number {
    this.#check();
    const { queue, audience, revision, index } = this.#place;
    return queue.library.shim.shim_revision_commit(audience, revision, index);
  }

  /** Blocks this thread until the revision is not `after`. */
  waitSync(after: number, options: SyncWaitOptions): number {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#check();
    const { queue: { library: { shim } }, revision, parked, gone, name } = this.#place;
    const current = shim.shim_revision_wait(revision, parked.address, gone, after, spin, milliseconds);
    if (current !== after) return current;
    if (gone !== null && shim.shim_word_load(gone) !== 0) throw goneError(name);
    throw timeoutError(`see a change of "${name}"`, milliseconds);
  }

  /** Yields the newest revision whenever it changed. */
  async *changes(options: ChangesOptions): AsyncGenerator<Change, void, void> {
    const { signal } = options;
    const spin = Math.min(spinOf(options), MOST_BLOCKING);
    const { queue: { library: { shim } }, revision, generation } = this.#place;
    let { after = 0 } = options;
    let told = this.#generation;
    for (;;) {
      signal?.throwIfAborted();
      if (this.#ended !== undefined) {
        if (this.#ended.error !== undefined) throw this.#ended.error;
        return;
      }
      const current = shim.shim_word_load64(revision);
      const newest = shim.shim_word_load64(generation);
      if (current !== after || newest !== told) {
        after = current;
        told = newest;
        yield { revision: current, generation: newest, replaced: newest !== this.#generation };
      } else {
        await this.#change(after, spin, signal);
      }
    }
  }

  /** Resolves when the revision may have changed, the signal aborted, or this ended. */
  async #change(after: number, spin: number, signal: AbortSignal | undefined): Promise<void> {
    const { queue: { library: { shim } }, revision, parked, bell } = this.#place;
    if (
      spin > 0 &&
      shim.shim_revision_wait(revision, parked.address, null, after, SPIN_ONLY, spin / 1000) !== after
    ) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const check = (): void => {
      if (
        this.#ended !== undefined || signal?.aborted === true || shim.shim_word_load64(revision) !== after
      ) resolve();
    };
    signal?.addEventListener("abort", check, { once: true });
    this.#checks.add(check);
    const wait = bell.ready() ? this.#onBell(check, promise) : this.#onThread(after, check, promise);
    this.#waits.add(wait);
    try {
      await wait;
    } finally {
      this.#waits.delete(wait);
      this.#checks.delete(check);
      signal?.removeEventListener("abort", check);
    }
  }

  async #onBell(check: () => void, changed: Promise<void>): Promise<void> {
    const { parked, bell } = this.#place;
    bell.add(check);
    // Parked first, then the look at the word; a commit does the reverse, so that one of the two sees the other.
    parked.enter();
    check();
    try {
      await changed;
    } finally {
      parked.leave();
      bell.remove(check);
    }
  }

  async #onThread(after: number, check: () => void, changed: Promise<void>): Promise<void> {
    const { queue, revision, parked, name } = this.#place;
    const over = Promise.withResolvers<void>();
    const request = queue.expect(() => over.resolve());
    const { shim } = queue.library;
    const error = shim.shim_revision_wait_async(queue.handle, request, revision, parked.address, after, -1);
    if (error !== 0) {
      queue.forget(request);
      throw new Error(`Cannot wait for changes of "${name}": ${describeError(error)}`);
    }
    check();
    await Promise.race([changed, over.promise]);
    shim.shim_wait_cancel(queue.handle, request);
    await over.promise; // the thread looks at the word until then
  }

  /** Ends all waits, with an error or, without one, in order. After this the words may be unmapped. */
  async end(error?: Error): Promise<void> {
    this.#ended ??= { error };
    for (const check of this.#checks) check();
    await Promise.allSettled(this.#waits);
  }

  #check(): void {
    if (this.#ended === undefined) return;
    throw this.#ended.error ??
      new TypeError(`Cannot use the revisions of "${this.#place.name}": it is closed`);
  }
}
