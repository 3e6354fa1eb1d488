/**
 * Chaos: `deno task chaos --rounds 100 --seed 1` disturbs real processes at moments that the seed decides, and checks
 * after each round that all is well.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { green, red } from "@std/fmt/colors";
import { brokers, run } from "./chaos.ts";
import { available } from "./limits.ts";
import { type Kind, KINDS } from "./plan.ts";

const USAGE = `Kills, stops and starves processes that share memory, and checks that the others live on.

Usage: deno task chaos [options]

  --rounds 20    how many rounds
  --seed NUMBER  decides what happens when; by default another one each time
  --only KINDS   what may happen, with commas: ${KINDS.join(", ")}
  --help         print this

With XPC_SHMEM_AGENT (the Swift agent's program) it is a broker, too.
`;

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["rounds", "seed", "only"], boolean: ["help"] });
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  const rounds = Number(flags.rounds ?? 20);
  const seed = Number(flags.seed ?? crypto.getRandomValues(new Uint16Array(1))[0]);
  const only = flags.only?.split(",") ?? KINDS;
  const kinds = KINDS.filter((kind) => only.includes(kind));
  const wrong = !(Number.isInteger(rounds) && rounds > 0) || !Number.isInteger(seed) ||
    kinds.length !== only.length || flags._.length > 0;
  if (wrong) {
    console.error(`Cannot understand "${Deno.args.join(" ")}": see --help`);
    return 2;
  }
  if (Deno.build.os !== "linux") {
    console.log("skipped: it needs Linux, where a test can have a broker of its own");
    return 0;
  }
  console.log(`seed ${seed}, ${rounds} rounds, brokers: ${brokers().join(", ")}`);
  if (!available) console.log("without descriptor exhaustion: there is no prlimit (util-linux)");
  try {
    await run({ rounds, seed, kinds: kinds as Kind[], log: (line) => console.log(line) });
  } catch (error) {
    console.error(`${red("failed")} ${(error as Error).message}`);
    return 1;
  }
  console.log(green("ok"));
  return 0;
}

if (import.meta.main) Deno.exit(await main());
