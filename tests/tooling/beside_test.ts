import { assert, assertEquals, assertMatch } from "@std/assert";
import { ROOT } from "../../ffi/build/root.ts";

/** A process that runs shell scripts beside each other. */
function beside(...scripts: string[]): Deno.Command {
  const runs = scripts.map((script, index) => ({ title: `script ${index}`, command: ["sh", "-c", script] }));
  const main = `
    import { runBeside } from ${JSON.stringify(`file://${ROOT}/tests/tooling/beside.ts`)};
    Deno.exit(await runBeside(${JSON.stringify(runs)}, { cwd: ${JSON.stringify(ROOT)} }));`;
  const url = `data:application/typescript,${encodeURIComponent(main)}`;
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-config", url],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

async function run(...scripts: string[]): Promise<{ code: number; out: string }> {
  const { code, stdout, stderr } = await beside(...scripts).output();
  const text = new TextDecoder();
  return { code, out: text.decode(stdout) + text.decode(stderr) };
}

/** Gives scripts a folder in which they can wait for each other. */
async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-beside-test-" });
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("runBeside() runs at the same time, and keeps each output whole", () =>
  withFolder(async (folder) => {
    // Each ends only when the other has begun.
    const [first, second] = ["a", "b"].map((file) => `${folder}/${file}`) as [string, string];
    for (const pipe of [first, second]) await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const { code, out } = await run(
      `echo one; echo > ${first}; cat ${second}; echo two`,
      `echo three; cat ${first}; echo four >&2; echo > ${second}; echo five`,
    );
    assertEquals(code, 0, out);
    assertEquals(out, "== script 0\none\n\ntwo\n\n== script 1\nthree\n\nfour\nfive\n");
  }));

Deno.test("runBeside() fails with whichever fails, and names it", async () => {
  for (const scripts of [["exit 3", "true"], ["true", "exit 3"], ["exit 3", "exit 4"]]) {
    const { code, out } = await run(...scripts);
    assertEquals(code, 3, out);
    const failed = scripts.flatMap((script, index) => script === "true" ? [] : [`script ${index}`]);
    for (const title of failed) assertMatch(out, new RegExp(`\nCannot pass: .*"${title}"`));
  }
});

Deno.test("runBeside() does not wait for what a command leaves behind", async () => {
  const { code, out } = await run("true", "echo done; sleep 60 & echo $!");
  const [, left] = /^done\n(\d+)$/m.exec(out) ?? [];
  assert(left !== undefined, out);
  Deno.kill(Number(left), "SIGKILL"); // throws if it has ended
  assertEquals(code, 0);
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.test(`runBeside() ends all by ${signal}`, () =>
    withFolder(async (folder) => {
      const pipe = `${folder}/pipe`;
      await new Deno.Command("mkfifo", { args: [pipe] }).output();
      await using process = beside("echo $$; exec sleep 60", `echo $$ > ${pipe}; exec sleep 60`).spawn();
      const second = Number(await Deno.readTextFile(pipe)); // it runs from now on
      let out = "";
      const text = new TextDecoder();
      for await (const chunk of process.stdout.values({ preventCancel: true })) {
        out += text.decode(chunk);
        if (/^\d+\n/m.test(out)) break;
      }
      process.kill(signal);
      assert((await process.status).code !== 0);
      await process.stdout.cancel();
      await process.stderr.cancel();
      for (const pid of [second, Number(/^\d+$/m.exec(out)?.[0])]) {
        let lives = true;
        try {
          Deno.kill(pid, "SIGCONT");
        } catch {
          lives = false;
        }
        assertEquals(lives, false, `process ${pid} lives`);
      }
    }));
}
