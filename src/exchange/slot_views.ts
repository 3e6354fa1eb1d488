import { isLayout } from "../layout/layout.ts";
import type { Layout, LayoutFields, LayoutView } from "../layout/types.ts";
import { type LayoutPlace, viewLayout } from "../layout/view.ts";
import type { Mapping } from "../memory/mapping.ts";
import type { ViewConstructor } from "../memory/views.ts";
import { RECORD_BYTES, recordAt } from "../link/layout.ts";
import type { StreamShape } from "../link/stream_shape.ts";

/** The whole views of one slot, by their class: making one takes longer than a frame. */
type Views = Map<unknown, ArrayBufferView>;

/** The views of one slot by layouts. */
type LayoutViews = Map<Layout, unknown>;

/** Which part of a frame a view is to show, and whether it writes where it is by a layout. */
type FramePart = Pick<LayoutPlace, "byteOffset" | "length" | "access">;

/**
 * The views of a stream's slots. A view of a whole slot is made once, since the same slots come again and again; parts
 * are made anew.
 */
export class SlotViews {
  readonly #mapping: Mapping;
  readonly #shape: StreamShape;
  readonly #what: string;
  readonly #whole: Views[] = [];
  /** The views by layouts at the beginning of whole slots, by the view of the slot that they belong to. */
  readonly #layouts = {
    read: new WeakMap<DataView, LayoutViews>(),
    write: new WeakMap<DataView, LayoutViews>(),
  };

  /** @param name the stream */
  constructor(mapping: Mapping, shape: StreamShape, name: string) {
    this.#mapping = mapping;
    this.#shape = shape;
    this.#what = `a frame of ${JSON.stringify(name)}`;
  }

  /**
   * A view of a slot, no copy: by a class of views or by a layout.
   *
   * @param slot which
   * @param byteLength how many bytes of it are used
   */
  view<V extends ArrayBufferView, F extends LayoutFields>(
    slot: number,
    byteLength: number,
    Type: ViewConstructor<V> | Layout<F>,
    part: FramePart,
  ): V | LayoutView<Layout<NoInfer<F>>> {
    if (!isLayout(Type)) return this.#view(slot, byteLength, Type, part.byteOffset, part.length);
    const memory = this.#view<DataView<ArrayBuffer>>(slot, byteLength, DataView);
    const make = (): unknown => viewLayout(Type, memory, { what: this.#what, ...part });
    const isWhole = part.byteOffset === undefined && part.length === undefined &&
      byteLength === this.#shape.byteLength;
    const view = isWhole ? this.#known(memory, part.access, Type, make) : make();
    return view as LayoutView<Layout<NoInfer<F>>>;
  }

  #known(memory: DataView, access: FramePart["access"], layout: Layout, make: () => unknown): unknown {
    let views = this.#layouts[access].get(memory);
    if (views === undefined) this.#layouts[access].set(memory, views = new Map());
    let view = views.get(layout);
    if (view === undefined) views.set(layout, view = make());
    return view;
  }

  #view<V extends ArrayBufferView>(
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
