import type { Field, Structure } from "./structure.ts";

/** The longest description, in characters: a peer sends its own, and no more than this is read. */
export const MAX_DESCRIPTION_LENGTH = 32_768;

/**
 * The text that two layouts have in common if they are the same. For `{ width: "u32", camera: ["f32", 16] }` it is
 * `{width:u32@0,camera:f32[16]@4}68`:
 *
 * ```text
 * layout = "{" field *("," field) "}" bytes
 * field  = name ":" type ["[" length "]"] "@" offset
 * type   = scalar / "utf8" / layout          ; utf8 has a length always
 * ```
 */
export function describe({ fields, byteLength }: Structure): string {
  return `{${
    fields.map((field) => `${field.name}:${describeType(field)}@${field.byteOffset}`).join(",")
  }}${byteLength}`;
}

function describeType({ type, length }: Field): string {
  const element = typeof type === "string" ? type : describe(type);
  return length === undefined ? element : `${element}[${length}]`;
}

/**
 * The 64-bit FNV-1a hash of a text in ASCII, after Fowler, Noll and Vo (RFC 9923): 16 hexadecimal digits. `crypto`
 * hashes asynchronously only, and nobody gains by a collision: who lies about a layout can as well lie about the content.
 */
export function hashOf(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (let index = 0; index < text.length; index++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(text.charCodeAt(index))) * 0x100000001b3n);
  }
  return hash.toString(16).padStart(16, "0");
}
