import type { LockGuard, Mutex } from "../sync/mutex.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import type { SyncWaitOptions, WaitOptions } from "../sync/waiting.ts";
import { Lock } from "./lock.ts";

/**
 * A mutex of a service, apart from any region: one process holds it at a time. It belongs to the connection: when its
 * holder dies, the next holder is told (`guard.abandoned`). It is not recursive.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.device", { regions: {}, locks: { device: "mutex" } });
 * await using client = await connect("com.example.device");
 * const device = await client.lock("device", "mutex");
 * using guard = await device.lock({ timeout: 1000 });
 * assert(device.held && !guard.abandoned);
 * ```
 */
export class MutexLock extends Lock implements Waitable {
  /** Discriminates the kinds of locks. */
  readonly kind = "mutex";

  get #mutex(): Mutex {
    return this.linked.mutex!;
  }

  /** Whether this object holds it. */
  get held(): boolean {
    return this.#mutex.held;
  }

  /**
   * Locks it, waiting without blocking the event loop.
   *
   * @param options how long to wait
   * @returns the guard, which unlocks it
   * @throws {DOMException} `TimeoutError` if it cannot be locked in time; the message says which process holds it
   * @throws {PeerGoneError} if the server is gone, now or meanwhile
   * @throws {TypeError} if the lock is closed, now or meanwhile
   * @throws the signal's reason, if it aborts first
   */
  lock(options: WaitOptions = {}): Promise<LockGuard> {
    return this.#mutex.lock(options);
  }

  /**
   * Locks it, and blocks this thread: for workers.
   *
   * @param options how long to spin and to wait
   * @returns the guard, which unlocks it
   * @throws {DOMException} `TimeoutError` if it cannot be locked in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed, or this realm holds it already
   */
  lockSync(options: SyncWaitOptions = {}): LockGuard {
    return this.#mutex.lockSync(options);
  }

  /**
   * Locks it if nobody holds it.
   *
   * @returns the guard, or `undefined` if someone holds it
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed
   */
  tryLock(): LockGuard | undefined {
    return this.#mutex.tryLock();
  }

  /**
   * Gives the guard of a lock that `waitAny()` has taken.
   *
   * @returns the guard, once
   * @throws {TypeError} if `waitAny()` has not taken it
   */
  adopt(): LockGuard {
    return this.#mutex.adopt();
  }

  /** @internal */
  [waitSource](): WaitSource {
    return this.#mutex[waitSource]();
  }
}
