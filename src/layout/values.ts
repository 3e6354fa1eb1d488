import { inWords } from "../xpc/in_words.ts";
import type { LayoutScalar } from "./types.ts";

/** The range of each type of integer that is a `number`. */
const RANGES: Readonly<Record<"u8" | "i8" | "u16" | "i16" | "u32" | "i32", readonly [number, number]>> = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
};

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Throws the error for a value that does not fit: it is not called for one that does, so that setters stay small. */
export function refuse(name: string, type: LayoutScalar, value: unknown): never {
  const cannot = `Cannot set "${name}" to ${inWords(value)}: `;
  switch (type) {
    case "bool":
      throw new TypeError(`${cannot}it is a bool, so the value must be true or false`);
    case "f32":
      if (typeof value === "number") throw new RangeError(`${cannot}it is an f32, which ends at 3.4e38`);
      throw new TypeError(`${cannot}it is an f32, so the value must be a number`);
    case "f64":
      throw new TypeError(`${cannot}it is an f64, so the value must be a number`);
    case "u64":
    case "i64": {
      const range = type === "u64" ? "from 0n to 2n ** 64n - 1n" : "from -(2n ** 63n) to 2n ** 63n - 1n";
      const want = `it is ${type === "u64" ? "a u64" : "an i64"}, so the value must be a bigint ${range}`;
      throw new (typeof value === "bigint" ? RangeError : TypeError)(cannot + want);
    }
    default: {
      const [from, to] = RANGES[type];
      const want = `it is ${
        type.startsWith("i") ? "an" : "a"
      } ${type}, so the value must be an integer from ${from} to ${to}`;
      throw new (typeof value === "number" ? RangeError : TypeError)(cannot + want);
    }
  }
}

/** The text in bytes that anybody may have written, up to the first 0. What is not UTF-8 becomes U+FFFD. */
export function readText(shared: Uint8Array<ArrayBuffer>): string {
  // A copy: a peer may write while the decoder, which looks at each byte more than once, runs.
  const bytes = shared.slice();
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/**
 * Writes a text, and zeros after it.
 *
 * @throws {TypeError} if it is not a string that survives the trip through UTF-8 and zeros
 * @throws {RangeError} if it is too long
 */
export function writeText(name: string, shared: Uint8Array<ArrayBuffer>, value: unknown): void {
  const cannot = `Cannot set "${name}" to ${inWords(value)}: `;
  if (typeof value !== "string") throw new TypeError(`${cannot}it is a text, so the value must be a string`);
  if (!value.isWellFormed()) throw new TypeError(`${cannot}the string has half of a surrogate pair`);
  if (value.includes("\0")) throw new TypeError(`${cannot}the string has a character 0, which ends a text`);
  const bytes = encoder.encode(value);
  if (bytes.length > shared.length) {
    throw new RangeError(
      `${cannot}the string has ${bytes.length} bytes in UTF-8, but there is room for ${shared.length}`,
    );
  }
  shared.set(bytes);
  shared.fill(0, bytes.length);
}
