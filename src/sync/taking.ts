import type { Library } from "../../ffi/load.ts";
import { startTimer } from "../xpc/timer.ts";
import type { NativeLock } from "./native_lock.ts";
import { turnsOf, Waiting } from "./turns.ts";
import {
  MAX_SPIN_ON_LOOP,
  millisecondsOf,
  signalOf,
  SPIN_ONLY,
  spinOf,
  type SyncWaitOptions,
  timeoutError,
  type WaitOptions,
} from "./waiting.ts";
import type { WaitSource } from "./wait_source.ts";

/** `enum shim_lock_result` */
const Result = { pending: -2, timedOut: -3 } as const;

/** A call in this realm that waits. */
interface Waiter<T> {
  readonly resolve: (taken: T) => void;
  readonly reject: (error: unknown) => void;
}

/** How to take a lock, and what the taker gets. */
export interface TakingKind<T> {
  /** One of `Mode`. */
  readonly mode: number;
  /** What is done, for errors: "lock", "wait for", … */
  readonly doing: string;
  /** Makes what the taker gets of the place that was taken. */
  take(place: number): T;
  /** Whether what it makes stands for nothing that is held: `waitAny()` need not keep it. */
  readonly drops?: true;
}

/**
 * Taking a lock in one of its modes, for all calls of this realm: those that wait without blocking get it in their order.
 */
export class Taking<T> {
  readonly #lock: NativeLock;
  readonly #kind: TakingKind<T>;
  readonly #shim: Library["shim"];
  readonly #try: Library["shim"]["shim_lock_try"];
  readonly #waiters: Waiter<T>[] = [];
  /** What `waitAny()` took and nobody adopted. */
  readonly #unadopted: T[] = [];
  #claimed = false; // for the first waiter

  constructor(lock: NativeLock, kind: TakingKind<T>) {
    this.#lock = lock;
    this.#kind = kind;
    this.#shim = lock.queue.library.shim;
    this.#try = this.#shim.shim_lock_try; // found once: a table finds the functions that are bound late by getters
    lock.onEnd((error) => this.#fail(error));
  }

  /** Takes it if that is possible at once. */
  try(): T | undefined {
    this.#lock.check();
    if (this.#waiters.length > 0) return undefined;
    return this.#taken(this.#tryOnce());
  }

  /** Takes it, waiting without blocking the event loop. */
  async wait(options: WaitOptions): Promise<T> {
    const signal = signalOf(options);
    signal?.throwIfAborted();
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#lock.check();
    if (this.#waiters.length === 0) {
      let place = this.#tryOnce();
      if (place < 0 && spin > 0 && milliseconds !== 0) {
        const short = Math.min(spin, MAX_SPIN_ON_LOOP) / 1000;
        place = this.#shim.shim_lock_wait(this.#lock.handle, this.#kind.mode, null, SPIN_ONLY, short);
      }
      if (place >= 0) return this.#kind.take(place);
    }
    return await this.#enqueue(milliseconds, signal);
  }

  /** Takes it, blocking this thread. */
  waitSync(options: SyncWaitOptions): T {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#lock.check();
    const { handle, gone, name } = this.#lock;
    const { mode, doing } = this.#kind;
    let place = this.#tryOnce();
    if (place < 0) {
      if (this.#shim.shim_lock_blocks_itself(handle, mode)) {
        throw new TypeError(
          `Cannot ${doing} "${name}" here: this realm holds it or waits for it, and would block itself`,
        );
      }
      place = this.#shim.shim_lock_wait(handle, mode, gone, spin, milliseconds);
    }
    if (place >= 0) return this.#kind.take(place);
    if (place === Result.timedOut) throw this.#timeoutError(milliseconds);
    throw this.#lock.end(this.#lock.goneError());
  }

  /**
   * Gives what `waitAny()` took.
   *
   * @throws {TypeError} if it took nothing
   */
  adopt(): T {
    const taken = this.#unadopted.shift();
    if (taken !== undefined) return taken;
    throw new TypeError(`Cannot adopt "${this.#lock.name}": no waitAny() has taken it`);
  }

  /** For one wait for several things. */
  source(): WaitSource {
    return new TakingSource(this.#lock, this.#kind.mode, (place) => {
      if (this.#kind.drops === undefined) this.#unadopted.push(this.#kind.take(place));
    });
  }

  /** Tries, and leaves no claim. */
  #tryOnce(): number {
    const place = this.#try(this.#lock.handle, this.#kind.mode, false);
    if (place === Result.pending) this.#shim.shim_lock_unclaim(this.#lock.handle);
    return place;
  }

  #taken(place: number): T | undefined {
    return place < 0 ? undefined : this.#kind.take(place);
  }

