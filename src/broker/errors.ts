/**
 * Thrown when no broker can be reached: on macOS, when the launch agent is not installed; on Linux, when the system
 * keeps this process from becoming the broker, such as by a runtime folder that it cannot use.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { BrokerUnavailableError } from "@xpc/shmem";
 *
 * const error = new BrokerUnavailableError("io.jsr.xpc.shmem", "there is no such service");
 * assert(error.message.includes("there is no such service"));
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
    super(`Cannot reach the broker "${service}": ${reason}. ${advice()}`);
    this.name = "BrokerUnavailableError";
  }
}

function advice(): string {
  if (Deno.build.os === "darwin") {
    return "Install the launch agent: deno task agent:install, or deno run -A jsr:@xpc/shmem/agent install";
  }
  return "To see what is wrong here, run deno task doctor, or deno run -A jsr:@xpc/shmem/doctor";
}
