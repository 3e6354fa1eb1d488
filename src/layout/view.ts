import { inWords } from "../xpc/in_words.ts";
import type { Access } from "./_accessors.ts";
import { isLayout, structureOf } from "./layout.ts";
import type { Layout, LayoutView } from "./types.ts";
import { classOf } from "./view_class.ts";

/** The memory that a layout is to lie in: any typed array or `DataView` of it will do. */
export interface LayoutMemory {
  /** The buffer. */
  readonly buffer: ArrayBuffer;
  /** Where the memory begins in the buffer, in bytes. */
  readonly byteOffset: number;
  /** The length, in bytes. */
  readonly byteLength: number;
}

/** Where in the memory a layout is to lie, and what may be done there. */
export interface LayoutPlace {
  /** What the memory belongs to, for errors: "the region "frame"". */
  readonly what: string;
  /** Where the layout begins in the memory, in bytes; 0 by default. */
  readonly byteOffset: number | undefined;
  /** Nothing: a layout has its own length, and a caller that gives another may mean something else. */
  readonly length: number | undefined;
  /** Whether the view has setters. */
  readonly access: Access;
}

/**
 * Makes a view of memory by a layout: the one function for regions and for the frames of streams. Where `access` is
 * `"read"`, the result has no setters, and its caller gives it the type {@linkcode ReadOnlyLayoutView}.
 *
 * @throws {TypeError} if `layout` is not a layout, or an argument is of another type
 * @throws {RangeError} if the layout does not fit into the memory there, or is not aligned
 */
export function viewLayout<L extends Layout>(
  layout: L,
  memory: LayoutMemory,
  place: LayoutPlace,
): LayoutView<L> {
  const { what, byteOffset = 0, length, access } = place;
  if (!isLayout(layout)) throw new TypeError(`Cannot view ${what}: ${inWords(layout)} is not a layout`);
  if (length !== undefined) {
    throw new TypeError(
      `Cannot view ${what} by a layout with the length ${inWords(length)}: a layout has its own`,
    );
  }
  if (typeof byteOffset !== "number") {
    throw new TypeError(
      `Cannot view ${what}: byteOffset must be a number, current value is ${inWords(byteOffset)}`,
    );
  }
  const { byteLength, alignment } = layout;
  const room = memory.byteLength - byteLength;
  if (room < 0) {
    throw new RangeError(
      `Cannot view ${what} by a layout of ${byteLength} bytes: there are ${memory.byteLength} bytes`,
    );
  }
  if (!Number.isInteger(byteOffset) || byteOffset < 0 || byteOffset > room) {
    throw new RangeError(
      `Cannot view ${what} by a layout from byte ${byteOffset}: byteOffset must be an integer from 0 to ${room}`,
    );
  }
  const start = memory.byteOffset + byteOffset;
  if (start % alignment !== 0) {
    throw new RangeError(
      `Cannot view ${what} by a layout from byte ${byteOffset}: byteOffset must be a multiple of ${alignment}`,
    );
  }
  const Type = classOf(structureOf(layout), access);
  // The class has an accessor for each field of the layout, which no type can tell.
  return new Type(new DataView(memory.buffer, start, byteLength), 0) as unknown as LayoutView<L>;
}
