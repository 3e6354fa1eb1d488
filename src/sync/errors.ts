/**
 * Thrown by waits when the process at the other side is gone: it died, closed, or was replaced. What was mapped
 * stays readable until it is closed.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { PeerGoneError } from "@xpc/shmem";
 *
 * const error = new PeerGoneError("Cannot wait for changes: the server is gone");
 * assert(error.name === "PeerGoneError");
 * ```
 */
export class PeerGoneError extends Error {
  /**
   * Makes the error.
   *
   * @param message what could not be done
   */
  constructor(message: string) {
    super(message);
    this.name = "PeerGoneError";
  }
}
