/**
 * Compiles the fuzz targets with the system's clang: Zig ships neither libFuzzer nor the address sanitizer.
 *
 * @module
 */
import { ROOT, sources } from "../support/native.ts";

const CLANGS = ["clang", ...[20, 19, 18, 17, 16, 15, 14].map((version) => `clang-${version}`)];

const OUTPUT = `${ROOT}/.build/fuzz`;

const FLAGS = [
  "-std=c11",
  "-fblocks",
  "-g",
  "-O1",
  "-fno-omit-frame-pointer",
  "-pthread",
  "-Wall",
  "-Wextra",
  "-Werror",
  "-fsanitize=fuzzer-no-link,address,undefined",
  "-fno-sanitize-recover=undefined",
  ...["ffi/native/linux", "ffi/native/linux/include", "tests/fuzz"].map((folder) => `-I${ROOT}/${folder}`),
];

/** What {@linkcode compile} made. */
export interface Fuzzers {
  /** The targets' programs by their names. */
  readonly programs: ReadonlyMap<string, string>;
  /** The program that writes the first inputs. */
  readonly seeds: string;
}

/**
 * Finds a clang that links with libFuzzer and the address sanitizer.
 *
 * @returns its name, or `undefined` where there is none
 */
export async function findClang(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return undefined; // the libxpc under test is Linux's
  const folder = await Deno.makeTempDir({ prefix: "xpc-fuzz-probe-" });
  try {
    const probe = "#include <stddef.h>\n#include <stdint.h>\n" +
      "int LLVMFuzzerTestOneInput(const uint8_t *d, size_t n) { (void)d; (void)n; return 0; }\n";
    await Deno.writeTextFile(`${folder}/probe.c`, probe);
    for (const clang of CLANGS) {
      const args = ["-fblocks", "-fsanitize=fuzzer,address,undefined", "probe.c", "-o", "probe"];
      if ((await run(clang, args, folder))?.success === true) return clang;
    }
    return undefined;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The sources of the targets. */
export function targets(): Promise<string[]> {
  return sources("tests/fuzz", "_fuzz.c");
}

/** A target's name: "decoder" for `tests/fuzz/decoder_fuzz.c`. */
export function targetName(source: string): string {
  return source.replace(/^.*\/(.*)_fuzz\.c$/, "$1");
}

/**
 * Compiles targets with the library under test.
 *
 * @param clang from {@linkcode findClang}
 * @param chosen the targets' sources
 * @returns the programs
 * @throws {Error} with the compiler's words, if it refuses
 */
export async function compile(clang: string, chosen: readonly string[]): Promise<Fuzzers> {
  const objects = await compileLibrary(clang);
  const link = async (sanitizers: string, source: string): Promise<string> => {
    const program = `${OUTPUT}/${source.replace(/^.*\/(.*)\.c$/, "$1")}`;
    const temporary = await Deno.makeTempFile({ dir: OUTPUT }); // another process may run the one that is there
    await must(clang, [...FLAGS, sanitizers, source, ...objects, "-o", temporary], ROOT);
    await Deno.rename(temporary, program);
    return program;
  };
  const programs = new Map<string, string>();
  for (const source of chosen) {
    programs.set(targetName(source), await link("-fsanitize=fuzzer,address,undefined", source));
  }
  return { programs, seeds: await link("-fsanitize=address,undefined", "tests/fuzz/seeds.c") };
}

/** The object files of the library, which are used again until a source, a flag or the compiler changes. */
async function compileLibrary(clang: string): Promise<string[]> {
  const library = [...await sources("ffi/native/linux", ".c"), "tests/fuzz/inputs.c"];
  const folder = `${OUTPUT}/library-${await hash(clang, library)}`;
  const objects = library.map((source) => source.replace(/^.*\/(.*)\.c$/, `${folder}/$1.o`));
  if (await exists(folder)) return objects;
  await Deno.mkdir(OUTPUT, { recursive: true });
  for await (const { name } of Deno.readDir(OUTPUT)) {
    if (name.startsWith("library-")) await Deno.remove(`${OUTPUT}/${name}`, { recursive: true });
  }
  const work = await Deno.makeTempDir({ dir: OUTPUT, prefix: "work-" });
  try {
    await must(clang, [...FLAGS, "-c", ...library.map((source) => `${ROOT}/${source}`)], work);
    await Deno.chmod(work, 0o755);
    await Deno.rename(work, folder);
  } catch (error) {
    await Deno.remove(work, { recursive: true });
    if (!await exists(folder)) throw error; // otherwise another process was quicker
  }
  return objects;
}

async function hash(clang: string, library: readonly string[]): Promise<string> {
  const headers = ["ffi/native/linux", "ffi/native/linux/include", "tests/fuzz"].map((folder) =>
    sources(folder, ".h")
  );
  const nested = ["xpc", "dispatch"].map((name) => sources(`ffi/native/linux/include/${name}`, ".h"));
  const files = [...library, ...(await Promise.all([...headers, ...nested])).flat()];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(`${ROOT}/${file}`)));
  const version = (await run(clang, ["--version"], ROOT))?.stdout ?? new Uint8Array();
  const all = [new TextDecoder().decode(version), ...FLAGS, ...files, ...texts].join("\n");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(all));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function must(clang: string, args: string[], cwd: string): Promise<void> {
  const result = await run(clang, args, cwd);
  if (result?.success === true) return;
  const said = new TextDecoder().decode(result?.stderr ?? new Uint8Array());
  throw new Error(`Cannot compile the fuzz targets with ${clang}:\n${said}`);
}

async function run(program: string, args: string[], cwd: string): Promise<Deno.CommandOutput | undefined> {
  try {
    return await new Deno.Command(program, { args, cwd, stdin: "null" }).output();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
