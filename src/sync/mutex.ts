import type { Library } from "../../ffi/load.ts";
import type { Address } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import { describeError } from "../../ffi/errno.ts";
import { inWords } from "../xpc/in_words.ts";
import { PeerGoneError } from "./errors.ts";
import { MutexSource } from "./mutex_source.ts";
import type { Turns } from "./turns.ts";
import { type Waitable, type WaitSource, waitSource } from "./wait_source.ts";
import { startTimer } from "../xpc/timer.ts";
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

/** `enum shim_mutex_result` */
const Result = { busy: 0, locked: 1, abandoned: 2, timedOut: 3, cancelled: 4 } as const;

/** `SHIM_MUTEX_OWNER`: the bits of the word with the number of the owner that holds it. */
export const MUTEX_OWNER = 0x3fff_ffff;

/** `SHIM_MUTEX_ABANDONED`: the last holder died while it held the mutex. */
export const MUTEX_ABANDONED = 0x4000_0000;

/** What a function that runs under a mutex is told. */
export interface LockState {
  /**
   * Whether the previous holder died while it held the mutex: what the mutex guards may be half written. Only the
   * next holder is told.
   */
  readonly abandoned: boolean;
}

/** One for all calls: an object for each would take longer than the lock. */
const INTACT: LockState = Object.freeze({ abandoned: false });
const ABANDONED: LockState = Object.freeze({ abandoned: true });

/** How long a synchronous wait sleeps before it looks whether its server is gone, in milliseconds. */
const LOOK_AGAIN = 200;

/** A mutex that is held; `using` unlocks it. */
export interface LockGuard extends Disposable {
  /**
   * Whether the previous holder died while it held the mutex: what the mutex guards may be half written. Only the
   * next holder is told.
   */
  readonly abandoned: boolean;
  /** Unlocks the mutex. Idempotent. */
  unlock(): void;
}

class Guard implements LockGuard {
  readonly abandoned: boolean;
  #mutex: Mutex | undefined;

  constructor(mutex: Mutex, abandoned: boolean) {
    this.#mutex = mutex;
    this.abandoned = abandoned;
  }

  unlock(): void {
    const mutex = this.#mutex;
    if (mutex === undefined) return;
    this.#mutex = undefined;
    mutex.unlock();
  }

  [Symbol.dispose](): void {
    this.unlock();
  }
}

