/**
 * What C headers declare, told by the C compiler itself.
 *
 * @module
 */

import { BuildError, runZig, type Zig } from "./zig.ts";
import { type AstNode, Shapes } from "./shapes.ts";

/** A function or variable of a header. */
export interface Declaration {
  /** The name. */
  name: string;
  /** The path of the header. */
  file: string;
  /** What the parameters look like to a caller; `undefined` for a variable. */
  parameters: string[] | undefined;
  /** What the result, or the variable, looks like. */
  result: string;
  /** Whether further arguments may follow. */
  variadic: boolean;
  /** The macOS that it came with, as "12.0"; `undefined` if it was always there. */
  since: string | undefined;
  /** Whether macOS does not have it. */
  unavailable: boolean;
}

/** Which headers {@linkcode readHeaders} reads. */
export interface HeaderOptions {
  /** The headers, as an #include names them. */
  headers: readonly string[];
  /** The compiler's target and the folders to search, as flags. */
  flags: readonly string[];
  /** The folder to run in. */
  root: string;
}

/**
 * Reads all functions and variables that headers declare with external linkage.
 *
 * @param zig the compiler
 * @param options which headers
 * @returns the declarations by name, those of included headers too
 * @throws {BuildError} if the headers do not compile
 */
export async function readHeaders(zig: Zig, options: HeaderOptions): Promise<Map<string, Declaration>> {
  const { headers, flags, root } = options;
  const what = `read the headers ${headers.join(", ")}`;
  const folder = await Deno.makeTempDir({ prefix: "xpc-headers-" });
  try {
    await Deno.writeTextFile(`${folder}/in.c`, headers.map((header) => `#include <${header}>\n`).join(""));
    // Preprocessed first: "zig cc" does not take "-ast-dump" for a success, and so the attributes are in
    // the text itself, which is where the versions stand (the JSON leaves them out).
    const expand = ["cc", ...flags, "-fblocks", "-E", `${folder}/in.c`];
    const source = (await runZig(zig, expand, what, root)).stdout;
    await Deno.writeFile(`${folder}/in.i`, source);
    const triple = `${flags[flags.indexOf("-target") + 1]}`;
    const dump = ["clang", "-cc1", "-triple", llvmTriple(triple), "-fblocks", "-w", "-ast-dump=json"];
    const { stdout } = await runZig(zig, [...dump, "-x", "cpp-output", `${folder}/in.i`], what, root);
    return declarations(JSON.parse(new TextDecoder().decode(stdout)) as AstNode, source);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Reads the macros without parameters that headers define.
 *
 * @param zig the compiler
 * @param options which headers
 * @returns what each stands for, by name, those of included headers and of the compiler too
 * @throws {BuildError} if the headers do not compile
 */
export async function readMacros(zig: Zig, options: HeaderOptions): Promise<Map<string, string>> {
  const { headers, flags, root } = options;
  const includes = headers.flatMap((header) => ["-include", header]);
  const args = ["cc", ...flags, "-fblocks", ...includes, "-E", "-dM", "-x", "c", "/dev/null"];
  const { stdout } = await runZig(zig, args, `read the macros of ${headers.join(", ")}`, root);
  const matches = new TextDecoder().decode(stdout).matchAll(/^#define (\w+) +(.*)$/gm);
  return new Map([...matches].map(([, name, text]) => [name!, text!]));
}

/** Zig's name of a target, as LLVM spells it. */
function llvmTriple(target: string): string {
  const [arch, system = ""] = target.split("-");
  if (system.startsWith("macos")) return `${arch === "aarch64" ? "arm64" : arch}-apple-macosx13.0.0`;
  if (system.startsWith("linux")) return `${arch}-unknown-linux-gnu`;
  throw new BuildError(`Cannot read headers for the target ${target}`);
}

function declarations(unit: AstNode, source: Uint8Array): Map<string, Declaration> {
  const shapes = new Shapes(unit);
  const files = new FileMap(source);
  const found = new Map<string, Declaration>();
  for (const node of unit.inner ?? []) {
    const isFunction = node.kind === "FunctionDecl";
    if (!isFunction && node.kind !== "VarDecl") continue;
    if (node.name === undefined || node.storageClass === "static" || node.isImplicit) continue;
    const inner = node.inner ?? [];
    const before = found.get(node.name);
    const availability = inner
      .filter((child) => child.kind === "AvailabilityAttr")
      .map((child) => readAvailability(files.text(child)));
    found.set(node.name, {
      name: node.name,
      file: before?.file ?? files.fileOf(node),
      parameters: isFunction
        ? inner.filter((child) => child.kind === "ParmVarDecl").map((child) => shapes.of(child.type))
        : undefined,
      result: isFunction ? shapes.ofResult(node.type) : shapes.of(node.type),
      variadic: node.variadic ?? false,
      since: availability.find((a) => a.since !== undefined)?.since ?? before?.since,
      unavailable: availability.some((a) => a.unavailable) || (before?.unavailable ?? false),
    });
  }
  return found;
}

/** Reads `availability(macos,introduced=12.0)`; what is said of other systems says nothing. */
function readAvailability(text: string): { since: string | undefined; unavailable: boolean } {
  const [platform = "", ...clauses] = text.slice(text.indexOf("(") + 1).split(/[,)]/).map((s) => s.trim());
  if (platform !== "macos" && platform !== "macosx") return { since: undefined, unavailable: false };
  const introduced = clauses.find((clause) => /^introduced\s*=/.test(clause));
  return {
    since: introduced?.split("=")[1]?.trim().replaceAll("_", "."),
    unavailable: clauses.includes("unavailable"),
  };
}

/** Finds the header that a place in the preprocessed text comes from, by its line markers. */
class FileMap {
  #source: Uint8Array;
  #markers: { offset: number; file: string }[] = [];

  constructor(source: Uint8Array) {
    this.#source = source;
    // Offsets are in bytes; Latin-1 keeps one character for each.
    const text = new TextDecoder("latin1").decode(source);
    for (const match of text.matchAll(/^# \d+ "([^"]*)".*$/gm)) {
      this.#markers.push({ offset: match.index, file: match[1]! });
    }
  }

  fileOf(node: AstNode): string {
    const offset = node.loc?.offset ?? node.loc?.expansionLoc?.offset ?? 0;
    return this.#markers.findLast((marker) => marker.offset < offset)?.file ?? "";
  }

  text(node: AstNode): string {
    const { begin, end } = node.range ?? {};
    if (begin?.offset === undefined || end?.offset === undefined) return "";
    return new TextDecoder().decode(this.#source.subarray(begin.offset, end.offset + (end.tokLen ?? 0)));
  }
}
