import type { LinkedLock } from "../link/linked_lock.ts";
import type { LockGuard } from "../sync/mutex.ts";
import { Mode } from "../sync/native_lock.ts";
import { Taking } from "../sync/taking.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import type { SyncWaitOptions, WaitOptions } from "../sync/waiting.ts";
import { Lock } from "./lock.ts";

/** One side of a {@linkcode RwLock}, to wait for by `waitAny()`. */
export interface LockSide extends Waitable {
  /**
   * Gives the guard of what `waitAny()` has taken.
   *
   * @returns the guard, once
   * @throws {TypeError} if `waitAny()` has not taken it
   */
  adopt(): LockGuard;
}

/**
 * A read-write lock: many readers hold it together, up to 1024, or one writer alone. A writer that waits keeps new
 * readers out, so that writers do not starve. Who holds it must not take it once more, and cannot turn a read lock into a
 * write lock. What a dead process held is released. Of a writer that died, the next writer is told, and so is each reader
 * before it (`guard.abandoned`): what the lock guards may be half written.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.catalog", { regions: {}, locks: { catalog: "rwlock" } });
 * await using client = await connect("com.example.catalog");
 * const catalog = await client.lock("catalog", "rwlock");
 * {
 *   using _ = await catalog.read({ timeout: 100 });
 *   assert(catalog.tryWrite() === undefined && catalog.readers === 1);
 * }
 * using guard = await catalog.write();
 * assert(!guard.abandoned);
 * ```
 */
export class RwLock extends Lock {
  /** Discriminates the kinds of locks. */
  readonly kind = "rwlock";
  /** Its read side, for `waitAny()`. */
  readonly reading: LockSide;
  /** Its write side, for `waitAny()`. */
  readonly writing: LockSide;
  readonly #read: Taking<LockGuard>;
  readonly #write: Taking<LockGuard>;

  /** @internal */
  constructor(linked: LinkedLock) {
    super(linked);
    const native = linked.native!;
    const kindOf = (mode: number, doing: string) => {
      return { mode, doing, take: (place: number) => native.hold(mode, place) };
    };
    this.#read = new Taking(native, kindOf(Mode.take, "lock (to read)"));
    this.#write = new Taking(native, kindOf(Mode.write, "lock (to write)"));
    this.reading = sideOf(this.#read);
    this.writing = sideOf(this.#write);
  }

  /** How many read locks are held now, by all processes. */
  get readers(): number {
    return this.linked.native!.count;
  }

  /**
   * Takes a read lock, waiting without blocking the event loop.
   *
   * @param options how long to wait
   * @returns the guard, which gives it back
   * @throws {DOMException} `TimeoutError` if it cannot be had in time; the message says which process holds it
   * @throws {PeerGoneError} if the server is gone, now or meanwhile
   * @throws {TypeError} if the lock is closed, now or meanwhile
   * @throws the signal's reason, if it aborts first
   */
  read(options: WaitOptions = {}): Promise<LockGuard> {
    return this.#read.wait(options);
  }

  /**
   * Takes a read lock, and blocks this thread: for workers.
   *
   * @param options how long to spin and to wait
   * @returns the guard, which gives it back
   * @throws {DOMException} `TimeoutError` if it cannot be had in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed, or this realm holds the write lock or waits for it
   */
  readSync(options: SyncWaitOptions = {}): LockGuard {
    return this.#read.waitSync(options);
  }

  /**
   * Takes a read lock if no writer holds it or waits for it.
   *
   * @returns the guard, or `undefined`
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed
   */
  tryRead(): LockGuard | undefined {
    return this.#read.try();
  }

  /**
   * Takes the write lock, waiting without blocking the event loop.
   *
   * @param options how long to wait
   * @returns the guard, which gives it back; `abandoned` if the last writer died while it held the lock
   * @throws {DOMException} `TimeoutError` if it cannot be had in time; the message says which process holds it
   * @throws {PeerGoneError} if the server is gone, now or meanwhile
   * @throws {TypeError} if the lock is closed, now or meanwhile
   * @throws the signal's reason, if it aborts first
   */
  write(options: WaitOptions = {}): Promise<LockGuard> {
    return this.#write.wait(options);
  }

  /**
   * Takes the write lock, and blocks this thread: for workers.
   *
   * @param options how long to spin and to wait
   * @returns the guard, which gives it back
   * @throws {DOMException} `TimeoutError` if it cannot be had in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed, or this realm holds it or waits for it
   */
  writeSync(options: SyncWaitOptions = {}): LockGuard {
    return this.#write.waitSync(options);
  }

  /**
   * Takes the write lock if nobody holds it.
   *
   * @returns the guard, or `undefined`
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the lock is closed
   */
  tryWrite(): LockGuard | undefined {
    return this.#write.try();
  }
}

function sideOf(taking: Taking<LockGuard>): LockSide {
  return {
    adopt: () => taking.adopt(),
    [waitSource]: (): WaitSource => taking.source(),
  };
}
