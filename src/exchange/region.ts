import type { ClientAccess, LinkedRegion } from "../link/linked_region.ts";
import type { ReadOnlyView, ViewConstructor } from "../memory/views.ts";
import type { Changes, ChangesOptions } from "../sync/changes.ts";
import type { Mutex } from "../sync/mutex.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import type { SyncWaitOptions } from "../sync/waiting.ts";

/** What writable and read-only regions have in common. */
export abstract class Region implements AsyncDisposable, Waitable {
  /** The name. */
  readonly name: string;
  /** The length, in bytes. */
  readonly byteLength: number;
  /** Counts from 1; a region that replaces another has the next number. */
  readonly generation: number;
  /** What clients may do with it. */
  readonly clients: ClientAccess;
  /** @internal */
  protected readonly linked: LinkedRegion;
  /** The last revision that `waitAny()` told of. */
  #told = 0;

  /** @internal */
  constructor(linked: LinkedRegion) {
    this.linked = linked;
    this.name = linked.name;
    this.byteLength = linked.mapping.byteLength;
    this.generation = linked.generation;
    this.clients = linked.clients;
  }

  /**
   * Its mutex, the same for all generations. Nothing forces anybody to lock it.
   *
   * @throws {Deno.errors.NotCapable} on a client, if clients may only read the region: a client that the server does
   *   not trust could hold the mutex and stop the server
   */
  get mutex(): Mutex {
    const { mutex } = this.linked;
    if (mutex !== undefined) return mutex;
    throw new Deno.errors.NotCapable(
      `Cannot lock "${this.name}": its server lets clients only read it, so clients have no mutex for it`,
    );
  }

  /**
   * The number of the newest commit, by whichever side; 0 before the first.
   *
   * @throws {TypeError} if the region is closed
   */
  get revision(): number {
    return this.linked.revisions.current;
  }

  /** Whether its server is gone. What is mapped stays readable; nothing new comes. */
  get orphaned(): boolean {
    return this.linked.orphaned;
  }

  /** Resolves when the region is closed (with `undefined`) or its server is gone (with an error). */
  get closed(): Promise<Error | undefined> {
    return this.linked.closed;
  }

  /**
   * Waits for commits, without polling: yields the newest revision whenever there is another one, and conflates
   * those in between. Several loops may iterate at once, each from its own place.
   *
   * @param options where to begin, when to stop, how long to spin
   * @returns the changes; they end when the region is closed
   * @throws {PeerGoneError} from `next()` when the server is gone
   * @throws the signal's reason, from `next()`, when it aborts
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.changes", { regions: { frame: { byteLength: 4096 } } });
   * await using client = await connect("com.example.changes");
   * const frame = await client.open("frame");
   * server.region("frame").commit();
   * for await (const { revision } of frame.changes()) {
   *   assert(revision === 1);
   *   break;
   * }
   * ```
   */
  changes(options: ChangesOptions = {}): Changes {
    return this.linked.revisions.changes(options);
  }

  /**
   * Blocks this thread until the revision is another than `after`: for workers, and for programs that have nothing
   * else to do. With `spin: Infinity` it is the quickest way to wait.
   *
   * @param after the revision that is known
   * @param options how long to spin and to wait
   * @returns the newest revision
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the region is closed
   */
  waitSync(after: number, options: SyncWaitOptions = {}): number {
    return this.linked.revisions.waitSync(after, options);
  }

