/**
 * The types of layouts and of their views.
 *
 * @module
 */
import type { ReadOnlyView } from "../memory/read_only_view.ts";

/**
 * The type of one value: an integer with or without a sign, of 8 to 64 bits, a floating-point number, or a `bool` of one
 * byte. Integers of 64 bits are `bigint`.
 */
export type LayoutScalar =
  | "u8"
  | "i8"
  | "u16"
  | "i16"
  | "u32"
  | "i32"
  | "u64"
  | "i64"
  | "f32"
  | "f64"
  | "bool";

/**
 * The type of a field:
 *
 * | type | what it is | in a view |
 * | --- | --- | --- |
 * | `"u32"` | a {@linkcode LayoutScalar} | a number, a `bigint` or a boolean |
 * | `["f32", 16]` | an array of them | a typed array; of `bool`, a `Uint8Array` of 0 and 1 |
 * | `["utf8", 32]` | text of at most 32 bytes in UTF-8, zeros after it | a string |
 * | `Point` | another layout, in place | a view of it |
 * | `[Point, 4]` | an array of them | an array of views |
 */
export type FieldType =
  | LayoutScalar
  | readonly [LayoutScalar, number]
  | readonly ["utf8", number]
  | Layout
  | readonly [Layout, number];

/** The fields of a layout, in the order of the memory. */
export interface LayoutFields {
  /** The type of the field of that name. */
  readonly [name: string]: FieldType;
}

/**
 * A structure in shared memory: the names of its fields, their types, and where each lies. {@linkcode layout} makes it.
 *
 * @typeParam F its fields
 */
export interface Layout<F extends LayoutFields = LayoutFields> {
  /** The fields, as they were given. */
  readonly fields: F;
  /** The length in bytes: a multiple of the alignment. */
  readonly byteLength: number;
  /** What a view's offset must be a multiple of, in bytes: the largest alignment of a field. */
  readonly alignment: number;
  /** Where each field begins, in bytes. */
  readonly offsets: { readonly [K in keyof F]: number };
  /** Names, types and offsets on one line. Two layouts are the same if this text is. */
  readonly description: string;
  /** The FNV-1a hash of the description: 16 hexadecimal digits. It finds mistakes, not attacks. */
  readonly hash: string;
}

/** The class of an array's view, by the type of its elements. */
export interface LayoutArrays {
  /** 8 bits, without a sign. */
  readonly u8: Uint8Array<ArrayBuffer>;
  /** 8 bits, with a sign. */
  readonly i8: Int8Array<ArrayBuffer>;
  /** 16 bits, without a sign. */
  readonly u16: Uint16Array<ArrayBuffer>;
  /** 16 bits, with a sign. */
  readonly i16: Int16Array<ArrayBuffer>;
  /** 32 bits, without a sign. */
  readonly u32: Uint32Array<ArrayBuffer>;
  /** 32 bits, with a sign. */
  readonly i32: Int32Array<ArrayBuffer>;
  /** 64 bits, without a sign. */
  readonly u64: BigUint64Array<ArrayBuffer>;
  /** 64 bits, with a sign. */
  readonly i64: BigInt64Array<ArrayBuffer>;
  /** 32 bits, floating point. */
  readonly f32: Float32Array<ArrayBuffer>;
  /** 64 bits, floating point. */
  readonly f64: Float64Array<ArrayBuffer>;
  /** A byte each: 0 is false. */
  readonly bool: Uint8Array<ArrayBuffer>;
}

/**
 * What a view has for a field.
 *
 * @typeParam T the type of the field
 */
export type FieldValue<T> = T extends "u64" | "i64" ? bigint
  : T extends "bool" ? boolean
  : T extends LayoutScalar ? number
  : T extends readonly ["utf8", number] ? string
  : T extends readonly [infer S extends LayoutScalar, number] ? LayoutArrays[S]
  : T extends readonly [infer L extends Layout, number] ? readonly LayoutView<L>[]
  : T extends Layout ? LayoutView<T>
  : never;

/**
 * What a view that only reads has for a field.
 *
 * @typeParam T the type of the field
 */
export type ReadOnlyFieldValue<T> = T extends readonly [infer S extends LayoutScalar, number]
  ? ReadOnlyView<LayoutArrays[S]>
  : T extends readonly [infer L extends Layout, number] ? readonly ReadOnlyLayoutView<L>[]
  : T extends Layout ? ReadOnlyLayoutView<T>
  : FieldValue<T>;

/**
 * A view of memory that has a layout: an accessor for each field, which reads and writes the memory itself. Arrays and
 * nested layouts cannot be assigned; write to their elements (`frame.camera.set(…)`, `frame.origin.x = 1`).
 *
 * @typeParam L the layout, as in `LayoutView<typeof Frame>`
 */
export type LayoutView<L extends Layout> = L extends Layout<infer F> ?
    & {
      -readonly [K in keyof F as F[K] extends LayoutScalar | readonly ["utf8", number] ? K : never]:
        FieldValue<
          F[K]
        >;
    }
    & {
      readonly [K in keyof F as F[K] extends LayoutScalar | readonly ["utf8", number] ? never : K]:
        FieldValue<
          F[K]
        >;
    }
  : never;

/**
 * A view of memory that is only read: the same accessors, without setters. Arrays are {@linkcode ReadOnlyView}s.
 *
 * @typeParam L the layout, as in `ReadOnlyLayoutView<typeof Frame>`
 */
export type ReadOnlyLayoutView<L extends Layout> = L extends Layout<infer F>
  ? { readonly [K in keyof F]: ReadOnlyFieldValue<F[K]> }
  : never;
