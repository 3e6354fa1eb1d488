/**
 * A UUID as XPC sends it: 16 bytes.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Uuid } from "@xpc/shmem/xpc";
 *
 * const uuid = Uuid.parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8");
 * assert(uuid.toString() === "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
 * ```
 */
export class Uuid {
  /** The 16 bytes. */
  readonly bytes: Uint8Array;

  /**
   * Makes a UUID from its bytes.
   *
   * @param bytes 16 bytes, copied
   * @throws {RangeError} if there are not 16
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== 16) {
      throw new RangeError(`Cannot make a UUID: bytes must be 16 long, current length is ${bytes.length}`);
    }
    this.bytes = bytes.slice();
  }

  /**
   * Reads the usual form, 8-4-4-4-12 hex digits.
   *
   * @param text the form
   * @returns the UUID
   * @throws {SyntaxError} if it is not of that form
   */
  static parse(text: string): Uuid {
    if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) {
      throw new SyntaxError(`Cannot parse "${text}" as a UUID: want 8-4-4-4-12 hex digits`);
    }
    return new Uuid(Uint8Array.fromHex(text.replaceAll("-", "")));
  }

  /** The usual form, in lower case. */
  toString(): string {
    const hex = this.bytes.toHex();
    const ends = [8, 12, 16, 20, 32];
    return ends.map((end, index) => hex.slice(ends[index - 1] ?? 0, end)).join("-");
  }
}
