/**
 * Why a connection failed:
 *
 * - `"interrupted"`: the other side ended. The connection to a service stays usable: the next message starts the
 *   service again.
 * - `"invalid"`: the connection is over: it was closed, its other side is gone, or there is no such service.
 * - `"requirement"`: the other side does not meet the code-signing requirement (macOS).
 * - `"other"`: an error that this version does not know.
 */
export type ConnectionErrorKind = "interrupted" | "invalid" | "requirement" | "other";

/**
 * Thrown when a message or a request cannot reach the other side of a connection.
 *
 * @example Tell a peer that is gone from other errors
 * ```ts
 * import { assert } from "@std/assert";
 * import { ConnectionError } from "@xpc/shmem/xpc";
 *
 * const error = new ConnectionError("Cannot send: the connection is closed", "invalid");
 * assert(error.kind === "invalid");
 * ```
 */
export class ConnectionError extends Error {
  /** Why. */
  readonly kind: ConnectionErrorKind;

  /**
   * Makes the error.
   *
   * @param message what could not be done
   * @param kind why
   */
  constructor(message: string, kind: ConnectionErrorKind) {
    super(message);
    this.name = "ConnectionError";
    this.kind = kind;
  }
}
