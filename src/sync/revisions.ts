import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import { Changes, type ChangesOptions } from "./changes.ts";
import { PeerGoneError } from "./errors.ts";
import type { ParkedWord } from "./parked_word.ts";
import { millisecondsOf, spinOf, type SyncWaitOptions, timeoutError } from "./waiting.ts";

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

/** What the waits of one region share: whether they are over, and who is to be told. */
export interface Life {
  ended: { readonly error: Error | undefined } | undefined;
  /** Has those who wait look whether they still have to. */
  readonly checks: Set<() => void>;
  /** Settled when nobody looks at the words any more. */
  readonly waits: Set<Promise<unknown>>;
}

/** What waits for changes throw when the other side is gone. */
export function goneError(name: string): PeerGoneError {
  return new PeerGoneError(`Cannot wait for changes of "${name}": the server is gone`);
}

/** The revisions of one generation of a region, as one realm sees them. */
export class Revisions {
  readonly #place: RevisionPlace;
  readonly #generation: number;
  readonly #life: Life = { ended: undefined, checks: new Set(), waits: new Set() };

  /** @param generation the generation that is mapped */
  constructor(place: RevisionPlace, generation: number) {
    this.#place = place;
    this.#generation = generation;
  }

  /** The newest revision. */
  get current(): number {
    const { ended } = this.#life;
    if (ended !== undefined && ended.error === undefined) this.#check();
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

  /** Gives the newest revision whenever it changed. */
  changes(options: ChangesOptions): Changes {
    return new Changes({ ...this.#place, mapped: this.#generation, life: this.#life }, options);
  }

  /** Ends all waits, with an error or, without one, in order. After this the words may be unmapped. */
  async end(error?: Error): Promise<void> {
    this.#life.ended ??= { error };
    for (const check of this.#life.checks) check();
    await Promise.allSettled(this.#life.waits);
  }

  #check(): void {
    const { ended } = this.#life;
    if (ended === undefined) return;
    throw ended.error ?? new TypeError(`Cannot use the revisions of "${this.#place.name}": it is closed`);
  }
}
