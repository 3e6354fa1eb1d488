/** A class of views: `Uint8Array`, `Float64Array`, `DataView`, … */
export interface ViewConstructor<V extends ArrayBufferView> {
  /** The name of the class, for errors. */
  readonly name: string;
  /** Makes a view of a part of a buffer. */
  new (buffer: ArrayBuffer, byteOffset?: number, length?: number): V;
  /** The bytes of an element; `DataView` has none, and counts in bytes. */
  readonly BYTES_PER_ELEMENT?: number;
}

/**
 * A view of memory that must not be written: the kernel kills a process that does. The type leaves out what writes,
 * or hands out what can be written through.
 *
 * @typeParam V the view, such as `Float32Array`
 */
export type ReadOnlyView<V extends ArrayBufferView> = V extends DataView
  ? Pick<V, Exclude<keyof V, `set${string}` | "buffer">>
  : V extends { readonly [index: number]: infer E } ?
      & Pick<
        V,
        Exclude<keyof V, "set" | "fill" | "copyWithin" | "reverse" | "sort" | "subarray" | "buffer" | number>
      >
      & {
        /** The element at an index. */
        readonly [index: number]: E;
        /** A part of the view, no copy. */
        subarray(begin?: number, end?: number): ReadOnlyView<V>;
      }
  : never;

/**
 * Makes a view, with an error that says which argument is wrong.
 *
 * @throws {RangeError} if the part is not inside of the buffer, or not aligned for its elements
 * @throws {TypeError} if `Type` is not a view
 */
export function makeView<V extends ArrayBufferView>(
  Type: ViewConstructor<V>,
  buffer: ArrayBuffer,
  byteOffset: number,
  length: number | undefined,
): V {
  const size = Type.BYTES_PER_ELEMENT ?? 1;
  if (!Number.isInteger(byteOffset) || byteOffset < 0 || byteOffset > buffer.byteLength) {
    throw new RangeError(
      `Cannot view a region of ${buffer.byteLength} bytes from byte ${byteOffset}: the offset is outside of it`,
    );
  }
  if (byteOffset % size !== 0) {
    throw new RangeError(
      `Cannot view a region as ${Type.name} from byte ${byteOffset}: the offset must be a multiple of ${size}`,
    );
  }
  const room = Math.floor((buffer.byteLength - byteOffset) / size);
  const count = length ?? room;
  if (!Number.isInteger(count) || count < 0 || count > room) {
    throw new RangeError(
      `Cannot view ${count} elements as ${Type.name} from byte ${byteOffset}: there is room for ${room}`,
    );
  }
  return new Type(buffer, byteOffset, count);
}
