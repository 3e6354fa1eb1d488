/**
 * The demo: `deno task demo`, see {@linkcode USAGE}. Two processes share memory, one writes, the other checks.
 *
 * @module
 */
import { killAll } from "./child.ts";
import { parseOptions, USAGE, UsageError } from "./options.ts";
import { Progress } from "./progress.ts";
import { summary } from "./report.ts";
import { runDemo } from "./run.ts";

function print(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  stream.writeSync(new TextEncoder().encode(text));
}

/** Runs the demo; gives the exit code. */
async function main(args: readonly string[]): Promise<number> {
  const progress = new Progress();
  try {
    const options = parseOptions(args);
    if (options === undefined) {
      print(Deno.stdout, USAGE);
      return 0;
    }
    const result = await runDemo(options, (run) => progress.draw(run));
    progress.clear();
    const text = options.json ? `${JSON.stringify(result)}\n` : summary(result, Deno.stdout.isTerminal());
    print(Deno.stdout, text);
    return result.errors === 0 ? 0 : 1;
  } catch (error) {
    progress.clear();
    print(Deno.stderr, `${error instanceof Error ? error.message : error}\n`);
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
