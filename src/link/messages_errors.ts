/**
 * Thrown by requests when the handler at the other side threw.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, RemoteError, serve } from "@xpc/shmem";
 *
 * await using _server = await serve("com.example.remote-error", {
 *   regions: {},
 *   request: () => {
 *     throw new RangeError("Cannot seek: there are 2 frames");
 *   },
 * });
 * await using client = await connect("com.example.remote-error");
 * try {
 *   await client.request({ seek: 3 });
 * } catch (error) {
 *   assert(error instanceof RemoteError && error.remoteName === "RangeError");
 * }
 * ```
 */
export class RemoteError extends Error {
  /** The name of the error at the other side, such as "RangeError". */
  readonly remoteName: string;

  /**
   * Makes the error.
   *
   * @param message the message of the error at the other side
   * @param remoteName its name
   */
  constructor(message: string, remoteName: string) {
    super(message);
    this.name = "RemoteError";
    this.remoteName = remoteName;
  }
}

/**
 * Thrown by `send()` when too much is under way to a process that does not read it: wait with `sendAsync()`, or leave
 * the message out.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { BacklogError } from "@xpc/shmem";
 *
 * const error = new BacklogError("Cannot send a message: 8192 messages are under way");
 * assert(error.name === "BacklogError");
 * ```
 */
export class BacklogError extends Error {
  /**
   * Makes the error.
   *
   * @param message what is under way
   */
  constructor(message: string) {
    super(message);
    this.name = "BacklogError";
  }
}

/** The name and the message of whatever a handler threw, fit for a message. */
export function describeThrown(thrown: unknown): { readonly name: string; readonly message: string } {
  const isError = thrown instanceof Error;
  return {
    name: sendable(() => isError ? String(thrown.name) : typeof thrown, 128),
    message: sendable(() => isError ? thrown.message : String(thrown), 4096),
  };
}

/** A text that can be sent: short, without NUL and lone surrogates. */
function sendable(text: () => string, length: number): string {
  try {
    return String(text()).slice(0, length).replaceAll("\0", "").toWellFormed();
  } catch {
    return "unknown"; // a getter or a toString() that throws
  }
}