  /** @internal For `waitAny()`: by default after the revision that it told of last. */
  [waitSource](after?: number): WaitSource {
    if (after !== undefined) return this.linked.revisions.source(after, () => {});
    return this.linked.revisions.source(this.#told, (revision) => this.#told = revision);
  }

  /**
   * Ends all waits, unlocks the mutex if this realm holds it, detaches every view, and unmaps. What the other side has
   * mapped stays. Idempotent.
   */
  close(): Promise<void> {
    return this.linked.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** A region that this side may write. */
export class WritableRegion extends Region {
  /**
   * A view of the memory, no copy. It has length 0 once the region is closed.
   *
   * @typeParam V the view, such as `Float32Array`
   * @param Type its class: any typed array, or `DataView`
   * @param byteOffset where it begins, in bytes; a multiple of the element's size
   * @param length how many elements (bytes for `DataView`); by default all there is room for
   * @returns the view
   * @throws {TypeError} if the region is closed
   * @throws {RangeError} if the part is not inside of the region, or not aligned
   */
  view<V extends ArrayBufferView>(Type: ViewConstructor<V>, byteOffset?: number, length?: number): V {
    return this.linked.mapping.view(Type, byteOffset, length);
  }

  /**
   * Tells the other side that the region changed: makes a new revision and wakes those who wait for one. Whoever sees
   * the revision sees all that was written before the commit.
   *
   * @returns the new revision
   * @throws {TypeError} if the region is closed
   * @throws {PeerGoneError} if the server is gone
   */
  commit(): number {
    return this.linked.commit();
  }
}

/** A region that this side only reads: its views have no methods that write. */
export class ReadableRegion extends Region {
  /**
   * A view of the memory, no copy. It has length 0 once the region is closed. Where clients may only read, the
   * kernel kills a process that writes through it (by a cast, say).
   *
   * @typeParam V the view, such as `Float32Array`
   * @param Type its class: any typed array, or `DataView`
   * @param byteOffset where it begins, in bytes; a multiple of the element's size
   * @param length how many elements (bytes for `DataView`); by default all there is room for
   * @returns the view
   * @throws {TypeError} if the region is closed
   * @throws {RangeError} if the part is not inside of the region, or not aligned
   */
  view<V extends ArrayBufferView>(
    Type: ViewConstructor<V>,
    byteOffset?: number,
    length?: number,
  ): ReadOnlyView<V> {
    return this.linked.mapping.view(Type, byteOffset, length) as unknown as ReadOnlyView<V>;
  }

  /**
   * A view as ordinary functions take it, no copy: for `crypto.subtle.digest`, `Deno.writeFile`, `TextDecoder`,
   * `Atomics.load`, `ImageData` or WebGPU's `writeBuffer`, which only read. Unsafe, since the type lets writes through:
   * where clients may only read, the kernel ends a process that writes to the view. Prefer {@linkcode view}, whose type
   * refuses them; copy with `view(Uint8Array).slice()`, or with `target.set(view(Uint8Array))` into an array that is
   * used again.
   *
   * Await what uses the view before the region is closed. A buffer that is transferred
   * (`postMessage(view, [view.buffer])`, or `enqueue` of a byte stream) leaves the view empty, and its memory mapped
   * until the process ends.
   *
   * @typeParam V the view, such as `Float32Array`
   * @param Type its class: any typed array, or `DataView`
   * @param byteOffset where it begins, in bytes; a multiple of the element's size
   * @param length how many elements (bytes for `DataView`); by default all there is room for
   * @returns the view; it has length 0 once the region is closed
   * @throws {TypeError} if the region is closed, or an argument is of another type
   * @throws {RangeError} if the part is not inside of the region, or not aligned
   * @example
   * ```ts
   * import { assert } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.digest", {
   *   regions: { frame: { byteLength: 4096, clients: "read" } },
   * });
   * await using client = await connect("com.example.digest");
   * const frame = await client.open("frame");
   * const digest = await crypto.subtle.digest("SHA-256", frame.unsafeView(Uint8Array));
   * assert(digest.byteLength === 32);
   *
   * const copy = new Uint8Array(frame.byteLength);
   * copy.set(frame.view(Uint8Array)); // a copy needs no unsafe view
   * ```
   */
  unsafeView<V extends ArrayBufferView>(Type: ViewConstructor<V>, byteOffset?: number, length?: number): V {
    return this.linked.mapping.view(Type, byteOffset, length);
  }
}
