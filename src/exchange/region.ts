import type { ClientAccess, LinkedRegion } from "../link/linked_region.ts";
import { describeDifference } from "../layout/difference.ts";
import { isLayout } from "../layout/layout.ts";
import { IncompatibleError } from "../link/errors.ts";
import type { Layout, LayoutFields, LayoutView, ReadOnlyLayoutView } from "../layout/types.ts";
import { type LayoutPlace, viewLayout } from "../layout/view.ts";
import type { ReadOnlyView, ViewConstructor } from "../memory/views.ts";
import type { SharedRegion } from "../link/sharing.ts";
import type { Changes, ChangesOptions } from "../sync/changes.ts";
import type { Mutex } from "../sync/mutex.ts";
import type { ByteRange, CopiedChanges, CopyChangesOptions } from "../sync/tiles.ts";
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
  /** The length of a tile, in bytes: what counts as changed together. The server chooses it. */
  readonly tileBytes: number;
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
    this.tileBytes = linked.tileBytes;
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
   * @throws {Deno.errors.NotFound} from `next()` when the server removed the region
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

  /** @internal A view, by a class of views or by a layout. */
  protected viewOf<V extends ArrayBufferView, F extends LayoutFields>(
    Type: ViewConstructor<V> | Layout<F>,
    [byteOffset, length]: readonly [byteOffset: number | undefined, length: number | undefined],
    access: LayoutPlace["access"],
  ): NoInfer<V> | LayoutView<Layout<NoInfer<F>>> {
    const { mapping } = this.linked;
    if (!isLayout(Type)) return mapping.view(Type, byteOffset, length);
    if (byteOffset === undefined) this.#checkLayout(Type);
    return viewLayout(Type, mapping.view<DataView<ArrayBuffer>>(DataView), {
      what: `the region ${JSON.stringify(this.name)}`,
      byteOffset,
      length,
      access,
    }) as LayoutView<Layout<NoInfer<F>>>;
  }

  /** A region whose server gave it a layout begins with that one. */
  #checkLayout({ description }: { readonly description: string }): void {
    const { layout } = this.linked;
    if (layout === undefined || layout === description) return;
    const sides = { ours: "this app", theirs: "the server" };
    throw new IncompatibleError(
      `Cannot view the region "${this.name}" by this layout: the layouts differ, first at ${
        describeDifference(description, layout, sides)
      }. To view a part by another layout, give its byteOffset`,
    );
  }

  /**
   * Brings a copy of the region up to date: copies the tiles that changed since `lastRevision`, each to its place. All of
   * it at the first call, when a commit since then named no ranges, and when `lastRevision` belongs to an earlier
   * generation or is not a revision yet. A copy of another server's region starts anew, without a revision.
   *
   * No tile is torn, if each writer holds the mutex while it writes and commits before it unlocks. What is written
   * without the mutex cannot be protected. Where clients may only read, the mutex is the server's, and clients see
   * whether it is held. The call waits for whoever holds it, and blocks this thread meanwhile. Where writers leave no
   * time in between, it locks the mutex, if this side has one. If this realm holds the mutex, it copies at once.
   *
   * A writer that died while it held the mutex may have left half of what it wrote. Until somebody locks the mutex
   * (and learns that it is `abandoned`), nothing is copied.
   *
   * @param target where to copy to, as long as the region
   * @param lastRevision the revision of the result of the last call for this target; `undefined` or 0 for the first
   * @param options how long to wait
   * @returns the revision that the target has now, and how it came there
   * @throws {DOMException} `TimeoutError` if writers leave no time for it. The target has `lastRevision` still, and
   *   perhaps newer tiles
   * @throws {PeerGoneError} if the server died while it held the mutex
   * @throws {TypeError} if the region is closed, or an argument is of another type
   * @throws {RangeError} if the target is not as long as the region
   * @example
   * ```ts
   * import { assertEquals } from "@std/assert";
   * import { connect, serve } from "@xpc/shmem";
   *
   * await using server = await serve("com.example.copy", { regions: { canvas: { byteLength: 2 ** 20 } } });
   * const canvas = server.region("canvas");
   * canvas.commit();
   * await using client = await connect("com.example.copy");
   * const theirs = await client.open("canvas");
   * const copy = new Uint8Array(theirs.byteLength);
   * let { revision } = theirs.copyChanges(copy);
   *
   * canvas.mutex.withSync(() => {
   *   canvas.view(Uint8Array)[70_000] = 1;
   *   canvas.commit([{ byteOffset: 70_000, byteLength: 1 }]);
   * });
   * const changes = theirs.copyChanges(copy, revision);
   * revision = changes.revision;
   * assertEquals([copy[70_000], changes.bytesCopied, changes.consistent], [1, canvas.tileBytes, true]);
   * ```
   */
  copyChanges(
    target: ArrayBufferView,
    lastRevision?: number,
    options: CopyChangesOptions = {},
  ): CopiedChanges {
    return this.linked.copyChanges(target, lastRevision, options);
  }

  /**
   * What the workers of this process attach to the region by: the same memory, and no second connection. Send it with
   * `postMessage()`, to as many as needed; they call {@linkcode attach}. There each has the views, the mutex, the
   * revisions and the waits. All realms of a process are one owner of the mutex for other processes, and exclude each
   * other. A worker that dies gives the mutex back, as `abandoned`.
   *
   * {@linkcode close} here closes it there, too. From now on, this realm waits for changes on a thread, not on the
   * server's doorbell.
   *
   * @returns a plain object
   * @throws {TypeError} if the region is closed
   * @throws {PeerGoneError} if the server is gone
   */
  abstract share(): SharedRegion;

  /** @internal For `waitAny()`: by default after the revision that it told of last. */
  [waitSource](after?: number): WaitSource {
    if (after !== undefined) return this.linked.revisions.source(after, () => {});
    return this.linked.revisions.source(this.#told, (revision) => this.#told = revision);
  }

  /**
   * Ends all waits, unlocks the mutex if this realm holds it, detaches every view, and unmaps. What the other side has
   * mapped stays. Idempotent.
   *
   * Workers that attached to it close it, too. The call waits until each has done so or has died, for 15 seconds at
   * most: a worker whose event loop does not turn keeps its views until it does.
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
   * A view of the memory, no copy. It has length 0 once the region is closed; accessors of a layout throw.
   *
   * @typeParam V the view, such as `Float32Array`
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view
   * @throws {TypeError} if the region is closed
   * @throws {RangeError} if the part is not inside of the region, or not aligned
   */
  view<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): NoInfer<V> | LayoutView<Layout<NoInfer<F>>> {
    return this.viewOf(Type, [byteOffset, length], "write");
  }

  /**
   * Tells the other side that the region changed: makes a new revision and wakes those who wait for one. Whoever sees
   * the revision sees all that was written before the commit.
   *
   * With ranges it says which parts changed, so that readers need not look at the others (`change.ranges`,
   * {@linkcode copyChanges}). Commit before the mutex is unlocked, or a reader may copy what another writes already.
   *
   * @param ranges the parts that changed since this side's last commit; all of the region by default. With none (`[]`)
   *   it is a new revision in which nothing changed
   * @returns the new revision
   * @throws {TypeError} if the region is closed, or the ranges are of another type
   * @throws {RangeError} if a range is not inside of the region
   * @throws {PeerGoneError} if the server is gone
   */
  commit(ranges?: readonly ByteRange[]): number {
    return this.linked.commit(ranges);
  }

  /** As {@linkcode Region.share}; the workers may write, too. */
  override share(): SharedRegion<"write"> {
    return this.linked.share("write") as SharedRegion<"write">;
  }
}

/** A region that this side only reads: its views have no methods that write. */
export class ReadableRegion extends Region {
  /** As {@linkcode Region.share}; the workers only read, too. */
  override share(): SharedRegion<"read"> {
    return this.linked.share("read") as SharedRegion<"read">;
  }

  /**
   * A view of the memory, no copy. It has length 0 once the region is closed; accessors of a layout throw. Where clients
   * may only read, the kernel kills a process that writes through it (by a cast, say).
   *
   * @typeParam V the view, such as `Float32Array`
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view
   * @throws {TypeError} if the region is closed
   * @throws {RangeError} if the part is not inside of the region, or not aligned
   */
  view<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): ReadOnlyView<NoInfer<V>> | ReadOnlyLayoutView<Layout<NoInfer<F>>> {
    return this.viewOf(Type, [byteOffset, length], "read") as unknown as
      | ReadOnlyView<V>
      | ReadOnlyLayoutView<Layout<F>>;
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
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view; it has length 0 once the region is closed; accessors of a layout throw
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
  unsafeView<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): NoInfer<V> | LayoutView<Layout<NoInfer<F>>> {
    return this.viewOf(Type, [byteOffset, length], "write");
  }
}
