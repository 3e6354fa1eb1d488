/**
 * The command line of the demo.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

const VICTIMS = ["writer", "reader", "broker"] as const;

/** What `--kill` takes. */
export type Victim = (typeof VICTIMS)[number];

/** What the command line asks for. */
export interface Options {
  /** How many regions. */
  readonly regions: number;
  /** The length of each, in bytes. */
  readonly byteLength: number;
  /** How long frames are written. */
  readonly seconds: number;
  /** Whether to print one JSON object and nothing else. */
  readonly json: boolean;
  /** Who is killed half-way. */
  readonly kill: Victim | undefined;
  /** The broker: the one that is embedded in the apps, or the agent in Swift. */
  readonly broker: "embedded" | "swift";
}

/** Printed by `--help`. */
export const USAGE =
  `Two processes share memory: one writes frames, the other checks every byte of those it takes.

Usage: deno task demo [options]

  --regions 8        how many regions, 1 to 255
  --size 100MiB      the length of each: bytes, or with KiB, MiB, GiB, KB, MB, GB
  --seconds 5        how long frames are written, 0.2 to 3600
  --kill VICTIM      kill -9 half-way: writer, reader or broker
  --broker embedded  or swift: the agent, as XPC_SHMEM_AGENT names it
  --json             print one JSON object
  --help             print this
`;

/** A command line that cannot be followed. */
export class UsageError extends Error {
  /** @param message what is wrong with it */
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/**
 * Reads the command line.
 *
 * @param args as in `Deno.args`
 * @returns the options, or `undefined` where help is wanted
 * @throws {UsageError} if an argument is unknown or its value is not valid
 */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { _: rest, ...flags } = parseArgs(args, {
    string: ["regions", "size", "seconds", "kill", "broker"],
    boolean: ["json", "help"],
    unknown: (argument) => {
      throw new UsageError(`Cannot understand "${argument}": see --help`);
    },
  });
  if (rest.length > 0) throw new UsageError(`Cannot understand "${rest[0]}": see --help`);
  if (flags.help) return undefined;
  const seconds = numberOf("seconds", flags.seconds ?? "5");
  if (!(seconds >= 0.2 && seconds <= 3600)) {
    throw new UsageError(`Cannot run for ${seconds} seconds: want 0.2 to 3600`);
  }
  const regions = numberOf("regions", flags.regions ?? "8");
  if (!(Number.isInteger(regions) && regions >= 1 && regions <= 255)) {
    throw new UsageError(`Cannot share ${regions} regions: want 1 to 255`);
  }
  return {
    regions,
    byteLength: parseSize(flags.size ?? "100MiB"),
    seconds,
    json: flags.json,
    kill: flags.kill === undefined ? undefined : oneOf("kill", flags.kill, VICTIMS),
    broker: oneOf("broker", flags.broker ?? "embedded", ["embedded", "swift"]),
  };
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
};

/**
 * Reads a size such as `100MiB`, `1.5GiB` or `4096`.
 *
 * @param text the size
 * @returns bytes
 * @throws {UsageError} if it is not a size, or not a whole number of bytes
 */
export function parseSize(text: string): number {
  const [, digits, unit] = /^(\d+(?:\.\d+)?) ?([a-z]*)$/i.exec(text) ?? [];
  const factor = UNITS[unit?.toLowerCase() ?? "none"];
  const bytes = Number(digits) * (factor ?? NaN);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new UsageError(`Cannot read the size "${text}": want one such as 100MiB, 1GiB or 4096`);
}

function numberOf(name: string, text: string): number {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  throw new UsageError(`Cannot read --${name} "${text}": want a number`);
}

function oneOf<T extends string>(name: string, text: string, choices: readonly T[]): T {
  const choice = choices.find((known) => known === text);
  if (choice !== undefined) return choice;
  throw new UsageError(`Cannot take --${name} "${text}": want ${choices.join(", ")}`);
}
