import { parseArgs } from "@std/cli/parse-args";
import { checkServiceName } from "../../src/xpc/service_name.ts";
import { DEFAULT_SERVICE } from "../../src/broker/release.ts";

/** The actions of the command line. */
const ACTIONS = ["run", "install", "uninstall", "status", "logs"] as const;

/** One of {@linkcode ACTIONS}. */
export type Action = typeof ACTIONS[number];

/** How the broker runs where it is installed: the Swift agent, or the embedded broker in Deno. */
export type Runtime = "swift" | "deno";

/** The systems that a broker can be installed on. */
export type Platform = "darwin" | "linux";

/** A parsed command line. */
export interface Arguments {
  readonly action: Action | "help" | "version";
  readonly service: string;
  readonly requirement: string | undefined;
  /** The runtime that the user chose. Without a choice, Swift if there is a toolchain. */
  readonly runtime: Runtime | undefined;
  readonly platform: Platform;
  readonly dryRun: boolean;
  readonly json: boolean;
  readonly follow: boolean;
}

/** Thrown for a command line that is not valid. */
export class UsageError extends Error {}

/** The text of `--help`. */
export const USAGE = `The broker of @xpc/shmem: apps register and find shared memory through it.

Usage: deno run -A jsr:@xpc/shmem/agent ACTION [OPTIONS]   (in a checkout: deno task agent:ACTION)

  run         run the embedded broker in the foreground
  install     install the broker for this user: a launch agent on macOS, systemd user units on Linux
  uninstall   remove what install made
  status      print the broker's version, its uptime, and who serves what
  logs        print the broker's log

  --service NAME         the broker's Mach service (${DEFAULT_SERVICE})
  --requirement STRING   serve only peers that meet this code-signing requirement (macOS; run, install)
  --runtime swift|deno   what to install (swift where there is a Swift toolchain and a checkout)
  --dry-run              print every file and every command, and do nothing (install, uninstall)
  --platform darwin|linux   the system to print that for
  --json                 print JSON (status)
  --follow               go on with what comes (logs)
  --version, --help`;

/**
 * Parses the command line.
 *
 * @param args the arguments
 * @returns what they ask for
 * @throws {UsageError} if they are not valid
 */
export function parseArguments(args: readonly string[]): Arguments {
  const flags = parseArgs(args, {
    string: ["service", "requirement", "runtime", "platform"],
    boolean: ["dry-run", "json", "follow", "help", "version"],
    unknown: (argument) => {
      if (argument.startsWith("-")) throw new UsageError(`Cannot understand the argument "${argument}"`);
      return true;
    },
  });
  const { service = DEFAULT_SERVICE, requirement, runtime, platform = hostPlatform() } = flags;
  for (const [name, value] of Object.entries({ service, requirement, runtime, platform })) {
    if (value === "") throw new UsageError(`Cannot read the arguments: --${name} needs a value`);
  }
  try {
    checkServiceName(service);
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
  if (runtime !== undefined && runtime !== "swift" && runtime !== "deno") {
    throw new UsageError(`Cannot use the runtime "${runtime}": it is "swift" or "deno"`);
  }
  if (platform !== "darwin" && platform !== "linux") {
    throw new UsageError(`Cannot install on "${platform}": brokers run on "darwin" and "linux"`);
  }
  if (platform !== hostPlatform() && !flags["dry-run"]) {
    throw new UsageError(
      `Cannot install for "${platform}" from here: add --dry-run to see what would be done there`,
    );
  }
  return {
    action: actionOf(flags._.map(String), flags),
    service,
    requirement,
    runtime,
    platform,
    dryRun: flags["dry-run"],
    json: flags.json,
    follow: flags.follow,
  };
}

function actionOf(words: readonly string[], flags: { help: boolean; version: boolean }): Arguments["action"] {
  if (flags.help || words.length === 0 && !flags.version) return "help";
  if (flags.version) return "version";
  const action = ACTIONS.find((known) => known === words[0]);
  if (action === undefined || words.length > 1) {
    throw new UsageError(`Cannot do "${words.join(" ")}": want one of ${ACTIONS.join(", ")}`);
  }
  return action;
}

function hostPlatform(): string {
  return Deno.build.os;
}
