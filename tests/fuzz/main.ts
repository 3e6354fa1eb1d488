/**
 * The fuzzers: `deno task fuzz --seconds 60` builds every target and shares the time among them. Fails when an
 * input makes one fail, and names the file that does so.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { green, red, yellow } from "@std/fmt/colors";
import { compile, findClang, targetName, targets } from "./build.ts";
import { fuzz, writeSeeds } from "./fuzz.ts";

const USAGE = `Fuzzes what reads bytes and descriptors of others.

Usage: deno task fuzz [options]

  --seconds 60    how long in all
  --target NAME   only this target: decoder, receive
  --input FILE    runs the target on this input only: one that made it fail, say
  --help          print this
`;

/** What a failing target said, from the report on. */
function reportOf(log: string): string {
  const lines = log.trimEnd().split("\n").filter((line) => !/^#\d+\t/.test(line));
  return lines.slice(-60).join("\n");
}

async function main(): Promise<number> {
  const flags = parseArgs(Deno.args, { string: ["seconds", "target", "input"], boolean: ["help"] });
  if (flags.help) {
    console.log(USAGE);
    return 0;
  }
  const seconds = Number(flags.seconds ?? 60);
  if (!(seconds >= 1 && seconds <= 86_400) || flags._.length > 0) {
    console.error(`Cannot fuzz for ${flags.seconds ?? flags._[0]} seconds: want 1 to 86400; see --help`);
    return 2;
  }
  const all = await targets();
  const chosen = all.filter((source) => flags.target === undefined || targetName(source) === flags.target);
  if (chosen.length === 0 || (flags.input !== undefined && chosen.length > 1)) {
    const names = all.map(targetName).join(", ");
    console.error(`Cannot choose a target by "${flags.target ?? ""}": give --target, one of ${names}`);
    return 2;
  }
  const clang = await findClang();
  if (clang === undefined) {
    console.log(yellow("skipped: no clang here has libFuzzer (apt-get install clang libclang-rt-14-dev)"));
    return 0;
  }
  const { programs, seeds } = await compile(clang, chosen);
  await writeSeeds(seeds, all.map(targetName));
  let failed = 0;
  for (const [name, program] of programs) {
    const share = Math.max(1, Math.floor(seconds / programs.size));
    const { failure, ...numbers } = await fuzz({ name, program, seconds: share, input: flags.input });
    const { executions, perSecond, coverage } = numbers;
    const said = flags.input ?? `${executions} executions, ${perSecond} a second, ${coverage} places reached`;
    console.log(`${failure === undefined ? green("ok") : red("failed")} ${name}: ${said}`);
    if (failure === undefined) continue;
    failed++;
    console.error(reportOf(failure.log));
    console.error(
      `\nThe input that does it: ${failure.reproducer}\n` +
        `Again: deno task fuzz --target ${name} --input ${failure.reproducer}`,
    );
  }
  return failed > 0 ? 1 : 0;
}

if (import.meta.main) Deno.exit(await main());
