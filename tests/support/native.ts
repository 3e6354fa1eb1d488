/**
 * Compiles the programs of `tests/native`, in one mode for each thing that a compiler can look for at run
 * time. What lies in `.build/native-tests/<mode>` is used again until a source, a flag or the compiler changes.
 *
 * @module
 */
import { ROOT } from "../../ffi/build/root.ts";
import { fetchZig, runZig, type Zig, ZIG_VERSION } from "../../ffi/build/zig.ts";
import { hostTarget } from "../../ffi/targets.ts";

export { ROOT };

const OUTPUT = `${ROOT}/.build/native-tests`;

/** How the programs are compiled, and by whom. */
export interface Mode {
  /** For the names of folders. */
  readonly name: string;
  /** For the names of tests. */
  readonly title: string;
  /** The compiler's flags beyond the common ones. */
  readonly flags: readonly string[];
  /** The program to compile with; by default the project's Zig. */
  readonly clang?: string;
  /** What the programs need in their environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The modes for which Zig has all that is needed. */
export const MODES: readonly Mode[] = [
  { name: "plain", title: "optimised", flags: ["-O2"], environment: {} },
  {
    name: "undefined",
    title: "undefined behaviour sanitizer",
    flags: ["-O1", "-fsanitize=undefined", "-fno-sanitize-recover"],
    environment: {},
  },
  {
    name: "thread",
    title: "thread sanitizer",
    flags: ["-O1", "-fsanitize=thread"],
    // A process with threads pauses at its exit, to see their races with it: a second by default, for each process.
    environment: { TSAN_OPTIONS: "halt_on_error=1:second_deadlock_stack=1:atexit_sleep_ms=50" },
  },
];

const CLANGS = ["clang", ...[20, 19, 18, 17, 16, 15, 14].map((version) => `clang-${version}`)];

/**
 * The mode that Zig cannot do, for it ships no address sanitizer.
 *
 * @returns the mode, or `undefined` where no clang of the system's can link one
 */
export async function addressMode(): Promise<Mode | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-native-probe-" });
  try {
    await Deno.writeTextFile(`${folder}/probe.c`, "int main(void) { return 0; }\n");
    for (const clang of CLANGS) {
      if (!await succeeds(clang, ["-fblocks", "-fsanitize=address", "probe.c", "-o", "probe"], folder)) {
        continue;
      }
      if (!await succeeds(`${folder}/probe`, [], folder)) continue;
      return {
        name: "address",
        title: "address sanitizer",
        flags: ["-O1", "-fsanitize=address", "-fno-omit-frame-pointer"],
        clang,
        environment: { ASAN_OPTIONS: "detect_leaks=1:detect_stack_use_after_return=1" },
      };
    }
    return undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function succeeds(program: string, args: string[], cwd: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args, cwd, stdout: "null", stderr: "null" }).output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The names of the C files of a folder of the project, with the folder, sorted. */
export async function sources(folder: string, suffix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(`${ROOT}/${folder}`)) {
    if (name.endsWith(suffix)) names.push(`${folder}/${name}`);
  }
  return names.sort();
}

let zig: Promise<Zig> | undefined;

function theZig(): Promise<Zig> {
  return zig ??= fetchZig({ cache: `${ROOT}/.build/zig-cache` });
}

async function run(mode: Mode, args: string[], what: string, cwd: string): Promise<void> {
  if (mode.clang === undefined) {
    const triple = hostTarget()!.triple;
    await runZig(await theZig(), ["cc", "-target", triple, ...args], what, cwd);
    return;
  }
  const { success, stderr } = await new Deno.Command(mode.clang, { args, cwd, stdout: "null" }).output();
  if (!success) throw new Error(`Cannot ${what}\n${new TextDecoder().decode(stderr).trimEnd()}`);
}

const COMMON = ["-std=c11", "-fblocks", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"];
// Linux's before the shim's: both folders have an internal.h, and the tests of libxpc include theirs by name.
const INCLUDE = ["ffi/native/linux", "ffi/native/linux/include", "ffi/native/include"].map((path) =>
  `-I${ROOT}/${path}`
);

async function sum(texts: string[]): Promise<string> {
  const data = new TextEncoder().encode(texts.join("\n"));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

async function inputs(mode: Mode, files: readonly string[]): Promise<string> {
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(`${ROOT}/${file}`)));
  return await sum([ZIG_VERSION, mode.clang ?? "", ...mode.flags, ...COMMON, ...files, ...texts]);
}

