/**
 * The soak: `deno task soak --minutes 30` keeps a server and a client busy and fails if what they use grows.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { green, red } from "@std/fmt/colors";
import { BOUNDS } from "./samples.ts";
import { soak } from "./soak.ts";

const USAGE =
  `Keeps a server and its clients busy, and fails if their memory, descriptors, threads or mappings grow.

Usage: deno task soak [options]

  --minutes 10   how long
  --help         print this
`;

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["minutes"], boolean: ["help"] });
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  const minutes = Number(flags.minutes ?? 10);
  if (!(minutes > 0 && minutes <= 7 * 24 * 60) || flags._.length > 0) {
    console.error(`Cannot soak for ${flags.minutes ?? flags._[0]} minutes: want more than 0; see --help`);
    return 2;
  }
  if (Deno.build.os !== "linux") {
    console.log("skipped: it needs Linux, for what it counts is in /proc");
    return 0;
  }
  let grown = 0;
  for (const { name, courses, done } of await soak(minutes * 60_000)) {
    console.log(`${name}: ${Object.entries(done).map(([what, count]) => `${count} ${what}`).join(", ")}`);
    for (const { key, early, late, most, eighths, flat } of courses) {
      if (!flat) grown++;
      const unit = key === "resident" ? " KiB" : "";
      console.log(
        `  ${flat ? green("flat") : red("grown")} ${key}: ${early}${unit} early, ${late}${unit} late, ` +
          `${most}${unit} at most; may grow by ${BOUNDS[key]}${unit} (${eighths.join(", ")})`,
      );
    }
  }
  return grown > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
