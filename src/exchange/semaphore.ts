import type { LinkedLock } from "../link/linked_lock.ts";
import type { LockGuard } from "../sync/mutex.ts";
import { Mode } from "../sync/native_lock.ts";
import { Taking } from "../sync/taking.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import type { SyncWaitOptions, WaitOptions } from "../sync/waiting.ts";
import { Lock } from "./lock.ts";

/**
 * A semaphore: so many units, each of which one holder has at a time. A unit belongs to the connection that acquired it,
 * and only its guard gives it back. The units of a dead process are free again.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.budget", { regions: {}, locks: { budget: { semaphore: 2 } } });
 * await using client = await connect("com.example.budget");
 * const budget = await client.lock("budget", "semaphore");
 * using _first = await budget.acquire();
 * using _second = await budget.acquire({ timeout: 100 });
 * assert(budget.available === 0 && budget.tryAcquire() === undefined);
 * ```
 */
export class Semaphore extends Lock implements Waitable {
  /** Discriminates the kinds of locks. */
  readonly kind = "semaphore";
  /** How many units there are. */
  readonly limit: number;
  readonly #taking: Taking<LockGuard>;

  /** @internal */
  constructor(linked: LinkedLock) {
    super(linked);
    this.limit = linked.limit;
    const native = linked.native!;
    this.#taking = new Taking(native, {
      mode: Mode.take,
      doing: "acquire",
      take: (place) => native.hold(Mode.take, place),
    });
  }

  /** How many units are free now. */
  get available(): number {
    return this.linked.native!.count;
  }

  /**
   * Acquires a unit, waiting without blocking the event loop.
   *
   * @param options how long to wait
   * @returns the guard, which gives the unit back
   * @throws {DOMException} `TimeoutError` if there is none in time; the message says which process holds one
   * @throws {PeerGoneError} if the server is gone, now or meanwhile
   * @throws {TypeError} if the lock is closed, now or meanwhile
   * @throws the signal's reason, if it aborts first
   */
  acquire(options: WaitOptions = {}): Promise<LockGuard> {
    return this.#taking.wait(options);
  }

  /**
   * Acquires a unit, and blocks this thread: for workers.
   *
   * @param options how long to spin and to wait
   * @returns the guard, which gives the unit back
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed, or this realm holds all units
   */
  acquireSync(options: SyncWaitOptions = {}): LockGuard {
    return this.#taking.waitSync(options);
  }

  /**
   * Acquires a unit if one is free.
   *
   * @returns the guard, or `undefined`
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed
   */
  tryAcquire(): LockGuard | undefined {
    return this.#taking.try();
  }

  /**
   * Gives the guard of a unit that `waitAny()` has taken.
   *
   * @returns the guard, once for each unit
   * @throws {TypeError} if `waitAny()` has not taken any
   */
  adopt(): LockGuard {
    return this.#taking.adopt();
  }

  /** @internal */
  [waitSource](): WaitSource {
    return this.#taking.source();
  }
}
