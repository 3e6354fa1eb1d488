import { assertEquals, assertMatch } from "@std/assert";

/** Runs an example in a runtime directory of its own, so that its name clashes with nobody's. */
function start(script: string, runtime: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", new URL(`../../examples/studio/${script}`, import.meta.url).href],
    env: { XDG_RUNTIME_DIR: runtime },
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

for (const first of ["server.ts", "client.ts"]) {
  Deno.test(`the two scripts of the example find each other, ${first} first`, async () => {
    const runtime = await Deno.makeTempDir(); // 0700
    try {
      const second = first === "server.ts" ? "client.ts" : "server.ts";
      const processes = [start(first, runtime), start(second, runtime)];
      const [server, client] = first === "server.ts" ? processes : processes.reverse();
      const seen = new TextDecoder().decode((await client!.output()).stdout);
      await server!.output();
      const lines = seen.trimEnd().split("\n");
      assertEquals(lines.at(-1), "the server is gone; its last frame is still here: 20");
      assertMatch(lines.at(-2) ?? "", /^revision 20: from 20 to 20$/);
      for (const line of lines.slice(0, -1)) assertMatch(line, /^revision (\d+): from \1 to \1$/);
    } finally {
      await Deno.remove(runtime, { recursive: true });
    }
  });
}
