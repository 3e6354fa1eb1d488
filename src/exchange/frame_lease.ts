import type { Layout, LayoutFields, LayoutView, ReadOnlyLayoutView } from "../layout/types.ts";
import type { LinkedStream } from "../link/linked_stream.ts";
import type { ReadOnlyView, ViewConstructor } from "../memory/views.ts";
import type { TakenFrame } from "../sync/slot_reader.ts";
import type { SlotViews } from "./slot_views.ts";

/**
 * A frame that is read in place. Its slot is not written until the lease ends, by `using` or
 * {@linkcode FrameLease.release}, unless the writer takes it back: then {@linkcode valid} is false.
 *
 * A lease that nobody ends keeps its slot until the stream is closed. The garbage collector does not end it: a view may
 * be in use still.
 */
export class FrameLease implements Disposable {
  /** The frame's number: counts all frames of the stream from 1. */
  readonly sequence: number;
  /** How many frames were published since the one that this reader took last, and that it did not see. */
  readonly dropped: number;
  /** When the frame was made, as the writer says; 0 where it does not say. */
  readonly timestamp: number;
  /** The bytes of the frame. */
  readonly byteLength: number;
  readonly #stream: LinkedStream;
  readonly #views: SlotViews;
  readonly #slot: number;
  #released = false;

  /** @internal */
  constructor(stream: LinkedStream, views: SlotViews, frame: TakenFrame) {
    this.sequence = frame.sequence;
    this.dropped = frame.dropped;
    this.timestamp = frame.timestamp;
    this.byteLength = Math.min(frame.byteLength, stream.shape.byteLength);
    this.#stream = stream;
    this.#views = views;
    this.#slot = frame.slot;
  }

  /**
   * The writer's record: a copy of 64 bytes, zeros where the writer gave none.
   *
   * @throws {TypeError} if the lease has ended, or the stream is closed
   */
  get record(): Uint8Array<ArrayBuffer> {
    this.#check();
    return this.#views.record(this.#slot).slice();
  }

  /**
   * Whether the frame is what it was when it was leased. Where the writer may take slots back (`loan({ revoke: true })`),
   * look at this after reading and before using what was read.
   */
  get valid(): boolean {
    return !this.#released && this.#stream.holds(this.#slot, this.sequence);
  }

  /**
   * A view of the frame, no copy. Do not use it after the lease has ended: it shows another frame then. The kernel ends
   * a process that writes through it (by a cast, say).
   *
   * @typeParam V the view, such as `Float32Array`
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view; it has length 0 once the stream is closed
   * @throws {TypeError} if the lease has ended, or the stream is closed
   * @throws {RangeError} if the part is not inside of the frame, or not aligned
   */
  view<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): ReadOnlyView<NoInfer<V>> | ReadOnlyLayoutView<Layout<NoInfer<F>>> {
    this.#check();
    const view: unknown = this.#views.view(this.#slot, this.byteLength, Type, {
      byteOffset,
      length,
      access: "read",
    });
    return view as ReadOnlyView<NoInfer<V>> | ReadOnlyLayoutView<Layout<NoInfer<F>>>;
  }

  /**
   * A view as ordinary functions take it, no copy: for those that only read, such as `crypto.subtle.digest` or
   * `ImageData`. Unsafe, since the type lets writes through; see `ReadableRegion.unsafeView`.
   *
   * @typeParam V the view, such as `Float32Array`
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view
   * @throws {TypeError} if the lease has ended, or the stream is closed
   * @throws {RangeError} if the part is not inside of the frame, or not aligned
   */
  unsafeView<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): NoInfer<V> | LayoutView<Layout<NoInfer<F>>> {
    this.#check();
    return this.#views.view(this.#slot, this.byteLength, Type, { byteOffset, length, access: "write" });
  }

  /** Ends the lease. Idempotent. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#stream.release(this.#slot, this.sequence);
  }

  #check(): void {
    if (!this.#released) return;
    throw new TypeError(`Cannot view a frame of "${this.#stream.name}": its lease has ended`);
  }

  /** The same as {@linkcode release}. */
  [Symbol.dispose](): void {
    this.release();
  }
}
