/**
 * A 64-bit signed integer, for peers that ask for `int64` by type: a plain `bigint` becomes an unsigned integer
 * where it is 0 or more. Both come back as `bigint`.
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
   * Marks a number as signed.
   *
   * @param value from -2^63 to 2^63 - 1
   * @throws {RangeError} if it is outside of that
   */
  constructor(value: bigint) {
    if (BigInt.asIntN(64, value) !== value) {
      throw new RangeError(`Cannot make a 64-bit signed integer of ${value}: it is out of range`);
    }
    this.value = value;
  }
}
