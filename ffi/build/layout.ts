/**
 * Compares `src/link/layout.ts` with `shmem_layout.h`, which owns the numbers. The values of C come from a program
 * that the compiler makes of the header, so they are what native code gets; its static assertions hold for every
 * target.
 *
 * @module
 */

import { BuildError, runZig, type Zig } from "./zig.ts";
import { hostTarget, TARGETS } from "../targets.ts";

/** The name in TypeScript of each number in C: of constants, and of functions of a region's index. */
const NAMES: Readonly<Record<string, string>> = {
  SHMEM_LAYOUT_VERSION: "LAYOUT_VERSION",
  SHMEM_MAX_REGIONS: "MAXIMUM_REGIONS",
  SHMEM_STRIDE: "STRIDE",
  SHMEM_SERVER_OWNER: "SERVER_OWNER",
  SHMEM_MUTEX_OWNER: "MUTEX_OWNER",
  SHMEM_MUTEX_ABANDONED: "MUTEX_ABANDONED",
  SHMEM_MUTEX_CONTENDED: "MUTEX_CONTENDED",
  SHMEM_PARKED_BELL: "PARKED_BELL",
  SHMEM_PARKED_THREAD: "PARKED_THREAD",
  SHMEM_SERVER_BYTES: "SERVER_BYTES",
  SHMEM_LOCK_BYTES: "LOCK_BYTES",
  SHMEM_CLIENT_BYTES: "CLIENT_BYTES",
  SHMEM_SERVER_REVISION_AT: "serverRevisionAt",
  SHMEM_SERVER_GENERATION_AT: "generationAt",
  SHMEM_SERVER_MUTEX_AT: "serverMutexAt",
  SHMEM_SERVER_PARKED_AT: "serverParkedAt",
  SHMEM_LOCK_MUTEX_AT: "mutexAt",
  SHMEM_LOCK_REVISION_AT: "sharedRevisionAt",
  SHMEM_LOCK_WAITING_AT: "waitingAt",
  SHMEM_LOCK_TURNS_AT: "turnsAt",
  SHMEM_ALL_TURNS_AT: "ALL_TURNS_AT",
  SHMEM_WAITING_THREAD: "WAITING_THREAD",
  SHMEM_WAITING_REALM: "WAITING_REALM",
  SHMEM_MAX_HOLDERS: "MAXIMUM_HOLDERS",
  SHMEM_LOCK_OWNER: "LOCK_OWNER",
  SHMEM_LOCK_ABANDONED: "LOCK_ABANDONED",
  SHMEM_LOCK_CLAIMED: "LOCK_CLAIMED",
  SHMEM_LOCK_MEMORY_BYTES: "LOCK_MEMORY_BYTES",
  SHMEM_CLIENT_PARKED_AT: "clientParkedAt",
  SHMEM_CLIENT_GONE_AT: "GONE_AT",
  SHMEM_TILES_HEADER_BYTES: "TILES_HEADER_BYTES",
  SHMEM_STREAM_MAX_SLOTS: "MAXIMUM_SLOTS",
  SHMEM_STREAM_RECORD_BYTES: "RECORD_BYTES",
  SHMEM_STREAM_RECORD_AT: "recordAt",
  SHMEM_STREAM_HEADER_BYTES: "STREAM_HEADER_BYTES",
  SHMEM_STREAM_SEQUENCE_UNIT: "SEQUENCE_UNIT",
  SHMEM_RING_TAIL_AT: "RING_TAIL_AT",
  SHMEM_RING_HEADER_BYTES: "RING_HEADER_BYTES",
  SHMEM_RING_LEFT: "RING_LEFT",
  SHMEM_STREAM_LEASES_BYTES: "LEASES_BYTES",
  SHMEM_STREAM_TAKING: "TAKING",
};

/** The regions for which the offsets are compared. */
const REGIONS = 256;

/** A macro of a header. */
interface Macro {
  readonly name: string;
  /** Whether it takes the index of a region. */
  readonly indexed: boolean;
}

/** What {@linkcode checkLayout} returns. */
export interface LayoutReport {
  /** What is wrong, a line each. */
  readonly problems: string[];
  /** How many numbers were compared. */
  readonly count: number;
}

/**
 * Compares the layout of the shared words in TypeScript with the one in C.
 *
 * @param zig the compiler
 * @param root the project's folder
 * @returns what is wrong, and how much was compared
 * @throws {BuildError} if the header does not compile, as when one of its static assertions fails
 */
