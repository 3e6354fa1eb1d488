import type { Mapping } from "../memory/mapping.ts";
import { Mutex } from "../sync/mutex.ts";
import { NativeKind, NativeLock } from "../sync/native_lock.ts";
import { mutexAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import type { LockKind } from "./lock_spec.ts";

/** A lock as it is agreed upon between the two ends. */
export interface LockFacts {
  /** Its name. */
  readonly name: string;
  /** Its number: the place of its words. */
  readonly index: number;
  /** Its kind. */
  readonly kind: LockKind;
  /** The units of a semaphore; 0 for other kinds. */
  readonly limit: number;
}

/** A lock at one end of a link: the algorithms on its words. It owns its memory; the words belong to the end. */
export class LinkedLock {
  readonly name: string;
  readonly index: number;
  readonly kind: LockKind;
  readonly limit: number;
  /** The memory, `undefined` for a mutex, which has its word only. */
  readonly mapping: Mapping | undefined;
  /** What locks, if it is a mutex. */
  readonly mutex: Mutex | undefined;
  /** What locks, if it is none. */
  readonly native: NativeLock | undefined;
  readonly #end: LinkEnd;
  readonly #onClose: () => void;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  #orphaned = false;
  #closing: Promise<void> | undefined;

  /**
   * Takes over the mapping.
   *
   * @param end where its words are
   * @param facts what the two ends agreed upon
   * @param mapping its memory
   * @param onClose called once, when the lock has been closed
   * @throws {Error} if no memory is left
   */
  constructor(
    end: LinkEnd,
    facts: LockFacts,
    mapping: Mapping | undefined,
    onClose: (lock: LinkedLock) => void,
  ) {
    this.name = facts.name;
    this.index = facts.index;
    this.kind = facts.kind;
    this.limit = facts.limit;
    this.mapping = mapping;
    this.#end = end;
    this.#onClose = () => onClose(this);
    const { queue, owner, turns, gone, locks } = end;
    const place = { queue, owner, turns, gone, name: facts.name, limit: facts.limit };
    const words = locks.word(mutexAt(facts.index));
    if (facts.kind === "mutex" || mapping === undefined) {
      this.mutex = new Mutex({ ...place, word: words }, facts.name);
      return;
    }
    this.native = new NativeLock({
      ...place,
      words,
      memory: mapping.word(0, 8),
      kind: NativeKind[facts.kind],
    });
    if (end.ownedLocks !== null) queue.library.shim.shim_locks_add(end.ownedLocks, this.native.handle);
  }

  /** Resolves when the lock is closed (with `undefined`) or its server is gone (with an error). */
  get closed(): Promise<Error | undefined> {
    return this.#ended.promise;
  }

  /** Whether its server is gone: then nobody can take it any more. */
  get orphaned(): boolean {
    return this.#orphaned;
  }

  /** Fails all waits: the server is gone. */
  async orphan(error: Error): Promise<void> {
    this.#orphaned = true;
    this.#ended.resolve(error);
    this.native?.end(error);
    await this.mutex?.close(error);
  }

  /** Ends the waits, gives back what is held, and unmaps. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended.resolve(undefined);
    const { ownedLocks, queue: { library: { shim } } } = this.#end;
    if (this.native !== undefined && ownedLocks !== null) {
      shim.shim_locks_remove(ownedLocks, this.native.handle);
    }
    this.native?.close();
    await this.mutex?.close("the lock is closed");
    this.mapping?.close();
    this.#onClose();
  }
}
