/**
 * The command line of the demo.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";

const MODES = ["stream", "mutex"] as const;

/** What `--mode` takes. */
export type Mode = (typeof MODES)[number];

const VICTIMS = ["writer", "reader", "broker"] as const;

/** What `--kill` takes. */
export type Victim = (typeof VICTIMS)[number];

/** What the command line asks for. */
export interface Options {
  /** Whether frames are in streams, or in regions with a mutex. */
  readonly mode: Mode;
  /** How many regions, or streams. */
  readonly regions: number;
  /** The length of each region, or of each slot, in bytes. */
  readonly byteLength: number;
  /** Whether they may be shorter where there is less memory: nobody said how long they are. */
  readonly mayShrink: boolean;
  /** How many slots each stream has. */
  readonly slots: number;
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

  --mode stream      the writer never waits: it fills a slot that nobody reads.
                     Or mutex: both lock the one frame of a region, and wait for each other
  --regions 8        how many streams, or regions, 1 to 255
  --size 100MiB      the length of a frame: bytes, or with KiB, MiB, GiB, KB, MB, GB.
                     Without it, less where the memory is short
  --slots 3          how many frames a stream has room for, 3 to 64; 4 or more with --kill broker
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
    string: ["mode", "regions", "size", "slots", "seconds", "kill", "broker"],
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
  const kill = flags.kill === undefined ? undefined : oneOf("kill", flags.kill, VICTIMS);
  // Where the broker dies, a third process finds the server and reads, too.
  const readers = kill === "broker" ? 2 : 1;
  const least = 2 + readers;
  const slots = numberOf("slots", flags.slots ?? `${least}`);
  if (!(Number.isInteger(slots) && slots >= least && slots <= 64)) {
    throw new UsageError(
      `Cannot use ${slots} slots: want ${least} (one to write, the newest, ${readers} to read) to 64`,
    );
  }
  return {
    mode: oneOf("mode", flags.mode ?? "stream", MODES),
    regions,
    byteLength: parseSize(flags.size ?? "100MiB"),
    mayShrink: flags.size === undefined,
    slots,
    seconds,
    json: flags.json,
    kill,
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
