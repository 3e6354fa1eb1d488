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