/** Has `output` made by `make` unless it was made from the same before. */
async function unlessFresh(output: string, from: string, make: () => Promise<void>): Promise<void> {
  const stamp = `${output}.from`;
  try {
    await Deno.stat(output);
    if (await Deno.readTextFile(stamp) === from) return;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  await make();
  await Deno.writeTextFile(stamp, from);
}

const libraries = new Map<string, Promise<string>>();

/** Everything but the tests, as one object file: the shim, our libxpc, the harness. */
function library(mode: Mode): Promise<string> {
  let made = libraries.get(mode.name);
  if (made === undefined) libraries.set(mode.name, made = makeLibrary(mode));
  return made;
}

async function headers(): Promise<string[]> {
  const folders = [
    "ffi/native/include",
    "ffi/native/shim",
    "ffi/native/peer",
    "ffi/native/linux",
    "ffi/native/linux/include",
    "tests/native",
  ];
  for (const name of ["xpc", "dispatch"]) folders.push(`ffi/native/linux/include/${name}`);
  return (await Promise.all(folders.map((folder) => sources(folder, ".h")))).flat();
}

async function makeLibrary(mode: Mode): Promise<string> {
  const folder = `${OUTPUT}/${mode.name}`;
  const files = [
    ...await sources("ffi/native/shim", ".c"),
    ...await sources("ffi/native/peer", ".c"),
    ...await sources("ffi/native/linux", ".c"),
    "tests/native/harness.c",
    "tests/native/server.c",
  ];
  const output = `${folder}/library.o`;
  await Deno.mkdir(folder, { recursive: true });
  await unlessFresh(output, await inputs(mode, [...files, ...await headers()]), async () => {
    const what = `compile the library for native tests (${mode.title})`;
    const paths = files.map((file) => `${ROOT}/${file}`);
    const flags = [...mode.flags, ...COMMON, ...INCLUDE];
    if (mode.clang === undefined) {
      return await run(mode, [...flags, "-r", ...paths, "-o", output], what, folder);
    }
    // clang's own -r with a sanitizer would put the sanitizer in as well.
    const work = await Deno.makeTempDir({ dir: folder });
    try {
      // One by one: files of one name in two folders would make one object file.
      const objects = files.map((file) => file.replaceAll("/", "-").replace(/\.c$/, ".o"));
      for (const [index, path] of paths.entries()) {
        await run(mode, [...flags, "-c", path, "-o", objects[index]!], what, work);
      }
      await run(mode, ["-nostdlib", "-r", ...objects, "-o", output], what, work);
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  });
  return output;
}

/**
 * Compiles a test program, if need be.
 *
 * @param mode how
 * @param source its file
 * @returns the program
 */
export async function compileTest(mode: Mode, source: string): Promise<string> {
  const object = await library(mode);
  const output = `${OUTPUT}/${mode.name}/${source.replace(/^.*\/(.*)\.c$/, "$1")}`;
  const from = await sum([await inputs(mode, [source]), await Deno.readTextFile(`${object}.from`)]);
  await unlessFresh(output, from, async () => {
    const args = [...mode.flags, ...COMMON, ...INCLUDE, `${ROOT}/${source}`, object, "-o", output];
    await run(mode, args, `compile ${source} (${mode.title})`, ROOT);
  });
  return output;
}

/**
 * Compiles a program as a user of the library would: against the public headers alone, linked with the
 * shared library.
 *
 * @param source its file
 * @returns the program
 */
export async function compileClient(source: string): Promise<string> {
  const target = hostTarget()!;
  const folder = `${OUTPUT}/client`;
  await Deno.mkdir(folder, { recursive: true });
  const output = `${folder}/${source.replace(/^.*\/(.*)\.c$/, "$1")}`;
  const built = `${ROOT}/.build/${target.name}`;
  await runZig(
    await theZig(),
    [
      ...[
        "cc",
        "-target",
        target.triple,
        ...COMMON,
        `-I${ROOT}/ffi/native/linux/include`,
        `${ROOT}/${source}`,
      ],
      ...[`${built}/${target.library}`, `${built}/${target.archive}`, `-Wl,-rpath,${built}`, "-o", output],
    ],
    `compile ${source} as a client of the shared library`,
    folder,
  );
  return output;
}

/**
 * Compiles a program for a Mac, as far as an object file.
 *
 * @param source its file
 * @param triple the compiler's name for the system
 */
export async function compileForMac(source: string, triple: string): Promise<void> {
  const folder = `${OUTPUT}/${triple}`;
  await Deno.mkdir(folder, { recursive: true });
  const flags = COMMON.filter((flag) => flag !== "-pthread");
  const output = `${folder}/${source.replace(/^.*\/(.*)\.c$/, "$1.o")}`;
  const args = ["cc", "-target", triple, ...flags, "-c", `${ROOT}/${source}`, "-o", output];
  await runZig(await theZig(), args, `compile ${source} for ${triple}`, ROOT);
}
