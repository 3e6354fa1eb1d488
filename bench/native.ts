/**
 * The programs in C and C++ that the library is measured against: compiled with the project's compiler when they
 * changed, and run.
 *
 * @module
 */
import { ROOT } from "../ffi/build/root.ts";
import { fetchZig, runZig, ZIG_VERSION } from "../ffi/build/zig.ts";
import { hostTarget } from "../ffi/targets.ts";
import { sha256 } from "../ffi/build/build_target.ts";

/** Where Boost's headers may lie. */
const BOOST = [
  Deno.env.get("BOOST_INCLUDEDIR"),
  "/usr/include",
  "/usr/local/include",
  "/opt/homebrew/include",
];

/** A program that was compiled. */
export interface Program {
  /** What it measures, for people. */
  readonly name: string;
  /** Where it is. */
  readonly path: string;
}

/** Compiles the program of round trips. */
export function roundTripProgram(): Promise<Program> {
  return compile("C", "round_trip.c", []);
}

/** Compiles the program of mutexes: Boost's where its headers are, what Boost's is made of elsewhere. */
export async function mutexProgram(): Promise<Program> {
  for (const folder of BOOST) {
    if (folder === undefined || !await exists(`${folder}/boost/interprocess`)) continue;
    return await compile("Boost.Interprocess", "mutex_boost.cc", [folder]);
  }
  return await compile("pthread in C (no Boost here)", "mutex_pthread.c", []);
}

/**
 * Runs a program that prints a number a line.
 *
 * @throws {Error} if it fails
 */
export async function run(program: Program, args: readonly (string | number)[]): Promise<number[]> {
  const { success, stdout, stderr } = await new Deno.Command(program.path, { args: args.map(String) })
    .output();
  const text = new TextDecoder();
  if (!success) throw new Error(`Cannot run ${program.path}: ${text.decode(stderr).trim()}`);
  return text.decode(stdout).trim().split("\n").map(Number);
}

async function compile(name: string, source: string, includes: readonly string[]): Promise<Program> {
  const target = hostTarget();
  if (target === undefined) throw new Error(`Cannot measure on ${Deno.build.os} ${Deno.build.arch}`);
  // Apple's waits on addresses came with 14.4.
  const triple = target.os === "macos" ? `${target.arch}-macos.14.4` : target.triple;
  const folder = `${ROOT}/.build/bench`;
  const cxx = source.endsWith(".cc");
  const flags = ["-target", triple, cxx ? "-std=c++17" : "-std=c11", "-O2", "-g0", "-pthread", "-Wall"];
  // Headers of others: what they are warned about is not ours to mend.
  const args = [
    cxx ? "c++" : "cc",
    ...flags,
    ...includes.flatMap((include) => ["-idirafter", include]),
    `bench/native/${source}`,
  ];
  const stem = source.replace(/\.\w+$/, "");
  const inputs = [ZIG_VERSION, ...args];
  for (const file of [source, "mutex_loop.h"]) {
    inputs.push(await Deno.readTextFile(`${ROOT}/bench/native/${file}`));
  }
  const stamp = (await sha256(new TextEncoder().encode(inputs.join("\n")))).slice(0, 16);
  const path = `${folder}/${stem}-${stamp}`;
  if (!await exists(path)) {
    await Deno.mkdir(folder, { recursive: true });
    const zig = await fetchZig({ cache: `${ROOT}/.build/zig-cache` });
    const made = `${path}.${Deno.pid}`;
    await runZig(zig, [...args, "-o", made], `compile ${source}`, ROOT);
    await Deno.rename(made, path);
  }
  return { name, path };
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

/**
 * Two processors to pin two processes to: where a scheduler puts both on one, a round trip takes a tenth of the
 * time, and not always.
 *
 * @returns their numbers, or `undefined` where there is no `taskset` or only one processor
 */
export async function processors(): Promise<readonly [number, number] | undefined> {
  if (Deno.build.os !== "linux") return undefined;
  try {
    const { success, stdout } = await new Deno.Command("taskset", { args: ["-cp", String(Deno.pid)] })
      .output();
    if (!success) return undefined;
    const [, list = ""] = new TextDecoder().decode(stdout).trim().split(": ");
    const numbers = list.split(",").flatMap((part) => part.split("-").map(Number));
    const [first, second] = [numbers[0], numbers.at(-1)];
    return first === undefined || second === undefined || first === second ? undefined : [first, second];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