/** Checks the options of a wait before anything is locked. */
function checkOptions(options: WaitOptions): void {
  signalOf(options)?.throwIfAborted();
  millisecondsOf(options);
  spinOf(options);
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

/** A call of `lock()` in this realm that waits. */
interface Waiter {
  readonly resolve: (guard: LockGuard) => void;
  readonly reject: (error: unknown) => void;
}

/** The native functions of a mutex. Where several realms are one owner, they also note which of them holds it. */
export type MutexCalls = Pick<
  Library["shim"],
  | "shim_mutex_try"
  | "shim_mutex_wait"
  | "shim_mutex_wait_async"
  | "shim_mutex_abandon"
  | "shim_mutex_holder"
  | "shim_turn_give"
  | "shim_turn_unlock"
  | "shim_wait_cancel"
  | "shim_word_load"
>;

/** Where a mutex lives. */
export interface MutexPlace {
  /** The events of this realm. */
  readonly queue: EventQueue;
  /** The word. Behind it lie the pid of the process that locked it last, and who waits for a turn. */
  readonly word: Address;
  /** The turns of all locks of the service. */
  readonly turns: Turns;
  /** The number of this end of the link, given by the server; never 0. */
  readonly owner: number;
  /** A word that ends synchronous waits when it is not 0; without one, a mutex outlives its server. */
  readonly gone?: Address | null;
  /** The functions to use instead of the shim's. */
  readonly calls?: MutexCalls | undefined;
  /** Whether other realms of this process are the same owner. */
  readonly isShared?: () => boolean;
}

/**
 * A mutex between processes, one for each region. It belongs to a connection, not to a thread: when its holder dies,
 * the next holder is told. It is not recursive. Calls of `lock()` in one realm get it in their order.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.mutex", { regions: { frame: { byteLength: 4096 } } });
 * await using client = await connect("com.example.mutex");
 * const frame = await client.open("frame");
 * {
 *   using guard = await frame.mutex.lock({ timeout: 1000 });
 *   if (guard.abandoned) console.log("the frame may be torn");
 *   assert(server.region("frame").mutex.tryLock() === undefined);
 * }
 * ```
 */
export class Mutex implements Waitable {
  readonly #events: EventQueue;
  // Kept here rather than in the place: an uncontended lock takes no longer than a few steps through objects.
  readonly #shim: MutexCalls;
  readonly #isShared: () => boolean;
  readonly #word: Address;
  readonly #turns: Turns;
  readonly #gone: Address | null;
  readonly #owner: number;
  readonly #name: string;
  readonly #waiters: Waiter[] = [];
  #held = false;
  /** What `waitAny()` took and nobody adopted. */
  #unadopted: LockGuard | undefined;
  #request: number | undefined; // of the native wait for the first waiter
  #closed: string | Error | undefined;
  #idle: PromiseWithResolvers<void> | undefined; // resolved when the native wait has ended, for close()

  /** @internal */
  constructor(place: MutexPlace, name: string) {
    this.#events = place.queue;
    this.#shim = place.calls ?? place.queue.library.shim;
    this.#isShared = place.isShared ?? (() => false);
    this.#word = place.word;
    this.#turns = place.turns;
    this.#gone = place.gone ?? null;
    this.#owner = place.owner;
    this.#name = name;
  }

  /** Whether this realm holds it. */
  get held(): boolean {
    return this.#held;
  }

  /**
   * Locks it if nobody holds it.
   *
   * @returns the guard, or `undefined` if someone holds it
   * @throws {TypeError} if the region is closed
   */
  tryLock(): LockGuard | undefined {
    this.#check();
    if (this.#held) return undefined;
    const result = this.#shim.shim_mutex_try(this.#word, this.#owner);
    return result === Result.busy ? undefined : this.#take(result);
  }

  /**
   * Locks it, waiting without blocking the event loop.
   *
   * @param options how long to wait
   * @returns the guard
   * @throws {DOMException} `TimeoutError` if it cannot be locked in time; the message says which process holds it
   * @throws the signal's reason, if it aborts first
   * @throws {TypeError} if the region is closed, now or meanwhile
   */
  async lock(options: WaitOptions = {}): Promise<LockGuard> {
    const signal = signalOf(options);
    signal?.throwIfAborted();
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#check();
    if (!this.#held && this.#waiters.length === 0) {
      let result = this.#shim.shim_mutex_try(this.#word, this.#owner);
      if (result === Result.busy && spin > 0 && milliseconds !== 0) {
        // Spins and does not park, and not for long: nothing else runs meanwhile.
        const short = Math.min(spin, MAX_SPIN_ON_LOOP) / 1000;
        result = this.#shim.shim_mutex_wait(this.#word, this.#owner, SPIN_ONLY, short);
      }
      if (result === Result.locked || result === Result.abandoned) return this.#take(result);
    }
    return await this.#enqueue(milliseconds, signal);
  }

  /**
   * Locks it, blocking this thread: for workers. The holder must not need this thread's event loop to unlock it.
   *
   * @param options how long to spin and to wait
   * @returns the guard
   * @throws {DOMException} `TimeoutError` if it cannot be locked in time; the message says which process holds it
   * @throws {TypeError} if the region is closed, or this realm holds the mutex or waits for it in `lock()`: such a
   *   wait would never end
   */
  lockSync(options: SyncWaitOptions = {}): LockGuard {
    return this.#take(this.#acquireSync(options));
  }

  #acquireSync(options: SyncWaitOptions): number {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#check();
    if (this.#held || this.#waiters.length > 0) throw this.#blocksItself();
    let result = this.#shim.shim_mutex_try(this.#word, this.#owner);
    if (result === Result.busy) {
      // This realm may hold it through another object for the same region, which was opened twice.
      const owner = this.#shim.shim_word_load(this.#word) & MUTEX_OWNER;
      if (owner === this.#owner && !this.#isShared()) throw this.#blocksItself();
      result = this.#waitSync(spin, milliseconds);
    }
    if (result === Result.timedOut) throw this.#timeoutError(milliseconds);
    if (result === Result.cancelled) throw this.#closedError("the region is closed");
    return result;
  }

  /**
   * Runs a function under the mutex, and unlocks it afterwards, whether the function returns or throws. The quickest
   * way to lock: `using` alone takes Deno several times as long.
   *
   * If nobody holds the mutex, it runs the function at once and returns what that returns. If somebody does, it waits as
   * {@linkcode lock} does and returns a promise. So `await` it, unless it is known that nobody else locks. A function
   * that returns a promise holds the mutex until that is settled. The mutex is not recursive: a function must not lock
   * it again, nor await a call that does.
   *
   * @typeParam T what the function returns
   * @param fn what to run; it is told whether the mutex was abandoned
   * @param options how long to wait
   * @returns what the function returns, or a promise of it
   * @throws what the function throws
   * @throws {DOMException} `TimeoutError`, by the promise, if it cannot be locked in time
   * @throws the signal's reason, if it aborts before the mutex is locked
   * @throws {TypeError} if the region is closed, or an argument is of another type
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.with", { regions: { frame: { byteLength: 4096 } } });
   * const frame = server.region("frame");
   * const pixels = frame.view(Uint8Array);
   * const revision = await frame.mutex.with(({ abandoned }) => {
   *   if (abandoned) pixels.fill(0);
   *   pixels[0] = 1;
   *   return frame.commit([{ byteOffset: 0, byteLength: 1 }]);
   * });
   * assertEquals(revision, 1);
   * ```
   */
  with<T>(fn: (state: LockState) => T, options?: WaitOptions): T | Promise<Awaited<T>> {
    if (options !== undefined) checkOptions(options);
    this.#checkFunction(fn);
    if (!this.#held && this.#waiters.length === 0) {
      const result = this.#shim.shim_mutex_try(this.#word, this.#owner);
      if (result !== Result.busy) return this.#run(fn, result);
    }
    return this.#runLater(fn, options);
  }

  /**
   * Runs a function under the mutex as {@linkcode with} does, but blocks this thread until it is locked, as
   * {@linkcode lockSync} does: for workers.
   *
   * @typeParam T what the function returns
   * @param fn what to run; it is told whether the mutex was abandoned
   * @param options how long to spin and to wait
   * @returns what the function returns; if that is a promise, the mutex is held until it is settled
   * @throws what the function throws
   * @throws {DOMException} `TimeoutError` if it cannot be locked in time; the message says which process holds it
   * @throws {TypeError} if the region is closed, if this realm holds the mutex or waits for it, or if an argument is
   *   of another type
   */
  withSync<T>(fn: (state: LockState) => T, options: SyncWaitOptions = {}): T {
    this.#checkFunction(fn);
    const result = this.#acquireSync(options);
    return this.#run(fn, result) as T; // where it is a promise, one of the same
  }

  #checkFunction(fn: unknown): void {
    this.#check();
    if (typeof fn !== "function") {
      throw new TypeError(
        `Cannot run ${inWords(fn)} under the mutex of "${this.#name}": it is not a function`,
      );
    }
  }

  /** Runs a function under the mutex that was just locked. */
  #run<T>(fn: (state: LockState) => T, result: number): T | Promise<Awaited<T>> {
    this.#held = true;
    let isAsync = false;
    try {
      const value = fn(result === Result.abandoned ? ABANDONED : INTACT);
      isAsync = isThenable(value);
      return isAsync ? this.#settle(value) : value;
    } finally {
      if (!isAsync) this.unlock();
    }
  }

  async #settle<T>(value: T): Promise<Awaited<T>> {
    try {
      return await value;
    } finally {
      this.unlock();
    }
  }

  async #runLater<T>(fn: (state: LockState) => T, options: WaitOptions | undefined): Promise<Awaited<T>> {
    using guard = await this.lock(options);
    return await fn(guard.abandoned ? ABANDONED : INTACT);
  }

  #waitSync(spin: number, milliseconds: number): number {
    const gone = this.#gone;
    if (gone === null) return this.#shim.shim_mutex_wait(this.#word, this.#owner, spin, milliseconds);
    const deadline = milliseconds < 0 ? Infinity : performance.now() + milliseconds;
    for (;;) {
      const left = Math.max(deadline - performance.now(), 0);
      const slice = Math.min(left, LOOK_AGAIN);
      const result = this.#shim.shim_mutex_wait(this.#word, this.#owner, spin, slice);
      if (result !== Result.timedOut || left === slice) return result;
      this.#checkServer();
    }
  }

  /** Ends waits where the server is gone, which XPC's thread may know before this realm's event loop does. */
  #checkServer(): void {
    if (this.#gone === null || this.#shim.shim_word_load(this.#gone) === 0) return;
    throw new PeerGoneError(`Cannot lock "${this.#name}": the server is gone`);
  }

  /**
   * Gives the guard of a lock that `waitAny()` has taken.
   *
   * @returns the guard, once
   * @throws {TypeError} if `waitAny()` has not taken it
   */
  adopt(): LockGuard {
    const guard = this.#unadopted;
    if (guard === undefined) throw new TypeError(`Cannot adopt "${this.#name}": no waitAny() has taken it`);
    this.#unadopted = undefined;
    return guard;
  }

  /** @internal */
  [waitSource](): WaitSource {
    const place = { queue: this.#events, words: this.#word, turns: this.#turns };
    return new MutexSource(place, () => {
      const guard = this.tryLock();
      if (guard !== undefined) this.#unadopted = guard;
      else this.#checkServer();
      return guard !== undefined;
    });
  }

  /** @internal For the guard. */
  unlock(): void {
    this.#held = false;
    this.#unadopted = undefined;
    if (this.#closed === undefined) {
      // Fails where the server is gone and declared this end dead: then another holds it by now.
      this.#shim.shim_turn_unlock(this.#word, this.#turns.word, this.#owner);
      if (this.#waiters.length > 0) this.#next();
    }
  }

  /**
   * @internal Fails all waiting calls, unlocks the mutex and ends the native wait. Afterwards the word may be
   * unmapped. With an error for a reason, the calls fail with that, and the mutex stays as it is.
   */
  async close(reason: string | Error): Promise<void> {
    if (this.#closed !== undefined) return await this.#idle?.promise;
    // With an error, the server is gone: the holder goes on to believe that it is alone, and so it stays.
    const isInOrder = typeof reason === "string";
    if (this.#held && isInOrder) this.#shim.shim_turn_unlock(this.#word, this.#turns.word, this.#owner);
    this.#closed = reason;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#closedError(reason));
    this.#turns.ring(); // the waits for several things look, and find it closed
    if (this.#request !== undefined) {
      this.#idle = Promise.withResolvers();
      this.#cancel();
      await this.#idle.promise;
    }
  }

  #blocksItself(): TypeError {
    return new TypeError(
      `Cannot lock "${this.#name}" here: this realm holds it or waits for it, and would block itself`,
    );
  }

  /** Names the holder, as far as the words tell it: they are a peer's, so this is for people only. */
  #timeoutError(milliseconds: number): DOMException {
    const doing = `lock "${this.#name}"`;
    if (this.#closed !== undefined) return timeoutError(doing, milliseconds);
    const owner = this.#shim.shim_word_load(this.#word) & MUTEX_OWNER;
    let why = ": another had it, and has just unlocked it";
    if (owner === this.#owner && (this.#held || !this.#isShared())) {
      why = ": this realm holds it; an `await` or a `using` may be missing where it was locked";
    } else if (owner !== 0) {
      why = `: process ${this.#shim.shim_mutex_holder(this.#word)} holds it`;
    }
    return timeoutError(doing, milliseconds, why);
  }

  #closedError(reason: string | Error): Error {
    return typeof reason === "string" ? new TypeError(`Cannot lock "${this.#name}": ${reason}`) : reason;
  }

  #check(): void {
    if (this.#closed !== undefined) throw this.#closedError(this.#closed);
  }

  #take(result: number): LockGuard {
    this.#held = true;
    return new Guard(this, result === Result.abandoned);
  }

  async #enqueue(milliseconds: number, signal: AbortSignal | undefined): Promise<LockGuard> {
    const { promise, resolve, reject } = Promise.withResolvers<LockGuard>();
    const waiter: Waiter = { resolve, reject };
    const fail = (error: unknown): void => {
      const index = this.#waiters.indexOf(waiter);
      if (index < 0) return;
      this.#waiters.splice(index, 1);
      reject(error);
      // The native wait was for the first call; it is started anew for the next one.
      if (index === 0) this.#cancel();
    };
    const abort = (): void => fail(signal?.reason);
    // Calls behind the first have no native wait that would end in time.
    const stopTimer = startTimer(
      milliseconds < 0 ? Infinity : milliseconds,
      () => fail(this.#timeoutError(milliseconds)),
    );
    signal?.addEventListener("abort", abort, { once: true });
    this.#waiters.push(waiter);
    this.#next();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abort);
      stopTimer();
    }
  }

  #cancel(): void {
    if (this.#request !== undefined) this.#shim.shim_wait_cancel(this.#events.handle, this.#request);
  }

  /** Starts a native wait for the first waiter, if none runs. */
  #next(): void {
    if (this.#waiters.length === 0 || this.#held || this.#request !== undefined) return;
    const { handle } = this.#events;
    const request = this.#events.expect((_, result) => this.#waited(result));
    const error = this.#shim.shim_mutex_wait_async(handle, request, this.#word, this.#owner, -1);
    if (error !== 0) {
      this.#events.forget(request);
      const message = `Cannot wait for the mutex of "${this.#name}": ${describeError(error)}`;
      for (const waiter of this.#waiters.splice(0)) waiter.reject(new Error(message));
      return;
    }
    this.#request = request;
  }

  #waited(result: number): void {
    this.#request = undefined;
    const locked = result === Result.locked || result === Result.abandoned;
    if (this.#closed !== undefined) {
      if (locked) this.#release(result);
      this.#idle?.resolve();
      return;
    }
    const waiter = locked ? this.#waiters.shift() : undefined;
    if (waiter !== undefined) waiter.resolve(this.#take(result));
    else if (locked) this.#release(result);
    else this.#next();
  }

  /** Releases a lock that nobody here waits for any more. Its next holder is told if it was abandoned before. */
  #release(result: number): void {
    if (result === Result.abandoned) this.#shim.shim_mutex_abandon(this.#word, this.#owner);
    else this.#shim.shim_turn_unlock(this.#word, this.#turns.word, this.#owner);
    if (result === Result.abandoned) this.#shim.shim_turn_give(this.#word, this.#turns.word);
  }
}
