/**
 * A 64-bit signed integer, for peers that expect the type `int64`: a plain `bigint` of 0 or more is sent as
 * `uint64`. Both come back as `bigint`.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { Int64 } from "@xpc/shmem/xpc";
 *
 * const pid = new Int64(1234n);
 * assert(pid.value === 1234n);
 * ```
 */
export class Int64 {
  /** The number. */
  readonly value: bigint;

  /**
   * Makes the integer.
   *
   * @param value from -2^63 to 2^63 - 1
   * @throws {TypeError} if it is not a `bigint`
   * @throws {RangeError} if it is outside of that
   */
  constructor(value: bigint) {
    if (typeof value !== "bigint") {
      throw new TypeError(`Cannot make a 64-bit signed integer of ${value}: value must be a bigint`);
    }
    if (BigInt.asIntN(64, value) !== value) {
      throw new RangeError(`Cannot make a 64-bit signed integer of ${value}: it is out of range`);
    }
    this.value = value;
  }
}
