import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { readFacts } from "../../ffi/build/facts.ts";
import { verifyArchive, verifyLibrary } from "../../ffi/build/verify.ts";
import { ROOT } from "../../ffi/build/root.ts";
import { fetchZig } from "../../ffi/build/zig.ts";
import { build, BuildError, type BuildOptions, type BuildResult } from "../../ffi/build/main.ts";
import { hostTarget, type TargetName, TARGETS } from "../../ffi/targets.ts";

const CACHE = `${ROOT}/.build/zig-cache`;

/** A project of a few lines, of the same form as ours. */
const SOURCES: Readonly<Record<string, string>> = {
  "ffi/native/include/xpc_shmem.h": "",
  "ffi/native/include/shim.h": `#include <stdint.h>
    __attribute__((visibility("default"))) uint32_t shim_version(void);
    __attribute__((visibility("default"))) void *shim_allocate(uint64_t length);`,
  "ffi/native/shim/shim.c": `#include <stdlib.h>
    #include "shim.h"
    #include "internal.h"
    uint32_t shim_version(void) { return NUMBER; }
    void *shim_allocate(uint64_t length) { return malloc(length); }`,
  "ffi/native/shim/internal.h": "#define NUMBER 1",
  "ffi/native/linux/xpc.c": `#include <xpc/xpc.h>
    const struct _xpc_type_s _xpc_type_null = { 0 };
    void *xpc_retain(void *object) { return object; }`,
  "ffi/native/linux/blocks_runtime.c": `#include <Block.h>
    void *_Block_copy(const void *block) { return (void *)block; }`,
  "ffi/native/linux/include/xpc/xpc.h": `#include <stdint.h>
    struct _xpc_type_s { int number; };
    extern __attribute__((visibility("default"))) const struct _xpc_type_s _xpc_type_null;
    __attribute__((visibility("default"))) void *xpc_retain(void *object);`,
  "ffi/native/linux/include/xpc/linux.h": "",
  "ffi/native/linux/include/dispatch/dispatch.h": "",
  "ffi/native/linux/include/Block.h": "extern void *_Block_copy(const void *block);",
};

class Project implements AsyncDisposable {
  private constructor(readonly root: string) {}

  static async create(): Promise<Project> {
    const project = new Project(await Deno.makeTempDir({ prefix: "xpc-build-test-" }));
    for (const [path, text] of Object.entries(SOURCES)) await project.write(path, text);
    return project;
  }

  async write(path: string, text: string): Promise<void> {
    await Deno.mkdir(`${this.root}/${path}/..`.replace(/[^/]+\/\.\.$/, ""), { recursive: true });
    await Deno.writeTextFile(`${this.root}/${path}`, text);
  }

  build(options: BuildOptions = {}): Promise<BuildResult> {
    return build({ root: this.root, cache: CACHE, quiet: true, ...options });
  }

