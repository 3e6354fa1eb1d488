import type { Layout, LayoutFields, LayoutView } from "../layout/types.ts";
import type { ServedStream } from "../link/served_stream.ts";
import { RECORD_BYTES } from "../link/layout.ts";
import type { ViewConstructor } from "../memory/views.ts";
import { inWords } from "../xpc/in_words.ts";
import type { SlotViews } from "./slot_views.ts";

/** What goes with a frame. */
export interface PublishOptions {
  /**
   * When the frame was made, in a unit on which both apps agree; `performance.now()` differs between processes.
   *
   * @default {0}
   */
  timestamp?: number | undefined;
  /**
   * Up to 64 bytes of the app's own, such as a camera's position. Readers get 64 bytes, filled up with zeros.
   *
   * @default {undefined}
   */
  record?: ArrayBufferView | undefined;
  /**
   * How many bytes of the slot the frame has, where frames differ in length.
   *
   * @default {the stream's byteLength}
   */
  byteLength?: number | undefined;
}

/**
 * A slot of a stream to write a frame in. {@linkcode publish} makes it the newest frame; without that, disposing gives
 * the slot back, and no reader ever sees what was written.
 */
export class FrameLoan implements Disposable {
  /** The most bytes of the frame. */
  readonly byteLength: number;
  readonly #stream: ServedStream;
  readonly #views: SlotViews;
  readonly #slot: number;
  #done = false;

  /** @internal */
  constructor(stream: ServedStream, views: SlotViews, slot: number) {
    this.#stream = stream;
    this.#views = views;
    this.#slot = slot;
    this.byteLength = stream.shape.byteLength;
  }

  /**
   * A view of the slot, no copy. It holds what an older frame left there. Do not use it after the frame was published:
   * readers read it then.
   *
   * @typeParam V the view, such as `Float32Array`
   * @typeParam F the fields of a layout
   * @param Type its class, any typed array or `DataView`; or a layout, for a view with an accessor for each field
   * @param byteOffset where it begins, in bytes; a multiple of the element's size, or of the layout's alignment
   * @param length how many elements (bytes for `DataView`); by default all there is room for; none for a layout
   * @returns the view
   * @throws {TypeError} if the frame was published or dropped, or the stream is closed or replaced
   * @throws {RangeError} if the part is not inside of the slot, or not aligned
   */
  view<V extends ArrayBufferView = never, F extends LayoutFields = never>(
    Type: ViewConstructor<V> | Layout<F>,
    byteOffset?: number,
    length?: number,
  ): NoInfer<V> | LayoutView<Layout<NoInfer<F>>> {
    this.#check("view");
    return this.#views.view(this.#slot, this.byteLength, Type, { byteOffset, length, access: "write" });
  }

  /**
   * Publishes the frame: it is the newest from now on, and readers that wait for one wake. Readers see all that was
   * written before.
   *
   * @param options what goes with it
   * @returns the frame's number, counted from 1
   * @throws {TypeError} if it was published or dropped before, an option is not valid, or the stream is closed or
   *   replaced
   * @throws {RangeError} if the record or the length is too large
   */
  publish(options: PublishOptions = {}): number {
    this.#check("publish");
    const { timestamp = 0, record, byteLength = this.byteLength } = options;
    if (typeof timestamp !== "number") {
      throw new TypeError(
        `Cannot publish a frame of "${this.#stream.name}": \`timestamp\` is ${
          inWords(timestamp)
        }, but must be a ` +
          `number`,
      );
    }
    if (!Number.isInteger(byteLength) || byteLength < 0 || byteLength > this.byteLength) {
      throw new RangeError(
        `Cannot publish a frame of "${this.#stream.name}": \`byteLength\` is ${
          inWords(byteLength)
        }, but must be an ` +
          `integer from 0 to ${this.byteLength}`,
      );
    }
    const bytes = record === undefined ? null : this.#recordOf(record);
    const sequence = this.#stream.publish(this.#slot, byteLength, timestamp, bytes);
    this.#done = true;
    return sequence;
  }

  /** Gives the slot back, if the frame was not published. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#done) return;
    this.#done = true;
    this.#stream.drop(this.#slot);
  }

  #recordOf(record: ArrayBufferView): Uint8Array<ArrayBuffer> {
    if (!ArrayBuffer.isView(record)) {
      throw new TypeError(
        `Cannot publish a frame of "${this.#stream.name}": \`record\` is ${
          inWords(record)
        }, but must be a typed ` +
          `array or a DataView`,
      );
    }
    if (record.byteLength > RECORD_BYTES) {
      throw new RangeError(
        `Cannot publish a frame of "${this.#stream.name}": \`record\` has ${record.byteLength} bytes, but at most ` +
          `${RECORD_BYTES} are possible`,
      );
    }
    const bytes = new Uint8Array(RECORD_BYTES);
    bytes.set(new Uint8Array(record.buffer, record.byteOffset, record.byteLength));
    return bytes;
  }

  #check(doing: string): void {
    if (this.#done) {
      throw new TypeError(
        `Cannot ${doing} a frame of "${this.#stream.name}": it was published or dropped; loan another slot`,
      );
    }
    if (this.#stream.closed) {
      throw new TypeError(
        `Cannot ${doing} a frame of "${this.#stream.name}": the stream was closed or replaced meanwhile`,
      );
    }
  }
}
