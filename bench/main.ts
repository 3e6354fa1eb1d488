/**
 * The bench: `deno task bench`, see `--help`. Each number is compared with another of the same run, taken by turns.
 *
 * @module
 */
import { parseOptions, usage, UsageError } from "./options.ts";
import { killAll } from "./processes.ts";
import { table } from "./report.ts";
import type { Row } from "./row.ts";
import { BENCHES } from "./benches.ts";

function print(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length;) sent += stream.writeSync(bytes.subarray(sent));
}

/** What else the machine does: the average number of processes that ran in the last minute. */
function load(): number {
  return Math.round((Deno.loadavg()[0] ?? 0) * 100) / 100;
}

/** Runs the benches; gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const keys = BENCHES.map(({ key }) => key);
    const options = parseOptions(args, keys);
    if (options === undefined) {
      print(Deno.stdout, usage(keys));
      return 0;
    }
    const before = load();
    const rows: (Row & { bench: string })[] = [];
    for (const { key, run } of BENCHES) {
      if (options.only !== undefined && !key.includes(options.only)) continue;
      if (!options.json) print(Deno.stderr, `${key} …\n`);
      for (const row of await run(options)) rows.push({ bench: key, ...row });
    }
    const machine = {
      os: Deno.build.os,
      arch: Deno.build.arch,
      deno: Deno.version.deno,
      processors: navigator.hardwareConcurrency,
      load: { before, after: load() },
    };
    if (options.json) {
      print(
        Deno.stdout,
        `${JSON.stringify({ machine, rounds: options.rounds, quick: options.quick, rows })}\n`,
      );
    } else {
      const { os, arch, deno, processors, load } = machine;
      print(Deno.stdout, `\n${table(rows, Deno.stdout.isTerminal())}\n`);
      print(
        Deno.stdout,
        `${options.rounds} rounds, medians. Deno ${deno}, ${os} ${arch}, ${processors} processors; ` +
          `load ${load.before} before, ${load.after} after (the bench itself makes up to 2)\n`,
      );
    }
    return options.hold && rows.some(({ holds }) => holds === false) ? 1 : 0;
  } catch (error) {
    print(Deno.stderr, `${error instanceof UsageError ? error.message : (error as Error).stack ?? error}\n`);
    return error instanceof UsageError ? 2 : 1;
  } finally {
    killAll();
  }
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    killAll();
    Deno.exit(130);
  });
}
Deno.exit(await main(Deno.args));
