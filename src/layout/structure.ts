import { inWords } from "../xpc/in_words.ts";
import { checkFieldName } from "./names.ts";
import type { LayoutFields, LayoutScalar } from "./types.ts";

/** The length of each scalar in bytes, which is also its alignment. */
const SCALAR_BYTES: Readonly<Record<LayoutScalar, number>> = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f32: 4,
  f64: 8,
  bool: 1,
};

/** The longest layout, in bytes: more than any machine has, and little enough for exact arithmetic. */
export const MAX_LAYOUT_BYTES = 2 ** 40;

/** The most layouts in an array: each is an object in JavaScript. */
const MAX_LAYOUTS_IN_ARRAY = 2 ** 20;

/** How deep layouts may be nested. */
export const MAX_DEPTH = 16;

/** A layout as the parts of this folder use it: with offsets, and checked. */
export interface Structure {
  readonly fields: readonly Field[];
  readonly byteLength: number;
  readonly alignment: number;
  /** 1, or 1 more than the deepest nested structure. */
  readonly depth: number;
}

/** A field of a structure. */
export interface Field {
  readonly name: string;
  readonly byteOffset: number;
  /** The type; of an array, that of its elements. */
  readonly type: LayoutScalar | "utf8" | Structure;
  /** The number of elements of an array, or of bytes of a text; `undefined` for a single value. */
  readonly length: number | undefined;
}

/** The alignment of a field's type, in bytes. */
export function alignmentOf(type: Field["type"]): number {
  if (typeof type === "object") return type.alignment;
  return type === "utf8" ? 1 : SCALAR_BYTES[type];
}

/** The length of one element of a field's type, in bytes. */
export function elementBytes(type: Field["type"]): number {
  if (typeof type === "object") return type.byteLength;
  return type === "utf8" ? 1 : SCALAR_BYTES[type];
}

/** Whether a value is the name of a scalar. */
export function isScalar(value: unknown): value is LayoutScalar {
  return typeof value === "string" && Object.hasOwn(SCALAR_BYTES, value);
}

/**
 * Places fields as C does: each at the next multiple of its alignment, and the end at a multiple of the largest.
 *
 * @param fields the fields, as the caller gave them
 * @param structureOf gives the structure of a nested layout; `undefined` for what is not a layout
 * @throws {TypeError} if there is no field, or a name or a type is not valid
 * @throws {RangeError} if a length is not valid, or the layout is too long or nested too deep
 */
export function place(
  fields: unknown,
  structureOf: (value: object) => Structure | undefined,
): Structure {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) {
    throw new TypeError(
      `Cannot make a layout of ${inWords(fields)}: its fields are an object such as { width: "u32" }`,
    );
  }
  const entries = Object.entries(fields as LayoutFields);
  if (entries.length === 0) throw new TypeError("Cannot make a layout without a field: name at least one");
  let end = 0;
  let alignment = 1;
  let depth = 1;
  const placed = entries.map(([name, value]): Field => {
    checkFieldName(name);
    const { type, length } = typeOf(name, value, structureOf);
    const byteOffset = roundUp(end, alignmentOf(type));
    end = byteOffset + elementBytes(type) * (length ?? 1);
    if (end > MAX_LAYOUT_BYTES) {
      throw new RangeError(
        `Cannot make a layout: it has ${end} bytes with the field "${name}", but at most ${MAX_LAYOUT_BYTES} are possible`,
      );
    }
    alignment = Math.max(alignment, alignmentOf(type));
    if (typeof type === "object") depth = Math.max(depth, type.depth + 1);
    return { name, byteOffset, type, length };
  });
  if (depth > MAX_DEPTH) {
    throw new RangeError(
      `Cannot make a layout: layouts are nested ${depth} deep, but at most ${MAX_DEPTH} may be`,
    );
  }
  return { fields: placed, byteLength: roundUp(end, alignment), alignment, depth };
}

/** Reads the type of a field. */
function typeOf(
  name: string,
  value: unknown,
  structureOf: (value: object) => Structure | undefined,
): Pick<Field, "type" | "length"> {
  const isArray = Array.isArray(value);
  const [element, length] = isArray ? value as unknown[] : [value, undefined];
  const structure = typeof element === "object" && element !== null ? structureOf(element) : undefined;
  const type = structure ?? (isScalar(element) || isArray && element === "utf8" ? element : undefined);
  if (type === undefined || isArray && value.length !== 2) {
    throw new TypeError(
      `Cannot make a layout: the type of the field "${name}" is ${inWords(value)}, but must be one of ` +
        `${Object.keys(SCALAR_BYTES).join(" ")}, ["utf8", bytes], a layout, or an array such as ["f32", 16]`,
    );
  }
  if (!isArray) return { type, length: undefined };
  if (typeof length !== "number" || !Number.isSafeInteger(length) || length < 1) {
    throw new RangeError(
      `Cannot make a layout: the length of the field "${name}" is ${
        inWords(length)
      }, but must be an integer above 0`,
    );
  }
  if (structure !== undefined && length > MAX_LAYOUTS_IN_ARRAY) {
    throw new RangeError(
      `Cannot make a layout: the field "${name}" is an array of ${length} layouts, but at most ` +
        `${MAX_LAYOUTS_IN_ARRAY} are possible; use an array of numbers for each of their fields`,
    );
  }
  return { type, length };
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