  library(target: TargetName): string {
    return `${this.root}/.build/${target}/${TARGETS[target].library}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

function compiled(result: BuildResult): TargetName[] {
  return result.libraries.filter((library) => library.compiled).map((library) => library.target);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

function host(): TargetName {
  const target = hostTarget();
  assert(target, "the tests run on a system that there is a library for");
  return target.name;
}

Deno.test("build() compiles once, and again when a source, a header or the library changed", async () => {
  await using project = await Project.create();
  const build = () => project.build({ target: "host" });
  assertEquals(compiled(await build()), [host()]);
  assertEquals(compiled(await build()), []);

  await project.write("ffi/native/shim/shim.c", `${SOURCES["ffi/native/shim/shim.c"]}\n/* changed */`);
  assertEquals(compiled(await build()), [host()], "a source changed");
  await project.write("ffi/native/shim/internal.h", "#define NUMBER 2");
  assertEquals(compiled(await build()), [host()], "a header changed");
  assertEquals(compiled(await build()), []);

  await Deno.truncate(project.library(host()), 100);
  assertEquals(compiled(await build()), [host()], "the library is damaged");
  await Deno.remove(project.library(host()));
  assertEquals(compiled(await build()), [host()], "the library is gone");
  await project.write(`.build/${host()}/stamp.json`, "{");
  assertEquals(compiled(await build()), [host()], "the stamp is damaged");
});

Deno.test("build() makes a library that loads", async () => {
  await using project = await Project.create();
  await project.write("ffi/native/shim/internal.h", "#define NUMBER 77");
  await project.build({ target: "host" });
  const library = Deno.dlopen(project.library(host()), { shim_version: { parameters: [], result: "u32" } });
  try {
    assertEquals(library.symbols.shim_version(), 77);
  } finally {
    library.close();
  }
});

Deno.test("build() shows the compiler's error, fails, and leaves the library of before", async () => {
  await using project = await Project.create();
  await project.build({ target: "host" });
  const before = await Deno.readFile(project.library(host()));
  await project.write(
    "ffi/native/shim/shim.c",
    `${SOURCES["ffi/native/shim/shim.c"]}\nint broken(void) { return oops; }`,
  );
  const error = await assertRejects(() => project.build({ target: "host" }), BuildError, "Cannot compile");
  assertMatch(error.message, /ffi\/native\/shim\/shim\.c:\d+:\d+: error:.*oops/);
  assertEquals(await Deno.readFile(project.library(host())), before);
  const files = [...Deno.readDirSync(`${project.root}/.build/${host()}`)].map((entry) => entry.name);
  assertEquals(files.filter((name) => name.startsWith("making-")), [], "nothing half-made is left");

  await Deno.mkdir(`${project.root}/.build/${host()}/making-of-a-killed-build`);
  await project.write("ffi/native/shim/shim.c", `${SOURCES["ffi/native/shim/shim.c"]}\n/* repaired */`);
  await project.build({ target: "host" });
  assert(!await exists(`${project.root}/.build/${host()}/making-of-a-killed-build`));
});

Deno.test("build() takes a warning for an error", async () => {
  await using project = await Project.create();
  await project.write("ffi/native/shim/shim.c", `${SOURCES["ffi/native/shim/shim.c"]}\nstatic int unused;`);
  await assertRejects(() => project.build({ target: "host" }), BuildError, "unused");
});

Deno.test("build() without a target fails where C does not compile for a Mac", async () => {
  await using project = await Project.create();
  const guarded = `${SOURCES["ffi/native/shim/shim.c"]}
    #if defined(__APPLE__) && defined(__x86_64__)
    int broken(void) { return oops; }
    #endif`;
  await project.write("ffi/native/shim/shim.c", guarded);
  await assertRejects(
    () => project.build(),
    BuildError,
    "Cannot compile the native library for x86_64-macos",
  );
});

Deno.test("build() leaves one whole library when two builds run at once", async () => {
  await using project = await Project.create();
  const results = await Promise.all([
    project.build({ target: "host" }),
    project.build({ target: "host" }),
    project.build({ target: "host" }),
  ]);
  assertEquals(results.flatMap(compiled), [host()], "one compiles, the others wait for it");
  assertEquals(compiled(await project.build({ target: "host" })), []);
});

Deno.test("build() makes the same bytes in another folder", async () => {
  await using one = await Project.create();
  await using two = await Project.create();
  const named = `${SOURCES["ffi/native/shim/shim.c"]}
    __attribute__((visibility("default"))) const char *shim_file(void);
    const char *shim_file(void) { return __FILE__; }`;
  for (const project of [one, two]) await project.write("ffi/native/shim/shim.c", named);
  for (const target of [host(), "aarch64-macos"] as const) {
    await one.build({ target });
    // With a cache of its own, so that it does not get what the first has made.
    await two.build({ target, cache: `${two.root}/.build/zig-cache` });
    const { library, archive } = TARGETS[target];
    for (const file of archive === undefined ? [library] : [library, archive]) {
      const [left, right] = [one, two].map(({ root }) =>
        Deno.readFileSync(`${root}/.build/${target}/${file}`)
      );
      assertEquals(left!.toHex(), right!.toHex(), `${target}/${file}`);
    }
  }
});

Deno.test("build() writes the table of checksums, and refuses a stale one", async () => {
  await using project = await Project.create();
  const table = `${project.root}/ffi/checksums.ts`;
  await assertRejects(
    () => project.build({ target: "all", checksums: "check" }),
    BuildError,
    "Cannot accept",
  );
  assertEquals((await project.build({ target: "all", checksums: "write" })).checksumsWritten, true);
  assertEquals((await project.build({ target: "all", checksums: "write" })).checksumsWritten, false);
  await project.build({ target: "all", checksums: "check" });

  const { CHECKSUMS } = await import(`file://${table}`);
  for (const { name, library } of Object.values(TARGETS)) {
    const bytes = await Deno.readFile(project.library(name));
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    assertEquals(CHECKSUMS[name], { file: library, sha256: sum, byteLength: bytes.byteLength });
  }

  const text = await Deno.readTextFile(table);
  const sum = CHECKSUMS["aarch64-macos"].sha256;
  await Deno.writeTextFile(
    table,
    text.replace(sum, sum.replace(/^./, (digit: string) => digit === "0" ? "1" : "0")),
  );
  const stale = await assertRejects(
    () => project.build({ target: "all", checksums: "check" }),
    BuildError,
    "checksums of aarch64-macos are not",
  );
  assert(!stale.message.includes("x86_64"), "only the stale row is named");
  await Deno.writeTextFile(table, text);
  await project.write("ffi/native/shim/internal.h", "#define NUMBER 3");
  await assertRejects(() => project.build({ target: "all", checksums: "check" }), BuildError, "x86_64-linux");
});

