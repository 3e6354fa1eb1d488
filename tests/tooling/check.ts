/**
 * All that can be said about the project without running it: `deno task check`. Each step runs even if one before
 * it failed; the task fails if any did.
 *
 * @module
 */
import { green, red } from "@std/fmt/colors";
import { ROOT } from "../../ffi/build/root.ts";

/** What ships, by entry point. */
const entries = Object.values<string>(
  JSON.parse(await Deno.readTextFile(`${ROOT}/deno.json`)).exports,
);

const steps: Record<string, string[]> = {
  types: ["check", "--quiet", "."],
  lint: ["lint"],
  layers: ["run", "-A", "tests/tooling/layers.ts"],
  unused: ["run", "-A", "tests/tooling/unused.ts"],
  format: ["run", "-A", "tests/tooling/format.ts"],
  "C style": ["run", "-A", "tests/tooling/c_style.ts"],
  documentation: ["doc", "--lint", ...entries],
  "publish (dry run)": ["publish", "--dry-run", "--allow-dirty"],
};

const failed: string[] = [];
for (const [name, args] of Object.entries(steps)) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), { args, cwd: ROOT }).output();
  console.log(`${code === 0 ? green("ok") : red("failed")} ${name}`);
  for (const [line] of new TextDecoder().decode(stdout).matchAll(/^skipped: .*$/gm)) {
    console.log(`   ${line}`);
  }
  if (code === 0) continue;
  failed.push(name);
  await Deno.stdout.write(stdout);
  await Deno.stderr.write(stderr);
}
if (failed.length > 0) {
  console.error(`Cannot pass the check: ${failed.join(", ")} failed`);
  Deno.exit(1);
}
