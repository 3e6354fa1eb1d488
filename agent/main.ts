/**
 * The broker as a program: runs it, installs it for launchd or systemd, and prints its state and its log.
 *
 * ```sh
 * deno run -A jsr:@xpc/shmem/agent install
 * deno run -A jsr:@xpc/shmem/agent status
 * ```
 *
 * @module
 */
import { type Arguments, parseArguments, USAGE, UsageError } from "./install/arguments.ts";
import { RELEASE } from "../src/broker/release.ts";
import { EXIT, run } from "./install/run.ts";

/** Performs the action of the command line; returns the exit status. */
async function main(args: readonly string[]): Promise<number> {
  let parsed: Arguments;
  try {
    parsed = parseArguments(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`xpc-shmem-agent: ${error.message} (see --help)`);
    return EXIT.usage;
  }
  switch (parsed.action) {
    case "help":
      console.log(USAGE);
      return EXIT.success;
    case "version":
      console.log(`xpc-shmem-agent ${RELEASE}`);
      return EXIT.success;
    case "run":
      return await run(parsed.service, parsed.requirement);
    default: {
      // Imported here, so that a broker does not load what it does not need.
      const { administer } = await import("./install/administer.ts");
      return await administer(parsed);
    }
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
