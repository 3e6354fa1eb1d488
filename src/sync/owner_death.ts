import type { Library } from "../../ffi/load.ts";
import type { Address, ShimLocks, ShimOwner } from "../../ffi/types.ts";

/** The words that change when an owner of locks dies. */
export interface OwnedWords {
  /** The first of its mutexes. */
  readonly mutexes: Address;
  /** The first of the revisions that it may commit. */
  readonly revisions: Address;
  /** How far apart the mutexes are, and the revisions, in bytes. */
  readonly stride: number;
  /** How many there are. */
  readonly count: number;
  /** The number of the owner. */
  readonly owner: number;
  /** A word that becomes 1 for threads of ours that wait, or `null`. */
  readonly gone: Address | null;
  /** The turns of all locks. */
  readonly turns: Address;
  /** Other locks that it may hold, or `null`. */
  readonly locks: ShimLocks | null;
}

/** What calls a native function when the other side dies: a connection. */
export interface Mortal {
  /** Has `call(context)` called at the death; the result ends that. */
  onDeath(call: Deno.PointerObject, context: Deno.PointerObject): () => void;
}

/**
 * Marks what an owner of locks held as abandoned as soon as it dies. This happens on XPC's thread, so that a realm
 * that sits in a synchronous wait learns it, too.
 */
export class OwnerDeath implements Disposable {
  readonly #library: Library;
  readonly #handle: ShimOwner;
  readonly #forget: () => void;
  #disposed = false;

  /**
   * Starts to watch.
   *
   * @param library the libraries
   * @param link the connection to the owner
   * @param words what changes; stays mapped until this object is disposed
   * @throws {ConnectionError} if the connection is over
   * @throws {Error} if no memory is left
   */
  constructor(library: Library, link: Mortal, words: OwnedWords) {
    const { mutexes, revisions, stride, count, owner, gone, turns, locks } = words;
    const { shim } = library;
    const handle = shim.shim_owner_create(
      mutexes,
      revisions,
      stride,
      count,
      owner,
      gone,
      turns,
      locks,
    );
    if (handle === null) throw new Error("Cannot watch the owner of locks: no memory is left");
    this.#library = library;
    this.#handle = handle;
    try {
      this.#forget = link.onDeath(shim.shim_owner_death_call()!, handle);
    } catch (error) {
      shim.shim_owner_free(handle);
      throw error;
    }
  }

  /** A word that is not 0 once the owner is dead; it lives until this object is disposed. */
  get dead(): Address {
    return this.#library.shim.shim_owner_dead(this.#handle)!;
  }

  /** Stops to watch: afterwards the words may be unmapped. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#forget();
    this.#library.shim.shim_owner_free(this.#handle);
  }
}
