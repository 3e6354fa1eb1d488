import type { Mapping } from "../memory/mapping.ts";
import type { ReadOnlyView, ViewConstructor } from "../memory/views.ts";
import type { Mutex } from "../sync/mutex.ts";
import type { Changes, ChangesOptions } from "../sync/changes.ts";
import type { Revisions } from "../sync/revisions.ts";
import type { SyncWaitOptions } from "../sync/waiting.ts";

/** What clients may do with a region: write it too, or only read it, which the kernel enforces. */
export type ClientAccess = "write" | "read";

/** @internal What a region is made of; it owns the mapping, the mutex and the revisions. */
export interface RegionParts {
  readonly name: string;
  readonly generation: number;
  readonly clients: ClientAccess;
  readonly mapping: Mapping;
  /** None where clients may only read, and this is a client. */
  readonly mutex: Mutex | undefined;
  readonly revisions: Revisions;
  /** Called once, when the region is closed. */
  readonly onClose: () => void;
  /** Called after each commit. */
  readonly onCommit: () => void;
}

/** What regions that may be written and regions that may be read have in common. */
export abstract class Region implements AsyncDisposable {
  /** The name. */
  readonly name: string;
  /** The length, in bytes. */
  readonly byteLength: number;
  /** Counts from 1; a region that is replaced gets the next one. */
  readonly generation: number;
  /** What clients may do with it. */
  readonly clients: ClientAccess;
  /** @internal */
  protected readonly parts: RegionParts;
  readonly #gone = Promise.withResolvers<Error | undefined>();
  #closing: Promise<void> | undefined;
  #orphaned = false;

  /** @internal */
  constructor(parts: RegionParts) {
    this.parts = parts;
    this.name = parts.name;
    this.byteLength = parts.mapping.byteLength;
    this.generation = parts.generation;
    this.clients = parts.clients;
  }

  /**
   * Its mutex, the same for all generations. Nothing forces anybody to lock it.
   *
   * @throws {Deno.errors.NotCapable} if clients may only read the region, and this is a client: it has none
   */
  get mutex(): Mutex {
    if (this.parts.mutex !== undefined) return this.parts.mutex;
    throw new Deno.errors.NotCapable(
      `Cannot use the mutex of "${this.name}": its server lets clients only read the region`,
    );
  }

  /**
   * The number of the newest commit, by whichever side; 0 before the first.
   *
   * @throws {TypeError} if the region is closed
   */
  get revision(): number {
    return this.parts.revisions.current;
  }

  /** Whether the server that it came from is gone. What is mapped stays readable; nothing new comes. */
  get orphaned(): boolean {
    return this.#orphaned;
  }

  /** Resolves when the region is closed (with `undefined`) or its server is gone (with an error). */
  get closed(): Promise<Error | undefined> {
    return this.#gone.promise;
  }

  /**
   * Waits for commits, without polling: yields the newest revision whenever there is another one, and conflates
   * those in between. Several may iterate at once, each from its own place.
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
    return this.parts.revisions.changes(options);
  }

  /**
   * Blocks this thread until the revision is another than `after`: for workers, and for who has nothing else to
   * do. Spinning, it is the quickest way there is.
   *
   * @param after the revision that is known
   * @param options how long to spin and to wait
   * @returns the newest revision
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the region is closed
   */
  waitSync(after: number, options: SyncWaitOptions = {}): number {
    return this.parts.revisions.waitSync(after, options);
  }

  /**
   * Ends all waits, gives the mutex back if it is held, detaches every view, and unmaps. What the other side has
   * mapped stays. Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#gone.resolve(undefined);
    // The views go at once, not after the waits: who reads them after close() sees nothing.
    this.parts.mapping.close();
    await Promise.all([this.parts.mutex?.close("the region is closed"), this.parts.revisions.end()]);
    this.parts.onClose();
  }

  /** @internal The server is gone: all waits fail, what is mapped stays. */
  async orphan(error: Error): Promise<void> {
    this.#orphaned = true;
    this.#gone.resolve(error);
    await this.parts.revisions.end(error);
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
    return this.parts.mapping.view(Type, byteOffset, length);
  }

  /**
   * Tells the other side that the region changed: makes a new revision and wakes those who wait for one. It says
   * nothing about the memory by itself: what was written before is seen by who sees the revision.
   *
   * @returns the new revision
   * @throws {TypeError} if the region is closed
   * @throws {PeerGoneError} if the server is gone
   */
  commit(): number {
    const revision = this.parts.revisions.commit();
    this.parts.onCommit();
    return revision;
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
    return this.parts.mapping.view(Type, byteOffset, length) as unknown as ReadOnlyView<V>;
  }
}