  #timeoutError(milliseconds: number): DOMException {
    const { name, handle } = this.#lock;
    const pid = this.#shim.shim_lock_holder(handle);
    return timeoutError(
      `${this.#kind.doing} "${name}"`,
      milliseconds,
      pid === 0 ? "" : `: process ${pid} holds it`,
    );
  }

  async #enqueue(milliseconds: number, signal: AbortSignal | undefined): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter<T> = { resolve, reject };
    const fail = (error: unknown): void => {
      if (!this.#remove(waiter)) return;
      reject(error);
    };
    const abort = (): void => fail(signal?.reason);
    // Before the timer and the listener: this may throw.
    if (this.#waiters.length === 0) this.#lock.turns.add(this.#look);
    const stopTimer = startTimer(milliseconds < 0 ? Infinity : milliseconds, () => {
      fail(this.#timeoutError(milliseconds));
    });
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiters.push(waiter);
    this.#look();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      stopTimer();
    }
  }

  /** Takes a waiter out; whether it was there. */
  #remove(waiter: Waiter<T>): boolean {
    const index = this.#waiters.indexOf(waiter);
    if (index < 0) return false;
    this.#waiters.splice(index, 1);
    this.#rest();
    return true;
  }

  /** Stops to wait where nobody waits any more. The claim of the first waiter is the next one's. */
  #rest(): void {
    if (this.#waiters.length > 0) return;
    this.#lock.turns.remove(this.#look);
    if (this.#claimed) this.#shim.shim_lock_unclaim(this.#lock.handle);
    this.#claimed = false;
  }

  /** Gives the waiters what there is to take. */
  readonly #look = (trouble?: Error): void => {
    if (trouble !== undefined) return this.#fail(trouble);
    const { handle, words } = this.#lock;
    while (this.#waiters.length > 0) {
      this.#shim.shim_turn_ask(words, Waiting.realm); // asked first, then the try: who gives it back does the reverse
      const place = this.#try(handle, this.#kind.mode, this.#claimed);
      this.#claimed = place === Result.pending;
      if (place < 0) return;
      this.#waiters.shift()!.resolve(this.#kind.take(place));
    }
    this.#rest();
  };

  #fail(error: Error): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error);
    this.#rest();
  }
}

/** One mode of a lock in a wait for several things. */
class TakingSource implements WaitSource {
  readonly #lock: NativeLock;
  readonly #mode: number;
  readonly #take: (place: number) => void;
  readonly #shim: Library["shim"];
  #check: ((trouble?: Error) => void) | undefined;
  #ended: (() => void) | undefined;
  #who: number = Waiting.realm;
  #claimed = false;

  constructor(lock: NativeLock, mode: number, take: (place: number) => void) {
    this.#lock = lock;
    this.#mode = mode;
    this.#take = take;
    this.#shim = lock.queue.library.shim;
  }

  get queue(): NativeLock["queue"] {
    return this.#lock.queue;
  }

  get word(): WaitSource["word"] {
    return turnsOf(this.#lock.words);
  }

  poll(asks: boolean): boolean {
    this.#lock.check();
    const { handle, words } = this.#lock;
    if (asks) this.#shim.shim_turn_ask(words, this.#who);
    const place = this.#shim.shim_lock_try(handle, this.#mode, this.#claimed);
    this.#claimed = place === Result.pending;
    if (place < 0) return false;
    this.#take(place);
    return true;
  }

  park(check: (trouble?: Error) => void): void {
    this.#check = check;
    this.#ended = () => check();
    this.#lock.onEnd(this.#ended);
    this.#lock.turns.add(check);
  }

  sleep(): void {
    this.#who = Waiting.thread;
  }

  end(): void {
    if (this.#check !== undefined) this.#lock.turns.remove(this.#check);
    if (this.#ended !== undefined) this.#lock.offEnd(this.#ended);
    if (this.#claimed) this.#shim.shim_lock_unclaim(this.#lock.handle);
    this.#claimed = false;
  }
}
