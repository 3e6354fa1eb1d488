/**
 * Thrown by `connect` when the two apps do not fit: another version of this library's layout, or another schema.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { IncompatibleError } from "@xpc/shmem";
 *
 * const error = new IncompatibleError("Cannot connect: the schemas differ");
 * assert(error.name === "IncompatibleError");
 * ```
 */
export class IncompatibleError extends Error {
  /**
   * Makes the error.
   *
   * @param message what does not fit
   */
  constructor(message: string) {
    super(message);
    this.name = "IncompatibleError";
  }
}
