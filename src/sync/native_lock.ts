import type { Library } from "../../ffi/load.ts";
import type { Address, ShimLock } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { LockGuard } from "./mutex.ts";
import { PeerGoneError } from "./errors.ts";
import type { TurnPlace, Turns } from "./turns.ts";

/** `enum shim_lock_kind` */
export const NativeKind = { rwlock: 1, semaphore: 2, manual: 3, auto: 4 } as const;

/** `enum shim_lock_mode` */
export const Mode = { take: 0, write: 1 } as const;

/** `SHIM_LOCK_TOLD`: the last writer died. */
const TOLD = 0x1_0000;

/** Where a lock lives that is no mutex. */
export interface NativeLockPlace extends TurnPlace {
  /** The events of this realm. */
  readonly queue: EventQueue;
  /** Its name, for errors. */
  readonly name: string;
  /** Its memory. */
  readonly memory: Address;
  /** One of {@linkcode NativeKind}. */
  readonly kind: number;
  /** The units of a semaphore. */
  readonly limit: number;
  /** The number of this end of the link. */
  readonly owner: number;
  /** The word that becomes 1 when the other side is gone, where there is only one other side. */
  readonly gone: Address | null;
}

/** Something held of a lock. */
class Hold implements LockGuard {
  readonly abandoned: boolean;
  readonly #lock: NativeLock;

  constructor(lock: NativeLock, place: number) {
    this.abandoned = (place & TOLD) !== 0;
    this.#lock = lock;
  }

  unlock(): void {
    this.#lock.release(this);
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** A lock that is no mutex, at one end of a link: its native handle, and what this realm holds of it. */
export class NativeLock implements TurnPlace {
  readonly queue: EventQueue;
  readonly name: string;
  readonly words: Address;
  readonly turns: Turns;
  /** The word that becomes 1 when the other side is gone, or `null`. */
  readonly gone: Address | null;
  /** The handle, for the functions of the shim. */
  readonly handle: ShimLock;
  readonly #shim: Library["shim"];
  /** What is held, with what gives it back. */
  readonly #holds = new Map<LockGuard, () => void>();
  readonly #enders = new Set<(error: Error) => void>();
  #ended: Error | undefined;
  #closed = false;

  /** @throws {Error} if no memory is left */
  constructor(place: NativeLockPlace) {
    this.queue = place.queue;
    this.name = place.name;
    this.words = place.words;
    this.turns = place.turns;
    this.gone = place.gone;
    this.#shim = place.queue.library.shim;
    const { words, turns, memory, kind, limit, owner } = place;
    const handle = this.#shim.shim_lock_create(words, turns.word, memory, kind, limit, owner);
    if (handle === null) throw new Error(`Cannot use the lock "${place.name}": no memory is left`);
    this.handle = handle;
  }

  /** The free units, the readers, or 1 for an event that is set. */
  get count(): number {
    this.check();
    return this.#shim.shim_lock_count(this.handle);
  }

  /**
   * Checks that it may be used still.
   *
   * @throws {PeerGoneError} if its server is gone
   * @throws {TypeError} if it is closed
   */
  check(): void {
    if (this.#ended !== undefined) throw this.#ended;
    // XPC's thread may know it before the event loop of this realm does.
    if (this.gone !== null && this.#shim.shim_word_load(this.gone) !== 0) throw this.end(this.goneError());
  }

  /** What waits throw when the server is gone. */
  goneError(): PeerGoneError {
    return new PeerGoneError(`Cannot wait for "${this.name}": the server is gone`);
  }

  /** Calls `ender` when the waits are over, unless it is removed. */
  onEnd(ender: (error: Error) => void): void {
    this.#enders.add(ender);
  }

  /** Removes what {@linkcode onEnd} got. */
  offEnd(ender: (error: Error) => void): void {
    this.#enders.delete(ender);
  }

  /** Remembers what was taken. */
  hold(mode: number, place: number): LockGuard {
    const hold = new Hold(this, place);
    this.#holds.set(hold, () => this.#shim.shim_lock_release(this.handle, mode, place));
    return hold;
  }

  /** Gives back what a guard stands for, once. */
  release(hold: LockGuard): void {
    const release = this.#holds.get(hold);
    if (release === undefined) return;
    this.#holds.delete(hold);
    // Fails where this end was declared dead: then it is released already.
    release();
    this.turns.ring();
  }

  /** Sets an event. */
  set(): void {
    this.check();
    this.#shim.shim_lock_set(this.handle);
    this.turns.ring();
  }

  /** Resets an event. */
  reset(): void {
    this.check();
    this.#shim.shim_lock_reset(this.handle);
  }

  /** Ends all waits; the first error counts. */
  end(error: Error): Error {
    this.#ended ??= error;
    for (const ender of [...this.#enders]) ender(this.#ended);
    return this.#ended;
  }

  /** Ends all waits, and gives back what this realm holds. Afterwards the memory may be unmapped. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.end(new TypeError(`Cannot use the lock "${this.name}": it is closed`));
    for (const release of this.#holds.values()) release();
    this.#holds.clear();
    this.#shim.shim_lock_free(this.handle);
  }
}
