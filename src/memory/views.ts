import { inWords } from "../xpc/in_words.ts";

export type { ReadOnlyView } from "./read_only_view.ts";

/** A class of views: `Uint8Array`, `Float64Array`, `DataView`, … */
export interface ViewConstructor<V extends ArrayBufferView> {
  /** The name of the class, for errors. */
  readonly name: string;
  /** Makes a view of a part of a buffer. */
  new (buffer: ArrayBuffer, byteOffset?: number, length?: number): V;
  /** The bytes of an element; `DataView` has none, and counts in bytes. */
  readonly BYTES_PER_ELEMENT?: number;
}

/** Which part of a buffer a view is to show. */
export interface ViewPart {
  /** What the buffer belongs to, as in "Cannot view the region "scene"". */
  readonly what: string;
  /** Where the view begins, in bytes. */
  readonly byteOffset: number;
  /** How many elements it has; all that there is room for by default. */
  readonly length: number | undefined;
  /** The part of the buffer that may be shown; all of it by default. `byteOffset` counts from its start. */
  readonly window?: ViewWindow | undefined;
}

/** A part of a buffer, in bytes. */
export interface ViewWindow {
  /** Where it begins. */
  readonly start: number;
  /** How long it is. */
  readonly byteLength: number;
}

/** The prototype that all typed arrays share; the language gives it no name. */
const typedArray: object = Object.getPrototypeOf(Uint8Array.prototype);

/**
 * Makes a view, with an error that says which argument is wrong.
 *
 * @throws {RangeError} if the part is not inside of the buffer, or not aligned for its elements
 * @throws {TypeError} if `Type` is not a class of views, or an offset or a length is not a number
 */
export function makeView<V extends ArrayBufferView>(
  Type: ViewConstructor<V>,
  buffer: ArrayBuffer,
  { what, byteOffset, length, window = { start: 0, byteLength: buffer.byteLength } }: ViewPart,
): V {
  if (!isViewClass(Type)) {
    throw new TypeError(
      `Cannot view ${what}: Type must be a typed array class or DataView, current value is ${inWords(Type)}`,
    );
  }
  checkNumber(what, "byteOffset", byteOffset);
  if (length !== undefined) checkNumber(what, "length", length);
  const size = Type.BYTES_PER_ELEMENT ?? 1;
  if (!Number.isInteger(byteOffset) || byteOffset < 0 || byteOffset > window.byteLength) {
    throw new RangeError(
      `Cannot view ${what} from byte ${byteOffset}: byteOffset must be an integer from 0 to ${window.byteLength}`,
    );
  }
  if (byteOffset % size !== 0) {
    throw new RangeError(
      `Cannot view ${what} as ${Type.name} from byte ${byteOffset}: byteOffset must be a multiple of ${size}`,
    );
  }
  const room = Math.floor((window.byteLength - byteOffset) / size);
  const count = length ?? room;
  if (!Number.isInteger(count) || count < 0 || count > room) {
    throw new RangeError(
      `Cannot view ${count} elements of ${what} as ${Type.name} from byte ${byteOffset}: there is room for ${room}`,
    );
  }
  return new Type(buffer, window.start + byteOffset, count);
}

/** Whether it is a class of typed arrays, `DataView`, or a class that extends one of them. */
function isViewClass(Type: unknown): boolean {
  if (typeof Type !== "function") return false;
  const { prototype } = Type;
  return prototype === DataView.prototype || Object.prototype.isPrototypeOf.call(typedArray, prototype) ||
    Object.prototype.isPrototypeOf.call(DataView.prototype, prototype);
}

function checkNumber(what: string, option: string, value: unknown): void {
  if (typeof value === "number") return;
  throw new TypeError(
    `Cannot view ${what}: ${option} must be a number, current value is ${inWords(value)}`,
  );
}
