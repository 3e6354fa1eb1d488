/**
 * The command line of the bench.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

/** What the command line asks for. */
export interface Options {
  /** Whether to print one JSON object and nothing else. */
  readonly json: boolean;
  /** Which benches to run: those whose name has this in it. */
  readonly only: string | undefined;
  /** How many rounds: in each, what is compared takes turns. */
  readonly rounds: number;
  /** Whether to measure little: enough to see that it works. */
  readonly quick: boolean;
  /** Whether a miss makes it fail. */
  readonly hold: boolean;
  /** The size of large regions, in bytes. */
  readonly large: number;
}

/** A command line that cannot be followed. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Printed by `--help`; the names are those of the benches. */
export function usage(keys: readonly string[]): string {
  return `Measures the library against what else there is, by turns in one run.

Usage: deno task bench [options]

  --only NAME   ${keys.join(", ")}
  --rounds 9    how often each takes its turn, 1 to 1000
  --quick       measures little: to see that it works
  --json        print one JSON object
  --hold        fail if a number does not hold
  --help        print this
`;
}

/**
 * Reads the command line.
 *
 * @param args as in `Deno.args`
 * @param keys the names of the benches
 * @returns the options, or `undefined` where help is wanted
 * @throws {UsageError} for what it does not know
 */
export function parseOptions(args: readonly string[], keys: readonly string[]): Options | undefined {
  const { _: rest, ...flags } = parseArgs(args, {
    string: ["only", "rounds"],
    boolean: ["json", "quick", "hold", "help"],
    unknown: (argument) => {
      throw new UsageError(`Cannot understand "${argument}": see --help`);
    },
  });
  if (rest.length > 0) throw new UsageError(`Cannot understand "${rest[0]}": see --help`);
  if (flags.help) return undefined;
  const { only, json, quick, hold } = flags;
  if (only !== undefined && !keys.some((key) => key.includes(only))) {
    throw new UsageError(`Cannot find the bench "${only}": there are ${keys.join(", ")}`);
  }
  const rounds = Number(flags.rounds ?? (quick ? 1 : 9));
  if (!(Number.isInteger(rounds) && rounds >= 1 && rounds <= 1000)) {
    throw new UsageError(`Cannot run ${flags.rounds} rounds: want 1 to 1000`);
  }
  return { json, only, rounds, quick, hold, large: (quick ? 4 : 100) * 2 ** 20 };
}
