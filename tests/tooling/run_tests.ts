/**
 * Runs the tests: `deno task test [FILES] [FLAGS OF deno test]`. With `--coverage` it also prints which part of the lines
 * of `src/` and `ffi/` ran, in the test process and in those that tests start.
 *
 * @module
 */
import { ROOT } from "../../ffi/build/root.ts";
import { measureLines } from "./coverage.ts";

async function deno(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const process = new Deno.Command(Deno.execPath(), { args: [...args], cwd: ROOT, env }).spawn();
  return (await process.status).code;
}

const FLAGS = ["test", "-A", "--doc", "--preload=tests/support/preload.ts"];

if (!Deno.args.includes("--coverage")) {
  Deno.exit(await deno([...FLAGS, ...Deno.args]));
}
const folder = await Deno.makeTempDir({ prefix: "xpc-coverage-" });
let code: number;
try {
  const others = Deno.args.filter((argument) => argument !== "--coverage");
  // In the environment, so that the processes that tests start write down what they ran too.
  code = await deno([...FLAGS, "--coverage-raw-data-only", ...others], { DENO_COVERAGE_DIR: folder });
  if (code === 0) { // else the report would be of a part of the run
    const { covered, lines } = await measureLines(folder, ROOT);
    console.log(
      `${(100 * covered / lines).toFixed(1)} % of the lines of src/ and ffi/ ran: ${covered} of ${lines}`,
    );
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(code);
