import { describeError } from "../../ffi/errno.ts";
import { offset } from "../../ffi/memory.ts";
import type { Address } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";

/** `SHIM_WAITING_THREAD` and `SHIM_WAITING_REALM`: who waits, in the waiting word of a lock. */
export const Waiting = { thread: 1, realm: 2 } as const;

/** The turns of a lock, which a thread sleeps on, behind the beginning of its words. */
export function turnsOf(words: Address): Address {
  return offset(words, 24);
}

/** Looks whether a lock may be had; with an error, nothing tells of turns any more. */
export type TurnCheck = (trouble?: Error) => void;

/** Where the words of a lock are, and what tells of turns. */
export interface TurnPlace {
  /** The words of the lock, which begin with its mutex. */
  readonly words: Address;
  /** The turns of all locks of the service. */
  readonly turns: Turns;
}

/**
 * Tells this realm when a lock may be had for which it asked. One native thread sleeps for all locks of a connection, and
 * only once somebody waits: whoever gives a lock back wakes it in the kernel, whichever process that is. No third
 * process takes part, so that it does not matter what the server does meanwhile.
 */
export class Turns {
  /** The word that counts them. */
  readonly word: Address;
  readonly #queue: EventQueue;
  readonly #checks = new Set<TurnCheck>();
  #request: number | undefined; // of the thread that sleeps
  #ended: PromiseWithResolvers<void> | undefined; // set by close()

  /**
   * @param queue the events of this realm
   * @param word the turns of all locks
   */
  constructor(queue: EventQueue, word: Address) {
    this.#queue = queue;
    this.word = word;
  }

  /**
   * Calls `check` at each turn, until it is removed. The caller then asks for a turn, and tries once more.
   *
   * @throws {Error} if no thread can be had
   */
  add(check: TurnCheck): void {
    this.#watch();
    this.#checks.add(check);
  }

  /** Removes a check. The thread sleeps on, for the next one. */
  remove(check: TurnCheck): void {
    this.#checks.delete(check);
  }

  /** Has all waits of this realm look: something was given back here. */
  ring(trouble?: Error): void {
    if (this.#checks.size === 0) return;
    for (const check of [...this.#checks]) check(trouble);
  }

  /** Ends the thread; the checks must have been removed. Idempotent. */
  async close(): Promise<void> {
    if (this.#ended === undefined) {
      this.#ended = Promise.withResolvers();
      if (this.#request === undefined) this.#ended.resolve();
      else this.#queue.library.shim.shim_wait_cancel(this.#queue.handle, this.#request);
    }
    await this.#ended.promise;
  }

  #watch(): void {
    if (this.#request !== undefined || this.#ended !== undefined) return;
    const { handle, library: { shim } } = this.#queue;
    const request = this.#queue.expect(() => this.#turned());
    const now = shim.shim_word_load64(this.word);
    const error = shim.shim_revision_wait_async(handle, request, this.word, null, now, -1);
    if (error !== 0) {
      this.#queue.forget(request);
      throw new Error(`Cannot wait for a lock: ${describeError(error)}`);
    }
    this.#request = request;
  }

  #turned(): void {
    this.#request = undefined;
    if (this.#ended !== undefined) return this.#ended.resolve();
    let trouble: Error | undefined;
    try {
      // First, so that a turn which is given while the checks look is not missed.
      if (this.#checks.size > 0) this.#watch();
    } catch (error) {
      trouble = error as Error;
    }
    this.ring(trouble);
  }
}
