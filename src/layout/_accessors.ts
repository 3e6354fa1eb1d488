import type { Field, Structure } from "./structure.ts";
import type { LayoutScalar } from "./types.ts";
import { readText, refuse, writeText } from "./values.ts";

/** The byte order of this machine, and so of the process at the other end. */
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Whether a view has setters. */
export type Access = "read" | "write";

/** For views whose fields are all single values. */
const NO_PARTS: unknown[] = [];

/** A class of views of one structure. */
export type MemoryClass = new (data: DataView<ArrayBuffer>, base: number) => StructureMemory;

type Getter = (this: StructureMemory) => unknown;
type Setter = (this: StructureMemory, value: unknown) => void;

/** The classes of typed arrays, by the type of the elements. An array of `bool` has its bytes. */
const ARRAYS = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f32: Float32Array,
  f64: Float64Array,
  bool: Uint8Array,
} as const;

/**
 * What all views of layouts extend. Its members are private, since a field may have any name.
 *
 * The accessors are closures over an offset, and call a method of `DataView` by its name: that is what V8 compiles to one
 * load or store. Views of nested structures share the `DataView` of the whole, and differ in `base`.
 */
export class StructureMemory {
  readonly #data: DataView<ArrayBuffer>;
  readonly #base: number;
  /** The typed arrays and nested views, made at first use. */
  readonly #parts: unknown[];

  /** The last argument is the number of fields that are arrays or nested structures. */
  constructor(data: DataView<ArrayBuffer>, base: number, parts: number) {
    this.#data = data;
    this.#base = base;
    this.#parts = parts === 0 ? NO_PARTS : new Array(parts).fill(undefined);
  }

  /** What reads a field with one value. */
  static scalarGetter(type: LayoutScalar, at: number): Getter {
    const getters: Readonly<Record<LayoutScalar, Getter>> = {
      u8() {
        return this.#data.getUint8(this.#base + at);
      },
      i8() {
        return this.#data.getInt8(this.#base + at);
      },
      u16() {
        return this.#data.getUint16(this.#base + at, LITTLE);
      },
      i16() {
        return this.#data.getInt16(this.#base + at, LITTLE);
      },
      u32() {
        return this.#data.getUint32(this.#base + at, LITTLE);
      },
      i32() {
        return this.#data.getInt32(this.#base + at, LITTLE);
      },
      u64() {
        return this.#data.getBigUint64(this.#base + at, LITTLE);
      },
      i64() {
        return this.#data.getBigInt64(this.#base + at, LITTLE);
      },
      f32() {
        return this.#data.getFloat32(this.#base + at, LITTLE);
      },
      f64() {
        return this.#data.getFloat64(this.#base + at, LITTLE);
      },
      bool() {
        return this.#data.getUint8(this.#base + at) !== 0;
      },
    };
    return getters[type];
  }

  /** What checks and writes a field with one value. */
  static scalarSetter(name: string, type: LayoutScalar, at: number): Setter {
    const setters: Readonly<Record<LayoutScalar, Setter>> = {
      u8(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || (value & 0xff) !== value) refuse(name, type, value);
        data.setUint8(place, value);
      },
      i8(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || value << 24 >> 24 !== value) refuse(name, type, value);
        data.setInt8(place, value);
      },
      u16(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || (value & 0xffff) !== value) refuse(name, type, value);
        data.setUint16(place, value, LITTLE);
      },
      i16(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || value << 16 >> 16 !== value) refuse(name, type, value);
        data.setInt16(place, value, LITTLE);
      },
      u32(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || value >>> 0 !== value) refuse(name, type, value);
        data.setUint32(place, value, LITTLE);
      },
      i32(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || (value | 0) !== value) refuse(name, type, value);
        data.setInt32(place, value, LITTLE);
      },
      u64(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value) refuse(name, type, value);
        data.setBigUint64(place, value, LITTLE);
      },
      i64(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "bigint" || BigInt.asIntN(64, value) !== value) refuse(name, type, value);
        data.setBigInt64(place, value, LITTLE);
      },
      f32(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number" || Number.isFinite(value) && !Number.isFinite(Math.fround(value))) {
          refuse(name, type, value);
        }
        data.setFloat32(place, value, LITTLE);
      },
      f64(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "number") refuse(name, type, value);
        data.setFloat64(place, value, LITTLE);
      },
      bool(value) {
        const data = this.#data;
        const place = this.#base + at;
        if (typeof value !== "boolean") refuse(name, type, value);
        data.setUint8(place, value ? 1 : 0);
      },
    };
    return setters[type];
  }

  /** What reads a text. */
  static textGetter(at: number, length: number): Getter {
    return function () {
      return readText(this.#bytes(at, length));
    };
  }

  /** What checks and writes a text. */
  static textSetter(name: string, at: number, length: number): Setter {
    return function (value) {
      writeText(name, this.#bytes(at, length), value);
    };
  }

  /** What gives a typed array, always the same one. */
  static arrayGetter(type: LayoutScalar, at: number, length: number, index: number): Getter {
    const Type = ARRAYS[type];
    const make: Getter = function () {
      return this.#parts[index] = new Type(
        this.#data.buffer,
        this.#data.byteOffset + this.#base + at,
        length,
      );
    };
    return function () {
      const part = this.#parts[index];
      return part === undefined ? make.call(this) : part;
    };
  }

  /** What gives the view of a nested structure, always the same one, or an array of them. */
  static structureGetter({ byteOffset, type, length }: Field, Type: MemoryClass, index: number): Getter {
    const stride = (type as Structure).byteLength;
    const make: Getter = function () {
      const at = this.#base + byteOffset;
      return this.#parts[index] = length === undefined
        ? new Type(this.#data, at)
        : Object.freeze(Array.from({ length }, (_, place) => new Type(this.#data, at + place * stride)));
    };
    return function () {
      const part = this.#parts[index];
      return part === undefined ? make.call(this) : part;
    };
  }

  /** The values of fields as a plain object, for `Deno.inspect`; a text where the region is closed. */
  static plain(view: StructureMemory, fields: readonly Field[]): unknown {
    if (view.#data.buffer.detached) return "a view of memory that is closed";
    const values = view as unknown as Readonly<Record<string, unknown>>;
    return Object.fromEntries(fields.map(({ name }) => [name, values[name]]));
  }

  #bytes(at: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#data.buffer, this.#data.byteOffset + this.#base + at, length);
  }
}
