import type { LinkedLock } from "../link/linked_lock.ts";
import { Mode } from "../sync/native_lock.ts";
import { Taking } from "../sync/taking.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import type { SyncWaitOptions, WaitOptions } from "../sync/waiting.ts";
import { Lock } from "./lock.ts";

/** What {@linkcode ManualResetEvent} and {@linkcode AutoResetEvent} have in common. */
export abstract class LockEvent extends Lock implements Waitable {
  readonly #taking: Taking<true>;

  /** @internal */
  constructor(linked: LinkedLock) {
    super(linked);
    this.#taking = new Taking(linked.native!, {
      mode: Mode.take,
      doing: "wait for",
      take: () => true,
      drops: true,
    });
  }

  /** Whether it is set now. */
  get isSet(): boolean {
    return this.linked.native!.count === 1;
  }

  /**
   * Sets it, and wakes those who wait for it.
   *
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the event is closed
   */
  set(): void {
    this.linked.native!.set();
  }

  /**
   * Resets it: who waits for it from now on waits until it is set again.
   *
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the event is closed
   */
  reset(): void {
    this.linked.native!.reset();
  }

  /**
   * Waits until it is set, without blocking the event loop.
   *
   * @param options how long to wait
   * @throws {DOMException} `TimeoutError` if it is not set in time
   * @throws {PeerGoneError} if the server is gone, now or meanwhile
   * @throws {TypeError} if the event is closed, now or meanwhile
   * @throws the signal's reason, if it aborts first
   */
  async wait(options: WaitOptions = {}): Promise<void> {
    await this.#taking.wait(options);
  }

  /**
   * Waits until it is set, and blocks this thread: for workers.
   *
   * @param options how long to spin and to wait
   * @throws {DOMException} `TimeoutError` if it is not set in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the event is closed
   */
  waitSync(options: SyncWaitOptions = {}): void {
    this.#taking.waitSync(options);
  }

  /**
   * Looks whether it is set, as a wait that takes no time.
   *
   * @returns whether it was set
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the event is closed
   */
  tryWait(): boolean {
    return this.#taking.try() ?? false;
  }

  /** @internal */
  [waitSource](): WaitSource {
    return this.#taking.source();
  }
}

/**
 * An event that stays set until somebody resets it: everybody who waits goes on, now and later.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.ready", { regions: {}, locks: { ready: { event: "manual" } } });
 * await using client = await connect("com.example.ready");
 * const ready = await client.lock("ready", "manual");
 * const waiting = ready.wait();
 * const own = server.lock("ready", "manual");
 * own.set();
 * await waiting;
 * assert(ready.isSet);
 * ```
 */
export class ManualResetEvent extends LockEvent {
  /** Discriminates the kinds of locks. */
  readonly kind = "manual";
}

/**
 * An event that resets itself: each time it is set, one who waits goes on, or the next one who will. Setting it while it
 * is set changes nothing.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.tick", { regions: {}, locks: { tick: { event: "auto" } } });
 * await using client = await connect("com.example.tick");
 * const tick = await client.lock("tick", "auto");
 * server.lock("tick", "auto").set();
 * await tick.wait();
 * assert(!tick.isSet);
 * ```
 */
export class AutoResetEvent extends LockEvent {
  /** Discriminates the kinds of locks. */
  readonly kind = "auto";
}
