/**
 * One target's library: what goes in, whether it is up to date, and how it is compiled.
 *
 * @module
 */

import { runZig, type Zig, ZIG_VERSION } from "./zig.ts";
import type { Target } from "../targets.ts";

/** Everything that decides what a target's library looks like. */
export interface Plan {
  /** The target. */
  readonly target: Target;
  /** The C files, relative to the root, sorted. */
  readonly sources: readonly string[];
  /** Changes with any source, header, flag or compiler. */
  readonly inputs: string;
}

/** SHA-256 in hex. */
export async function sha256(data: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data)).toHex();
}

/** The file that says what a target's files were made from. */
interface Stamp {
  inputs: string;
  /** SHA-256 by file name: two builds may race, and files be damaged, so names and dates say nothing. */
  outputs: Record<string, string>;
}

const COMPILE = [
  "-std=c11",
  "-fblocks",
  "-O2",
  "-g0",
  "-fPIC",
  "-fvisibility=hidden",
  "-Wall",
  "-Wextra",
  "-Werror",
];

/** The compiler's flags for a target, all but the names of files. */
export function compileFlags(target: Target): string[] {
  const flags = ["-target", target.triple, ...COMPILE, "-Iffi/native/include"];
  return target.os === "linux" ? [...flags, "-Iffi/native/linux/include", "-pthread"] : flags;
}

function linkFlags(target: Target): string[] {
  // "nodelete": threads of the library and blocks that point into it outlive the last dlclose.
  const system = target.os === "linux"
    ? ["-Wl,-z,nodelete", `-Wl,-soname,${target.library}`]
    : ["-install_name", `@rpath/${target.library}`];
  return ["-shared", "-s", ...system];
}

/** The names of the files that are made for a target. */
export function outputNames(target: Target): string[] {
  return target.archive === undefined ? [target.library] : [target.library, target.archive];
}

async function list(folder: string, suffixes: string[]): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isFile && suffixes.some((suffix) => entry.name.endsWith(suffix))) names.push(entry.name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/** Reads what a target is made of. */
export async function plan(root: string, target: Target): Promise<Plan> {
  const native = "ffi/native";
  const folders = target.os === "linux"
    ? [
      `${native}/include`,
      `${native}/shim`,
      `${native}/peer`,
      `${native}/linux`,
      `${native}/linux/include/xpc`,
      `${native}/linux/include/dispatch`,
      `${native}/linux/include`,
    ]
    : [`${native}/include`, `${native}/shim`, `${native}/peer`];
  const files = (await Promise.all(
    folders.map(async (folder) =>
      (await list(`${root}/${folder}`, [".c", ".h"])).map((name) => `${folder}/${name}`)
    ),
  )).flat();
  const sums = await Promise.all(
    files.map(async (file) => `${await sha256(await Deno.readFile(`${root}/${file}`))} ${file}`),
  );
  const recipe = [ZIG_VERSION, ...compileFlags(target), ...linkFlags(target), ...sums].join("\n");
  return {
    target,
    sources: files.filter((file) => file.endsWith(".c")),
    inputs: await sha256(new TextEncoder().encode(recipe)),
  };
}

/** Whether the files in a target's folder are what the plan would make. */
export async function isFresh(folder: string, plan: Plan): Promise<boolean> {
  try {
    const stamp = JSON.parse(await Deno.readTextFile(`${folder}/stamp.json`)) as Stamp;
    if (stamp.inputs !== plan.inputs) return false;
    for (const name of outputNames(plan.target)) {
      if (await sha256(await Deno.readFile(`${folder}/${name}`)) !== stamp.outputs[name]) return false;
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return false;
    throw error;
  }
}

/**
 * Compiles a target into its folder. Other processes see the old files or the new ones, nothing between.
 * One at a time: the caller holds the lock.
 *
 * @param zig the compiler
 * @param root the project's folder; the compiler runs there and sees relative names only, so that the
 *   result does not depend on where the project lies
 * @param folder where the files go
 * @param plan what to compile
 * @returns what the compiler complained about without failing
 */
export async function compile(zig: Zig, root: string, folder: string, plan: Plan): Promise<string> {
  const { target, sources, inputs } = plan;
  await Deno.mkdir(folder, { recursive: true });
  // Of builds that were killed. Builds hold a lock, so nobody is in there.
  for await (const { name } of Deno.readDir(folder)) {
    if (name.startsWith("making-")) await Deno.remove(`${folder}/${name}`, { recursive: true });
  }
  // The files keep their names in there: the linker writes the name into the code signature.
  const work = await Deno.makeTempDir({ dir: folder, prefix: "making-" });
  const what = `compile the native library for ${target.name}`;
  try {
    const { stderr } = await runZig(
      zig,
      ["cc", ...compileFlags(target), ...linkFlags(target), ...sources, "-o", `${work}/${target.library}`],
      what,
      root,
    );
    if (target.archive !== undefined) {
      const source = "ffi/native/linux/blocks_runtime.c";
      const object = `${work}/blocks_runtime.o`;
      await runZig(zig, ["cc", ...compileFlags(target), "-c", source, "-o", object], what, root);
      await runZig(zig, ["ar", "rcsD", `${work}/${target.archive}`, object], what, root);
    }
    const stamp: Stamp = { inputs, outputs: {} };
    for (const name of outputNames(target)) {
      stamp.outputs[name] = await sha256(await Deno.readFile(`${work}/${name}`));
    }
    await Deno.writeTextFile(`${work}/stamp.json`, JSON.stringify(stamp));
    for (const name of [...outputNames(target), "stamp.json"]) {
      await Deno.rename(`${work}/${name}`, `${folder}/${name}`);
    }
    return stderr;
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}
