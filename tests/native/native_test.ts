import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { build } from "../../ffi/build/main.ts";
import { ROOT } from "../../ffi/build/root.ts";
import { TARGETS } from "../../ffi/targets.ts";
import {
  addressMode,
  compileClient,
  compileForMac,
  compileTest,
  type Mode,
  MODES,
  sources,
} from "../support/native.ts";

// What is in C is tested in C, on Linux: its harness and its libxpc are Linux's own.
const ignore = Deno.build.os !== "linux";

/** What the sanitizers print, also in a process whose exit status nobody looks at. */
const REPORT = /(Thread|Address|Leak|UndefinedBehavior)Sanitizer|runtime error:|panic:/;

const text = (data: Uint8Array): string => new TextDecoder().decode(data);

async function runProgram(program: string, environment: Readonly<Record<string, string>>): Promise<void> {
  const { success, code, signal, stdout, stderr } = await new Deno.Command(program, {
    env: environment,
    stdin: "null",
  }).output();
  const output = `${text(stdout)}${text(stderr)}`;
  const how = signal === null ? `exit status ${code}` : `signal ${signal}`;
  assert(success && !REPORT.test(output), `${program.slice(ROOT.length + 1)}: ${how}\n${output}`);
  const passed = output.match(/^ok /gm)?.length ?? 0;
  assert(passed > 0 && !/^not ok/m.test(output), `Nothing was tested:\n${output}`);
}

function testAll(mode: Mode, programs: readonly string[]): void {
  for (const program of programs) {
    const name = program.replace(/^.*\/(.*)_test\.c$/, "$1");
    Deno.test({
      name: `native ${name}, ${mode.title}`,
      ignore,
      fn: async () => await runProgram(await compileTest(mode, program), mode.environment),
    });
  }
}

const programs = await sources("tests/native", "_test.c");
for (const mode of MODES) testAll(mode, programs);

const withAddresses = ignore ? undefined : await addressMode();
if (withAddresses !== undefined) {
  testAll(withAddresses, programs);
} else {
  Deno.test({
    name: "native, address sanitizer: needs clang with its address sanitizer " +
      "(apt-get install clang libclang-rt-dev, or libclang-rt-16-dev and the like)",
    ignore: true,
    fn: () => {},
  });
}

Deno.test({
  name: "a failing native program fails its test, and shows why",
  ignore,
  fn: async () => {
    const folder = `${ROOT}/.build/native-tests/failing`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeTextFile(
      `${folder}/failing_test.c`,
      `#include "${ROOT}/tests/native/harness.h"
      int run_role(const char *role, char **arguments) { (void)role; (void)arguments; return -1; }
      static void fail(void) { CHECK(1 + 1 == 3); }
      const struct test tests[] = {{"failing: always", fail}, {NULL, NULL}};`,
    );
    const program = await compileTest(MODES[0]!, ".build/native-tests/failing/failing_test.c");
    let message = "";
    try {
      await runProgram(program, {});
    } catch (error) {
      message = (error as Error).message;
    }
    assert(message.includes("not ok failing: always") && message.includes("1 + 1 == 3"), message);
  },
});

/* ---------------------------------------------- programs of a user's, linked with the shared library ---- */

/** A program in the background; killed at the end of its scope. */
class Server implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
  }

  /** Starts it and waits for its first line, if it says one. */
  static async start(
    program: string,
    args: string[],
    env: Record<string, string>,
  ): Promise<{ server: Server; line: string }> {
    const process = new Deno.Command(program, {
      args,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    })
      .spawn();
    const server = new Server(process);
    let line = "";
    for await (const chunk of process.stdout.values({ preventCancel: true })) {
      line += text(chunk);
      if (line.includes("\n")) break;
    }
    return { server, line: line.trimEnd() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // it ended by itself
    }
    await this.#process.status;
    await this.#process.stdout.cancel();
  }
}

/** A runtime directory of the test's own, so that nothing is shared with services that really run. */
async function withRuntime(test: (env: Record<string, string>) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-native-" });
  try {
    await test({ XDG_RUNTIME_DIR: folder });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function output(program: string, args: string[], env: Record<string, string>): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args, env, stdin: "null" }).output();
  assert(success, `${program}: ${text(stdout)}${text(stderr)}`);
  return text(stdout).trimEnd();
}

Deno.test({
  name: "C written for Apple's XPC runs on the shared library: a service and its client",
  ignore,
  fn: async () => {
    await build({ target: "host", quiet: true });
    const service = await compileClient("tests/native/echo_server.c");
    const client = await compileClient("tests/native/echo_client.c");
    await withRuntime(async (env) => {
      const { server, line } = await Server.start(service, ["test.echo"], env);
      await using _ = server;
      assertEquals(line, "ready");
      assertEquals(await output(client, ["test.echo", "hello, blocks"], env), "ok echo");
      assertEquals(await output(client, ["test.echo", ""], env), "ok echo");
      const nobody = new Deno.Command(client, {
        args: ["test.nobody", "x"],
        env,
        stdout: "null",
        stderr: "null",
      });
      assertNotEquals((await nobody.output()).code, 0);
    });
  },
});

Deno.test({
  name: "C written for Apple's XPC runs on the shared library: an endpoint goes from process to process",
  ignore,
  fn: async () => {
    await build({ target: "host", quiet: true });
    const program = await compileClient("tests/native/rendezvous.c");
    await withRuntime(async (env) => {
      const agent = await Server.start(program, ["test.agent", "agent"], env);
      await using _agent = agent.server;
      const owner = await Server.start(program, ["test.agent", "owner"], env);
      await using _owner = owner.server;
      assert(Number(owner.line) > 0, owner.line);
      for (let i = 0; i < 3; i++) {
        assertEquals(await output(program, ["test.agent", "client"], env), `greeted by ${owner.line}`);
      }
    });
  },
});

Deno.test({
  name: "C written for Apple's XPC runs on the shared library: two processes write to one memory",
  ignore,
  fn: async () => {
    await build({ target: "host", quiet: true });
    const program = await compileClient("tests/native/memory.c");
    await withRuntime(async (env) => {
      const { server } = await Server.start(program, ["test.memory", "server"], env);
      await using _ = server;
      for (const length of [1, 4096, 100_001, 100 * 2 ** 20]) {
        assertEquals(await output(program, ["test.memory", "client", `${length}`], env), "ok memory");
      }
    });
  },
});

for (const { name, triple } of [TARGETS["aarch64-macos"], TARGETS["x86_64-macos"]]) {
  Deno.test(`the same C compiles against Apple's headers for ${name}`, async () => {
    for (const program of ["echo_server", "echo_client", "rendezvous", "memory"]) {
      await compileForMac(`tests/native/${program}.c`, triple);
    }
  });
}
