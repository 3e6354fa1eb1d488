/**
 * `xpc_shmem.h` as its users have it: installed into a folder, compiled by the compilers of this machine. What it does on
 * the link is in the contract tests.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DEFAULT_SERVICE } from "../../src/broker/release.ts";
import { build } from "../../ffi/build/main.ts";
import { install } from "../../ffi/build/install.ts";
import { fetchZig } from "../../ffi/build/zig.ts";
import { ROOT } from "../../ffi/build/root.ts";
import { hostTarget } from "../../ffi/targets.ts";
import { App, ownBroker } from "../support/process.ts";

const ignore = !ownBroker;
const text = (data: Uint8Array): string => new TextDecoder().decode(data);

/** A folder with what `--install` makes, made once. */
let installed: Promise<string> | undefined;

function prefix(): Promise<string> {
  return installed ??= (async () => {
    await build({ target: "host", quiet: true });
    const folder = `${ROOT}/.build/native-peer/prefix`;
    await install({ root: ROOT, target: hostTarget()!, prefix: folder });
    return folder;
  })();
}

interface Compiler {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Record<string, string>;
}

async function exists(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).output())
      .success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** gcc and clang where they are; else the compiler of the build. */
async function compilers(): Promise<Compiler[]> {
  const found: Compiler[] = [];
  for (const name of ["gcc", "clang"]) if (await exists(name)) found.push({ name, command: [name], env: {} });
  if (found.length > 0) return found;
  const { program, env } = await fetchZig({ cache: `${ROOT}/.build/zig-cache` });
  return [{ name: "zig", command: [program, "cc", "-target", hostTarget()!.triple], env }];
}

async function run({ command: [program = "", ...first], env }: Compiler, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...first, ...args], env }).output();
  assert(success, `${program} ${args.join(" ")}\n${text(stderr)}`);
}

const STRICT = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/** Compiles an example; the program. */
async function compile(compiler: Compiler, example: string, kind: "shared" | "static"): Promise<string> {
  const folder = await prefix();
  const output = `${ROOT}/.build/native-peer/${example}-${compiler.name}-${kind}`;
  const library = kind === "shared"
    ? [`-L${folder}/lib`, "-lxpc_shmem", `-Wl,-rpath,${folder}/lib`]
    : [`${folder}/lib/libxpc_shmem.a`, "-pthread"];
  const source = `${ROOT}/examples/native/${example}.c`;
  await run(compiler, [...STRICT, `-I${folder}/include`, source, ...library, "-o", output]);
  return output;
}

/** A program with its output, line by line; killed at the end of its scope. */
class Program implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  #text = "";
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(path: string, env: Record<string, string>) {
    this.process = new Deno.Command(path, { env, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
    this.#reader = this.process.stdout.getReader();
  }

  /** The next line. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#reader.read();
      if (done) return "";
      this.#text += text(value);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
    await this.process.status;
    await this.#reader.cancel();
  }
}

/** A runtime folder of the test's own: it is where the usual broker's socket is. */
async function alone(test: (env: Record<string, string>) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-peer-" });
  try {
    await test({ XDG_RUNTIME_DIR: folder });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function broker(env: Record<string, string>): Promise<App> {
  const app = new App("broker_app.ts", ["-A"], env);
  await app.call("start", { broker: DEFAULT_SERVICE });
  return app;
}

/** Runs the client of the example against a server; what it says. */
async function visit(client: string, env: Record<string, string>): Promise<string[]> {
  const { code, stdout, stderr } = await new Deno.Command(client, { env }).output();
  assertEquals(code, 0, text(stderr));
  return text(stdout).trimEnd().split("\n");
}

const FRAMES = Array.from({ length: 3 }, () => "frame of 1000 bytes");

for (const compiler of ignore ? [] : await compilers()) {
  for (const kind of ["shared", "static"] as const) {
    Deno.test(`native peers: the example in C, compiled by ${compiler.name}, with the ${kind} library`, async () => {
      const client = await compile(compiler, "client", kind);
      const path = await compile(compiler, "server", kind);
      await alone(async (env) => {
        await using _broker = await broker(env);
        await using server = new Program(path, env);
        assertEquals(await server.line(), "serving");
        assertEquals(await visit(client, env), FRAMES);
        assertEquals(await server.line(), "a client wrote: hello from C");
        assertEquals((await server.process.status).code, 0, "the server ends when the client has gone");
      });
    });
  }
}

Deno.test({
  name: "native peers: the header compiles as C++, and what it installs is found by pkg-config",
  ignore,
  fn: async () => {
    const folder = await prefix();
    const source = `${ROOT}/.build/native-peer/header.cc`;
    await Deno.writeTextFile(
      source,
      `#include <xpc_shmem.h>
      int main() {
        xshm_client *client = xshm_connect("com.example.nobody", 0, nullptr);
        xshm_close(client);
        xshm_server *server = nullptr;
        xshm_close(server);
        return client ? 1 : 0;
      }`,
    );
    // A program of a C++ compiler here; Zig's would first build a standard library of C++, for minutes.
    const name = await exists("g++") ? "g++" : await exists("clang++") ? "clang++" : undefined;
    if (name === undefined) return;
    const output = `${ROOT}/.build/native-peer/header`;
    const flags = ["-Wall", "-Wextra", "-Werror", `-I${folder}/include`, `-L${folder}/lib`, "-lxpc_shmem"];
    await run({ name, command: [name], env: {} }, [
      source,
      ...flags,
      `-Wl,-rpath,${folder}/lib`,
      "-o",
      output,
    ]);
    await alone(async (env) => {
      assertEquals((await new Deno.Command(output, { env }).output()).code, 0);
    });
    if (!await exists("pkg-config")) return;
    const { stdout } = await new Deno.Command("pkg-config", {
      args: ["--cflags", "--libs", "xpc_shmem"],
      env: { PKG_CONFIG_PATH: `${folder}/lib/pkgconfig` },
    }).output();
    assertStringIncludes(text(stdout), `-I${folder}/include`);
    assertStringIncludes(text(stdout), "-lxpc_shmem");
  },
});

Deno.test({
  name: "native peers: without a broker a server says so, and a client waits for one",
  ignore,
  fn: async () => {
    const compiler = (await compilers())[0]!;
    const client = await compile(compiler, "client", "shared");
    const path = await compile(compiler, "server", "shared");
    await alone(async (env) => {
      const { code, stderr } = await new Deno.Command(path, { env }).output();
      assertEquals(code, 1);
      assertStringIncludes(text(stderr), `no broker runs at "${DEFAULT_SERVICE}"`);
      const visiting = visit(client, env);
      await using _broker = await broker(env);
      await using server = new Program(path, env);
      assertEquals(await server.line(), "serving");
      assertEquals(await visiting, FRAMES);
    });
  },
});

Deno.test({
  name: "native peers: a server registers again when its broker was killed and the next one runs",
  ignore,
  fn: async () => {
    const compiler = (await compilers())[0]!;
    const client = await compile(compiler, "client", "shared");
    const path = await compile(compiler, "server", "shared");
    await alone(async (env) => {
      const first = await broker(env);
      await using server = new Program(path, env);
      assertEquals(await server.line(), "serving");
      await first.kill();
      await using _next = await broker(env);
      assertEquals(await visit(client, env), FRAMES);
    });
  },
});
