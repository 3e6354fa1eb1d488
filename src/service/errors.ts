/**
 * Thrown by `serve` when another app serves the name, and the reason of a server that was replaced.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { NameTakenError, serve } from "@xpc/shmem";
 *
 * await using _first = await serve("com.example.taken", { regions: { frame: { byteLength: 4096 } } });
 * try {
 *   await using _second = await serve("com.example.taken", { regions: { frame: { byteLength: 4096 } } });
 * } catch (error) {
 *   assert(error instanceof NameTakenError && error.pid === Deno.pid);
 * }
 * ```
 */
export class NameTakenError extends Error {
  /** The process that serves the name. */
  readonly pid: number;

  /**
   * Makes the error.
   *
   * @param name the name
   * @param pid who serves it
   */
  constructor(name: string, pid: number) {
    super(`Cannot serve "${name}": process ${pid} serves it`);
    this.name = "NameTakenError";
    this.pid = pid;
  }
}

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

/**
 * Thrown when no broker can be reached: on macOS, when the launch agent is not installed.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { BrokerUnavailableError } from "@xpc/shmem";
 *
 * const error = new BrokerUnavailableError("io.jsr.xpc.shmem", "there is no such service");
 * assert(error.message.includes("agent:install"));
 * ```
 */
export class BrokerUnavailableError extends Error {
  /**
   * Makes the error.
   *
   * @param service the broker's Mach service
   * @param reason what was found instead
   */
  constructor(service: string, reason: string) {
    super(
      `Cannot reach the broker "${service}": ${reason}. Install the launch agent: deno task agent:install, or ` +
        `deno run -A jsr:@xpc/shmem/agent install`,
    );
    this.name = "BrokerUnavailableError";
  }
}
