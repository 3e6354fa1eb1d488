import { inWords } from "../xpc/in_words.ts";
import { describe, hashOf, MAX_DESCRIPTION_LENGTH } from "./description.ts";
import { place, type Structure } from "./structure.ts";
import type { Layout, LayoutFields } from "./types.ts";

/** Marks layouts. Registered, so that another copy of this module knows them too: the command loads its own. */
const MARK = Symbol.for("@xpc/shmem/layout");

/** The structures of layouts that were used. */
const structures = new WeakMap<object, Structure>();

/**
 * Declares a structure in shared memory: fields with names and types, which lie in memory as in a `struct` of C. Views
 * of it read and write the memory itself.
 *
 * Fields lie in the order of the object, each aligned to its size, with padding where needed. Names are identifiers
 * that C, C++ and Swift can declare too: `deno run -R jsr:@xpc/shmem/layout file.ts --c` prints the declaration.
 *
 * Where a peer may write the memory, a field is what the peer wrote last: check it before you use it. Reading never throws:
 * a `bool` is `true` for every byte but 0, and text that is not UTF-8 has U+FFFD in its place.
 *
 * @typeParam F the fields
 * @param fields a {@linkcode FieldType} for each name, in the order of the memory
 * @returns the layout, for `region.view(Frame)` and `serve(name, { regions: { frame: { layout: Frame } } })`
 * @throws {TypeError} if there is no field, or a name or a type is not valid
 * @throws {RangeError} if the length of an array is not valid, or the layout is too long or nested too deep
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { layout, serve } from "@xpc/shmem";
 *
 * const Point = layout({ x: "f64", y: "f64" });
 * const Frame = layout({
 *   width: "u32",
 *   height: "u32",
 *   timestamp: "f64",
 *   title: ["utf8", 32],
 *   camera: ["f32", 16],
 *   corners: [Point, 4],
 * });
 * assert(Frame.offsets.timestamp === 8 && Frame.byteLength === 176);
 *
 * await using server = await serve("com.example.layout", { regions: { frame: { layout: Frame } } });
 * const frame = server.region("frame").view(Frame);
 * frame.width = 1920;
 * frame.title = "the first";
 * frame.camera[0] = 1;
 * frame.corners[3]!.y = 0.5;
 * assert(server.region("frame").view(Uint32Array)[0] === 1920);
 * ```
 */
export function layout<const F extends LayoutFields>(fields: F): Layout<F> {
  const structure = place(fields, findStructure);
  const description = describe(structure);
  if (description.length > MAX_DESCRIPTION_LENGTH) {
    throw new RangeError(
      `Cannot make a layout: its description has ${description.length} characters, but at most ` +
        `${MAX_DESCRIPTION_LENGTH} are possible; use fewer fields, or arrays`,
    );
  }
  const offsets = Object.fromEntries(structure.fields.map(({ name, byteOffset }) => [name, byteOffset]));
  const made = {
    fields: Object.freeze({ ...fields }),
    byteLength: structure.byteLength,
    alignment: structure.alignment,
    offsets: Object.freeze(offsets) as Layout<F>["offsets"],
    description,
    hash: hashOf(description),
  };
  Object.defineProperty(made, MARK, { value: true });
  structures.set(made, structure);
  return Object.freeze(made);
}

/** Whether a value is a layout, of this copy of the module or of another. */
export function isLayout(value: unknown): value is Layout {
  return typeof value === "object" && value !== null && (value as { [MARK]?: unknown })[MARK] === true;
}

/**
 * The structure of a layout.
 *
 * @throws {TypeError} if it is none, or of a version of this module that places fields otherwise
 */
export function structureOf(value: Layout): Structure {
  const structure = findStructure(value);
  if (structure !== undefined) return structure;
  throw new TypeError(`Cannot use ${inWords(value)} as a layout: make one with layout()`);
}

function findStructure(value: object): Structure | undefined {
  const known = structures.get(value);
  if (known !== undefined || !isLayout(value)) return known;
  const { fields, description } = value;
  const structure = place(fields, findStructure);
  if (describe(structure) !== description) {
    throw new TypeError(
      "Cannot use the layout: another version of @xpc/shmem made it, and places fields otherwise",
    );
  }
  structures.set(value, structure);
  return structure;
}
