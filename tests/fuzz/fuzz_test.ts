import { assert, assertEquals, assertGreater } from "@std/assert";
import { ROOT } from "../support/native.ts";
import { compile, findClang } from "./build.ts";
import { fuzz } from "./fuzz.ts";

const clang = await findClang();
const ignore = clang === undefined;
const needs = ignore ? " (needs clang with libFuzzer: apt-get install clang libclang-rt-14-dev)" : "";

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const main = `${ROOT}/tests/fuzz/main.ts`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", main, ...args],
    env: { NO_COLOR: "1" },
  });
  const { code, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout), error: text.decode(stderr) };
}

Deno.test({
  name: `fuzz: every target runs for a moment and finds nothing${needs}`,
  ignore,
  fn: async () => {
    const { code, out, error } = await run("--seconds", "4");
    assertEquals(code, 0, `${out}${error}`);
    for (const name of ["decoder", "receive"]) {
      const [, executions, reached] = out.match(
        new RegExp(`ok ${name}: (\\d+) executions, \\d+ a second, (\\d+)`),
      ) ?? [];
      assertGreater(Number(executions), 30, out); // at least the seeds
      assertGreater(Number(reached), 100, out);
    }
  },
});

Deno.test({
  name: `fuzz: a target that fails is reported, with the input that makes it fail${needs}`,
  ignore,
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "xpc-fuzz-planted-" });
    try {
      const source = `${folder}/planted_fuzz.c`;
      await Deno.writeTextFile(
        source,
        `#include "inputs.h"
        int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
        int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
          FUZZ_REQUIRE(size < 2 || data[0] != 'x' || data[1] != 'y');
          return 0;
        }`,
      );
      const program = (await compile(clang!, [source])).programs.get("planted")!;
      const { failure } = await fuzz({ name: "planted", program, seconds: 120 });
      assert(failure !== undefined, "the planted fault was not found");
      assertEquals((await Deno.readTextFile(failure.reproducer)).slice(0, 2), "xy");
      assert(failure.log.includes("this does not hold"), failure.log);
      const again = await fuzz({ name: "planted", program, seconds: 1, input: failure.reproducer });
      assert(again.failure !== undefined, "the reproducer does not reproduce");
    } finally {
      await Deno.remove(folder, { recursive: true });
      await Deno.remove(`${ROOT}/.build/fuzz/failures/planted`, { recursive: true });
    }
  },
});

Deno.test("fuzz: refuses a command line that it does not understand", async () => {
  for (const args of [["--seconds", "0"], ["--target", "nothing"], ["--input", "x"], ["what"]]) {
    assertEquals((await run(...args)).code, 2, args.join(" "));
  }
});