Deno.test("verifyLibrary() passes what the build made, and names each thing that is wrong", async () => {
  await using project = await Project.create();
  await project.build({ target: "all" });
  const facts = await readFacts(await fetchZig({ cache: CACHE }), project.root);
  const verify = (target: TargetName, bytes: Uint8Array<ArrayBuffer>) =>
    verifyLibrary(TARGETS[target], bytes, project.root, facts);
  const original = (target: TargetName) => Deno.readFileSync(project.library(target));
  for (const target of Object.values(TARGETS)) {
    assertEquals(await verify(target.name, original(target.name)), []);
  }

  /** The library with some bytes replaced everywhere; they must be there. */
  const patched = (target: TargetName, before: Uint8Array, after: Uint8Array): Uint8Array<ArrayBuffer> => {
    const bytes = original(target);
    let count = 0;
    for (let at = 0; at + before.length <= bytes.length; at++) {
      if (!before.every((byte, i) => bytes[at + i] === byte)) continue;
      bytes.set(after, at);
      count++;
    }
    assert(count > 0, `the bytes to patch are in ${target}`);
    return bytes;
  };
  const text = (string: string) => new TextEncoder().encode(string);
  const expectProblem = async (target: TargetName, bytes: Uint8Array<ArrayBuffer>, problem: string) => {
    const problems = await verify(target, bytes);
    assert(problems.some((line) => line.includes(problem)), `"${problem}" is in ${JSON.stringify(problems)}`);
  };

  const mac = "aarch64-macos", intel = "x86_64-macos", linux = "x86_64-linux";
  await expectProblem(mac, original(intel), 'the processor is "x86_64"');
  await expectProblem(linux, original("aarch64-linux"), 'the processor is "aarch64"');
  await expectProblem(linux, original(mac), "Cannot read as an ELF library");
  await expectProblem(mac, original(linux), "Cannot read as a Mach-O library");
  await expectProblem(mac, original(mac).slice(0, 3000), ""); // whichever
  await expectProblem(linux, original(linux).slice(0, 600), "");
  await expectProblem(
    intel,
    patched(intel, text("@rpath/libxpc"), text("@rpath/libXPC")),
    "the install name",
  );
  // LC_BUILD_VERSION: platform 1, then 13.0 as a version word.
  const version = Uint8Array.of(1, 0, 0, 0, 0, 0, 13, 0);
  await expectProblem(mac, patched(mac, version, Uint8Array.of(1, 0, 0, 0, 0, 0, 15, 0)), "the oldest macOS");
  await expectProblem(mac, patched(mac, text("malloc"), text("mallox")), 'the code signature is "broken"');
  await expectProblem(intel, patched(intel, text("malloc"), text("mallox")), "needs mallox, which libSystem");
  await expectProblem(linux, patched(linux, text("libxpc_shmem.so"), text("libxpc_shmen.so")), "the SONAME");
  await expectProblem(linux, patched(linux, text("GLIBC_2.2.5"), text("GLIBC_2.29\0")), "needs GLIBC_2.29");
  await expectProblem(linux, patched(linux, text("libc.so.6"), text("libz.so.6")), "needs libz.so.6");
  // DT_FLAGS_1, its value NOW | NODELETE.
  const flags = Uint8Array.of(0xfb, 0xff, 0xff, 0x6f, 0, 0, 0, 0, 9);
  await expectProblem(linux, patched(linux, flags, flags.with(8, 1) as Uint8Array<ArrayBuffer>), "NODELETE");
  await expectProblem(
    linux,
    patched(linux, text("shim_version"), text("shim_versiom")),
    "does not export shim_version",
  );
  await expectProblem(
    linux,
    patched(linux, text("shim_version"), text("shim_versiom")),
    "exports shim_versiom",
  );
  const large = new Uint8Array(400_000);
  large.set(original(linux));
  await expectProblem(linux, large, "400000 bytes");
});

