import type { Mapping } from "../memory/mapping.ts";
import type { ViewConstructor } from "../memory/views.ts";
import { RECORD_BYTES, recordAt } from "../link/layout.ts";
import type { StreamShape } from "../link/stream_shape.ts";

/** The whole views of one slot, by their class: making one takes longer than a frame. */
type Views = Map<unknown, ArrayBufferView>;

/**
 * The views of a stream's slots. A view of a whole slot is made once, since the same slots come again and again; parts
 * are made anew.
 */
export class SlotViews {
  readonly #mapping: Mapping;
  readonly #shape: StreamShape;
  readonly #what: string;
  readonly #whole: Views[] = [];

  /** @param name the stream */
  constructor(mapping: Mapping, shape: StreamShape, name: string) {
    this.#mapping = mapping;
    this.#shape = shape;
    this.#what = `a frame of ${JSON.stringify(name)}`;
  }

  /**
   * A view of a slot, no copy.
   *
   * @param slot which
   * @param byteLength how many bytes of it are used
   */
  view<V extends ArrayBufferView>(
    slot: number,
    byteLength: number,
    Type: ViewConstructor<V>,
    byteOffset?: number,
    length?: number,
  ): V {
    const { offset, stride } = this.#shape;
    const window = { start: offset + slot * stride, byteLength };
    if (byteOffset !== undefined || length !== undefined || byteLength !== this.#shape.byteLength) {
      return this.#mapping.viewIn(window, this.#what, Type, byteOffset, length);
    }
    const views = this.#whole[slot] ??= new Map();
    const known = views.get(Type) as V | undefined;
    // A view whose buffer was transferred, or whose mapping was closed, is empty.
    if (known !== undefined && known.byteLength > 0) return known;
    const made = this.#mapping.viewIn(window, this.#what, Type);
    views.set(Type, made);
    return made;
  }

  /** The user's record of the frame in a slot, no copy. */
  record(slot: number): Uint8Array<ArrayBuffer> {
    const window = { start: recordAt(slot), byteLength: RECORD_BYTES };
    return this.#mapping.viewIn(window, this.#what, Uint8Array);
  }
}
