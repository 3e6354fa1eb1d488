import { assert, assertEquals } from "@std/assert";
import { ROOT } from "../../ffi/build/root.ts";

async function test(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "tests/tooling/run_tests.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stderr: "null",
  }).output();
  return { code, lines: new TextDecoder().decode(stdout).trimEnd().split("\n") };
}

Deno.test("the test command with --coverage ends with the part of the lines that ran, other processes included", async () => {
  const { code, lines } = await test(
    "--coverage",
    "tests/unit/load_test.ts",
    "--filter",
    "no test has this name",
  );
  const [, alone] = /^([\d.]+) % of the lines of src\/ and ffi\/ ran: \d+ of \d+$/.exec(lines.at(-1) ?? "") ??
    [];
  assert(code === 0 && alone !== undefined, lines.join("\n"));
  // This one fails where a library cannot be opened, in a process of its own: the preloaded module opens one.
  const more = await test("--coverage", "tests/unit/load_test.ts", "--filter", "lists what it tried");
  assertEquals(more.code, 0);
  assert(Number(/^[\d.]+/.exec(more.lines.at(-1) ?? "")?.[0]) > Number(alone), more.lines.at(-1));
});

Deno.test("the test command fails with the tests, and hands its arguments on", async () => {
  for (const flags of [[], ["--coverage"]]) {
    const { code, lines } = await test(...flags, "tests/unit/there_is_none_test.ts");
    assert(code !== 0 && !lines.join().includes("of the lines"), lines.join("\n"));
  }
});
