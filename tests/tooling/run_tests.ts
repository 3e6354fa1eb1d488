/**
 * Runs the tests: `deno task test [FILES] [FLAGS OF deno test]`. Without arguments, all of them: in two processes beside
 * each other, for most tests wait more than they compute. With `--coverage` it also prints which part of the lines of
 * `src/` and `ffi/` ran, in the test processes and in those that tests start.
 *
 * @module
 */
import { ROOT } from "../../ffi/build/root.ts";
import { type Run, runBeside } from "./beside.ts";
import { measureLines } from "./coverage.ts";

const FLAGS = ["test", "-A", "--doc", "--preload=tests/support/preload.ts"];

/** What runs beside the others: what compiles, and what runs for a set time. Together they take as long as the rest. */
const BESIDE = ["native", "fuzz", "tooling", "contract", "soak"];

/** `.ci/run` expects a summary of Deno's after each of these titles. */
function runs(flags: readonly string[], args: readonly string[]): Run[] {
  const deno = (title: string, more: readonly string[]): Run => ({
    title: `tests: ${title}`,
    command: [Deno.execPath(), ...FLAGS, ...flags, ...more],
  });
  if (args.length > 0) return [deno(args.join(" "), args)];
  const folders = BESIDE.map((name) => `tests/${name}`);
  return [
    deno(`all but ${BESIDE.join(", ")}`, [`--ignore=${folders.join(",")}`]),
    deno(BESIDE.join(", "), folders),
  ];
}

async function main(): Promise<number> {
  const args = Deno.args.filter((argument) => argument !== "--coverage");
  if (args.length === Deno.args.length) return await runBeside(runs([], args), { cwd: ROOT });
  const folder = await Deno.makeTempDir({ prefix: "xpc-coverage-" });
  try {
    // In the environment, so that the processes that tests start write down what they ran too.
    const env = { DENO_COVERAGE_DIR: folder };
    const code = await runBeside(runs(["--coverage-raw-data-only"], args), { cwd: ROOT, env });
    if (code !== 0) return code; // the report would be of a part of the run
    const { covered, lines } = await measureLines(folder, ROOT);
    console.log(
      `${(100 * covered / lines).toFixed(1)} % of the lines of src/ and ffi/ ran: ${covered} of ${lines}`,
    );
    return 0;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

if (import.meta.main) Deno.exit(await main());
