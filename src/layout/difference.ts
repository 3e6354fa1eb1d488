import { parseDescription } from "./parse.ts";
import type { Field, Structure } from "./structure.ts";

/** How {@linkcode describeDifference} names the two sides. */
export interface LayoutSides {
  /** This side, such as "the server". */
  readonly ours: string;
  /** The other side, such as "the client". */
  readonly theirs: string;
}

const SIDES: LayoutSides = { ours: "this side", theirs: "the other side" };

/**
 * Says in plain words what the first difference of two layouts is, for the message of a refusal. It never throws, and
 * its text is short and printable, whatever a peer sent.
 *
 * @param ours the description of this side's layout
 * @param theirs the description of the other side's layout, which may be anything
 * @param sides how to name the two
 * @returns a part of a sentence such as `"width": the server has u32, the client has u16`; `undefined` if they are the
 *   same
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { describeDifference, layout } from "@xpc/shmem/layout";
 *
 * const old = layout({ width: "u16", height: "u16" });
 * const now = layout({ width: "u32", height: "u32" });
 * assertEquals(
 *   describeDifference(now.description, old.description),
 *   `"width": this side has u32, the other side has u16`,
 * );
 * ```
 */
export function describeDifference(
  ours: string,
  theirs: unknown,
  sides: LayoutSides = SIDES,
): string | undefined {
  if (ours === theirs) return undefined;
  const read = (text: unknown, side: string): Structure | string => {
    try {
      return parseDescription(text);
    } catch (error) {
      return `${side} has a layout that cannot be read (${(error as Error).message})`;
    }
  };
  const [a, b] = [read(ours, sides.ours), read(theirs, sides.theirs)];
  if (typeof a === "string") return a;
  if (typeof b === "string") return b;
  return differenceOf(a, b, "", sides);
}

function differenceOf(
  ours: Structure,
  theirs: Structure,
  path: string,
  sides: LayoutSides,
): string | undefined {
  const count = Math.max(ours.fields.length, theirs.fields.length);
  for (let index = 0; index < count; index++) {
    const [a, b] = [ours.fields[index], theirs.fields[index]];
    if (a?.name !== b?.name) return nameDifference(ours, theirs, index, path, sides);
    const found = a && b && fieldDifference(a, b, `${path}${a.name}`, sides);
    if (found !== undefined) return found;
  }
  if (ours.byteLength === theirs.byteLength) return undefined;
  const what = path === "" ? "the length" : `the length of ${JSON.stringify(path.replace(/\.$/, ""))}`;
  return `${what}: ${have(sides, `${ours.byteLength} bytes`, `${theirs.byteLength} bytes`)}`;
}

/** What differs where the names at one place do. */
function nameDifference(
  ours: Structure,
  theirs: Structure,
  index: number,
  path: string,
  sides: LayoutSides,
): string {
  const has = ({ fields }: Structure, field: Field | undefined): boolean =>
    fields.some(({ name }) => name === field?.name);
  const [a, b] = [ours.fields[index], theirs.fields[index]];
  const quoted = (field: Field | undefined): string => JSON.stringify(`${path}${field?.name}`);
  // A field that one side lacks explains more than whatever stands in its place.
  if (a !== undefined && !has(theirs, a) && (b === undefined || has(ours, b))) {
    return `${quoted(a)}: ${have(sides, "it", "no such field")}`;
  }
  if (b !== undefined && !has(ours, b) && (a === undefined || has(theirs, a))) {
    return `${quoted(b)}: ${have(sides, "no such field", "it")}`;
  }
  return `field ${index + 1}${path === "" ? "" : ` of ${JSON.stringify(path.replace(/\.$/, ""))}`}: ` +
    have(sides, quoted(a), quoted(b));
}

function fieldDifference(a: Field, b: Field, path: string, sides: LayoutSides): string | undefined {
  if (typeof a.type === "object" && typeof b.type === "object") {
    const isArray = a.length !== undefined && b.length !== undefined;
    const found = differenceOf(a.type, b.type, `${path}${isArray ? "[]" : ""}.`, sides);
    if (found !== undefined) return found;
  }
  const [ourType, theirType] = [typeInWords(a), typeInWords(b)];
  if (ourType !== theirType) return `${JSON.stringify(path)}: ${have(sides, ourType, theirType)}`;
  if (a.byteOffset === b.byteOffset) return undefined;
  return `${JSON.stringify(path)}: ${
    have(sides, `it at byte ${a.byteOffset}`, `it at byte ${b.byteOffset}`)
  }`;
}

function have({ ours, theirs }: LayoutSides, our: string, their: string): string {
  return `${ours} has ${our}, ${theirs} has ${their}`;
}

function typeInWords({ type, length }: Field): string {
  if (typeof type === "string") return length === undefined ? type : `${type}[${length}]`;
  return length === undefined ? "a layout" : `${length} layouts`;
}