Deno.test("verifyArchive() finds what is missing, and what does not belong to a blocks runtime", async () => {
  await using project = await Project.create();
  const runtime = "ffi/native/linux/blocks_runtime.c";
  const facts = await readFacts(await fetchZig({ cache: CACHE }), project.root);
  const verify = async (source: string) => {
    await project.write(runtime, source);
    await project.build({ target: "x86_64-linux" });
    const bytes = await Deno.readFile(`${project.root}/.build/x86_64-linux/libxpc_blocks.a`);
    return verifyArchive("a.a", bytes, facts);
  };
  const right = SOURCES[runtime]!;
  assertEquals(await verify(right), []);
  assertEquals(await verify(`${right}\nvoid *_NSConcreteAutoBlock[32];`), []);
  assertEquals(await verify(`${right}\nint malloc_count;`), [
    "a.a: exports malloc_count, which no header declares",
  ]);
  assertEquals(await verify("void *_NSConcreteAutoBlock[32];"), [
    "a.a: does not export _Block_copy, which a header declares",
  ]);
});

interface Run {
  code: number;
  stdout: string;
  stderr: string;
}

async function deno(args: string[], env: Record<string, string> = {}): Promise<Run> {
  const output = await new Deno.Command(Deno.execPath(), { args, env: { NO_COLOR: "1", ...env } }).output();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
  return { code: output.code, stdout: stdout!, stderr: stderr! };
}

Deno.test("the build command refuses what it does not understand, and says what it knows", async () => {
  const script = `${ROOT}/ffi/build/main.ts`;
  const target = await deno(["run", "-A", script, "--target", "riscv-plan9"]);
  assertEquals(target.code, 1);
  assertStringIncludes(
    target.stderr,
    'error: Cannot build for the target "riscv-plan9". Known: host, all, aarch64',
  );
  const argument = await deno(["run", "-A", script, "--fast"]);
  assertEquals(argument.code, 1);
  assertStringIncludes(argument.stderr, "error: Cannot understand the argument: --fast");
});

Deno.test("fetchZig() says what to do when npm cannot be reached", async () => {
  const folder = await Deno.makeTempDir({ prefix: "xpc-build-test-" });
  try {
    const script = `${folder}/main.ts`;
    const zig = new URL("../../ffi/build/zig.ts", import.meta.url);
    await Deno.writeTextFile(
      script,
      `import { fetchZig } from "${zig}";
      try { await fetchZig({ cache: "${folder}" }) } catch (error) { console.log(error.name, error.message) }`,
    );
    // An empty cache of Deno's, and a registry that nobody listens at.
    const env = { DENO_DIR: `${folder}/deno`, NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/" };
    const { stdout } = await deno(["run", "-A", "--no-config", "--no-lock", script], env);
    assertMatch(
      stdout,
      /^BuildError Cannot fetch the C compiler \(@zigc\/[a-z0-9-]+@0\.16\.0\) from npm: .+/,
    );
    assertStringIncludes(stdout, "Check the network, or set NPM_CONFIG_REGISTRY");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("fetchZig() leaves the lock file alone", async () => {
  const folder = await Deno.makeTempDir({ prefix: "xpc-build-test-" });
  try {
    await Deno.mkdir(`${folder}/ffi/build`, { recursive: true });
    for (const name of ["zig.ts", "fetch_zig.ts"]) {
      await Deno.copyFile(`${ROOT}/ffi/build/${name}`, `${folder}/ffi/build/${name}`);
    }
    await Deno.writeTextFile(`${folder}/deno.json`, "{}");
    await Deno.writeTextFile(
      `${folder}/main.ts`,
      `import { fetchZig } from "./ffi/build/zig.ts";
      console.log((await fetchZig({ cache: "." })).program);`,
    );
    const { code, stdout, stderr } = await deno(["run", "-A", `${folder}/main.ts`]);
    assertEquals(code, 0, stderr);
    assert((await Deno.stat(stdout.trim())).isFile, "the compiler is there");
    assert(!await exists(`${folder}/deno.lock`), "another system has another compiler");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the module graph of the build has neither the compiler nor what only checks need", async () => {
  for (const module of ["ffi/build/main.ts", "ffi/build/check_abi.ts"]) {
    const { stdout, code } = await deno(["info", "--json", `${ROOT}/${module}`]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, "ffi/build/zig.ts");
    for (const name of ["npm:@zigc/", "npm:yaml", "/yaml@"]) {
      assert(!stdout.includes(name), `${name} in ${module}`);
    }
  }
});