export async function checkLayout(zig: Zig, root: string): Promise<LayoutReport> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-layout-" });
  try {
    await compileForAll(zig, root, folder);
    const macros = await readNames(zig, root);
    const values = await evaluate(zig, root, folder, macros);
    // Not a static import: the copy in TypeScript belongs to a layer above, and a check may be of another folder.
    const copy = await import(new URL(`file://${root}/src/link/layout.ts`).href) as Record<string, unknown>;
    return {
      problems: [...compareCopy(macros, values, copy), ...compareShim(macros, values)],
      count: values.size,
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iffi/native/include"];

/** Has the static assertions checked for every target. */
async function compileForAll(zig: Zig, root: string, folder: string): Promise<void> {
  await Deno.writeTextFile(`${folder}/header.c`, "#include <shmem_layout.h>\ntypedef int not_empty;\n");
  const compiled = await Promise.allSettled(
    Object.values(TARGETS).map(({ name, triple }) => {
      const output = `${folder}/${name}.o`;
      const args = ["cc", "-target", triple, ...FLAGS, "-c", `${folder}/header.c`, "-o", output];
      return runZig(zig, args, `compile shmem_layout.h for ${name}`, root);
    }),
  );
  // Only now, when no compiler writes to the folder any more.
  for (const result of compiled) if (result.status === "rejected") throw result.reason;
}

/** The names of the macros of the layout, and of those in which the shim repeats one. */
async function readNames(zig: Zig, root: string): Promise<Macro[]> {
  const includes = ["-include", "shmem_layout.h", "-include", "shim.h"];
  const args = ["cc", "-Iffi/native/include", ...includes, "-E", "-dM", "-x", "c", "/dev/null"];
  const { stdout } = await runZig(zig, args, "read the names in shmem_layout.h", root);
  const matches = new TextDecoder().decode(stdout).matchAll(
    /^#define (SHMEM_\w+|SHIM_(?:MUTEX|PARKED|WAITING)_\w+)(\()?/gm,
  );
  return [...matches].map(([, name, bracket]) => ({ name: name!, indexed: bracket !== undefined }));
}

/** Has a program tell the value of each macro; for those with an index, of each region. */
async function evaluate(
  zig: Zig,
  root: string,
  folder: string,
  macros: readonly Macro[],
): Promise<Map<string, number[]>> {
  const target = hostTarget();
  if (target === undefined) {
    throw new BuildError("Cannot check the layout: nothing can be compiled for this system");
  }
  const prints = macros.map(({ name, indexed }) =>
    `  printf("${name}");\n  for (int i = 0; i < ${indexed ? REGIONS : 1}; i++) ` +
    `printf(" %llu", (unsigned long long)(${name}${indexed ? "(i)" : ""}));\n  puts("");\n`
  );
  await Deno.writeTextFile(
    `${folder}/values.c`,
    `#include <stdio.h>\n#include <shmem_layout.h>\n#include <shim.h>\nint main(void) {\n${
      prints.join("")
    }}\n`,
  );
  const program = `${folder}/values`;
  const args = ["cc", "-target", target.triple, ...FLAGS, `${folder}/values.c`, "-o", program];
  await runZig(zig, args, "compile a program that tells the layout", root);
  const { success, stdout } = await new Deno.Command(program, { stdin: "null", stderr: "inherit" }).output();
  if (!success) throw new BuildError("Cannot read the layout: the program that tells it failed");
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n").map((line) => line.split(" "));
  return new Map(lines.map(([name, ...values]) => [name!, values.map(Number)]));
}

/** What of the copy differs from the header, lacks, or is too much. */
function compareCopy(
  macros: readonly Macro[],
  values: ReadonlyMap<string, number[]>,
  copy: Readonly<Record<string, unknown>>,
): string[] {
  const problems: string[] = [];
  const known = new Set<string>();
  for (const { name, indexed } of macros.filter(({ name }) => name.startsWith("SHMEM_"))) {
    const ours = NAMES[name];
    if (ours === undefined) {
      problems.push(`layout: ${name}: ffi/build/layout.ts does not know what it is called in layout.ts`);
      continue;
    }
    known.add(ours);
    const theirs = values.get(name) ?? [];
    const value = copy[ours];
    for (const [index, expected] of theirs.entries()) {
      const actual = indexed && typeof value === "function"
        ? (value as (index: number) => unknown)(index)
        : value;
      if (actual === expected) continue;
      const place = indexed ? ` of region ${index}` : "";
      problems.push(`layout: ${ours}${place}: is ${expected} in C (${name}), ${actual} in layout.ts`);
      break; // the other regions are wrong in the same way
    }
  }
  for (const [name, ours] of Object.entries(NAMES)) {
    if (!values.has(name)) problems.push(`layout: ${ours}: shmem_layout.h does not define ${name}`);
  }
  for (const name of Object.keys(copy)) {
    if (!known.has(name) && !Object.values(NAMES).includes(name)) {
      problems.push(`layout: ${name}: shmem_layout.h has no such number`);
    }
  }
  return problems;
}

/** What the shim's own names for the bits say otherwise. */
function compareShim(macros: readonly Macro[], values: ReadonlyMap<string, number[]>): string[] {
  return macros.filter(({ name }) => name.startsWith("SHIM_")).flatMap(({ name }) => {
    const [ours] = values.get(name) ?? [];
    const [theirs] = values.get(name.replace("SHIM_", "SHMEM_")) ?? [];
    return ours === theirs ? [] : [`layout: ${name}: is ${ours} in shim.h, ${theirs} in shmem_layout.h`];
  });
}
