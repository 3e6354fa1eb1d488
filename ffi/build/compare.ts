/**
 * The comparisons of the ABI check. They take facts and return what is wrong; nothing is read here.
 *
 * @module
 */

import type { ExportsByArch } from "./exports.ts";
import type { Declaration } from "./headers.ts";
import { OLDEST_MACOS } from "../targets.ts";

/** Functions and variables by name. */
export type Declarations = ReadonlyMap<string, Declaration>;

/** What headers and export lists say. */
export interface AbiFacts {
  /** Apple's `<xpc/xpc.h>`, `<dispatch/dispatch.h>` and `<Block.h>`. */
  apple: Declarations;
  /** The headers of our libxpc for Linux. */
  linux: Declarations;
  /** `ffi/native/include/shim.h`. */
  shim: Declarations;
  /** The macros of Apple's headers. */
  appleMacros: ReadonlyMap<string, string>;
  /** The macros of our headers for Linux. */
  linuxMacros: ReadonlyMap<string, string>;
  /** What libSystem exports, by processor. */
  systemExports: ExportsByArch;
}

/** What {@linkcode compareTable} compares a table with. */
export interface TableContext {
  /** The name of the table, for the messages. */
  name: string;
  /** The prototypes. */
  declarations: Declarations;
  /** The symbols of the library that the table is loaded from; `undefined` to leave them out. */
  exports?: ReadonlySet<string>;
  /** The library's name, for the messages. */
  library: string;
}

/** FFI types that are the same to C. */
const FFI_SHAPES: Readonly<Record<string, string>> = {
  buffer: "pointer",
  function: "pointer",
  usize: "u64",
  isize: "i64",
};

function shapeOfFfi(type: Deno.NativeResultType): string {
  return typeof type === "object" ? "struct" : FFI_SHAPES[type] ?? type;
}

/**
 * Compares an FFI table with the prototypes of its functions and the symbols of its library.
 *
 * @param table the table
 * @param context what it is compared with
 * @returns what is wrong, a line each
 */
export function compareTable(table: Deno.ForeignLibraryInterface, context: TableContext): string[] {
  return Object.entries(table).flatMap(([key, entry]) => {
    const symbol = "name" in entry && entry.name !== undefined ? entry.name : key;
    const where = `${context.name}: ${symbol}`;
    const declaration = context.declarations.get(symbol);
    const problems: string[] = [];
    if (context.exports !== undefined && !context.exports.has(symbol)) {
      problems.push(`${where}: ${context.library} does not export it`);
    }
    if (declaration === undefined) return [...problems, `${where}: no header declares it`];
    const late = whenTooNew(declaration);
    if (late !== undefined && entry.optional !== true) {
      problems.push(`${where}: is ${late}, but we support ${OLDEST_MACOS}: make it optional`);
    }
    const wrong = "type" in entry ? compareStatic(entry, declaration) : compareFunction(entry, declaration);
    return [...problems, ...wrong.map((problem) => `${where}: ${problem}`)];
  });
}

function compareFunction(entry: Deno.ForeignFunction, declaration: Declaration): string[] {
  const { parameters, result, variadic } = declaration;
  if (parameters === undefined) return ["is a variable in C, a function in the table"];
  if (variadic) return ["is variadic in C: the FFI cannot call it"];
  const problems: string[] = [];
  if (parameters.length !== entry.parameters.length) {
    problems.push(`has ${parameters.length} parameters in C, ${entry.parameters.length} in the table`);
  } else {
    parameters.forEach((shape, i) => {
      const ours = shapeOfFfi(entry.parameters[i]!);
      if (ours !== shape) problems.push(`parameter ${i + 1} is ${shape} in C, ${ours} in the table`);
    });
  }
  const ours = shapeOfFfi(entry.result);
  if (ours !== result) problems.push(`the result is ${result} in C, ${ours} in the table`);
  return problems;
}

function compareStatic(entry: Deno.ForeignStatic, declaration: Declaration): string[] {
  if (declaration.parameters !== undefined) return ["is a function in C, a variable in the table"];
  // A static "pointer" is the address of the variable, so it fits all; the others are read.
  const ours = shapeOfFfi(entry.type);
  if (ours === "pointer" || ours === declaration.result) return [];
  return [`the variable is ${declaration.result} in C, ${ours} in the table`];
}

/** Why a symbol may be missing on a macOS that we support, or `undefined`. */
function whenTooNew({ since, unavailable }: Declaration): string | undefined {
  if (unavailable) return "not available on macOS";
  if (since === undefined || compareVersions(since, OLDEST_MACOS) <= 0) return undefined;
  return `new in macOS ${since}`;
}

/** Compares dotted versions: "10.15" is before "13.0". */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  for (let i = 0; i < Math.max(left!.length, right!.length); i++) {
    const difference = (left![i] ?? 0) - (right![i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** How a declaration looks to a caller. */
function signature({ parameters, result, variadic }: Declaration): string {
  if (parameters === undefined) return "variable";
  return `${result} (${[...parameters, ...(variadic ? ["..."] : [])].join(", ")})`;
}

/** Whether a header is one of those that stand in for Apple's, not what Linux needs beyond them. */
function isStandIn({ file }: Declaration): boolean {
  return isOfLinux(file) && !file.endsWith("/xpc/linux.h");
}

/** How many declarations {@linkcode compareHeaders} compares. */
export function countStandIns(linux: Declarations): number {
  return [...linux.values()].filter(isStandIn).length;
}

function isOfLinux(file: string): boolean {
  return file.includes("ffi/native/linux/include/");
}

/**
 * Compares the headers of our libxpc for Linux with Apple's: what compiles against ours must mean the same.
 *
 * @param linux what our headers declare
 * @param apple what Apple's declare
 * @returns what is wrong, a line each
 */
export function compareHeaders(linux: Declarations, apple: Declarations): string[] {
  return [...linux.values()].filter(isStandIn).flatMap((ours) => {
    const theirs = apple.get(ours.name);
    const where = `${ours.file.replace(/.*\/include\//, "")}: ${ours.name}`;
    if (theirs === undefined) return [`${where}: Apple's headers do not declare it`];
    if (signature(ours) === signature(theirs)) return [];
    return [`${where}: is ${signature(ours)}, Apple's is ${signature(theirs)}`];
  });
}

/**
 * Compares the constants that our headers for Linux define as macros with Apple's. They are few and simple:
 * they must read the same, so that nobody has to compute them. What only Linux has passes.
 *
 * @param linux the macros of our headers
 * @param apple those of Apple's
 * @returns what is wrong, a line each
 */
export function compareMacros(
  linux: ReadonlyMap<string, string>,
  apple: ReadonlyMap<string, string>,
): string[] {
  return [...linux].flatMap(([name, ours]) => {
    const theirs = apple.get(name);
    if (!/^(XPC|DISPATCH)_/.test(name) || theirs === undefined || ours === theirs) return [];
    return [`${name}: is ${ours}, Apple's is ${theirs}`];
  });
}

/**
 * The symbols that the library for Linux must export: what its headers and the shim's declare. Not those
 * of `<Block.h>`: every program brings its own blocks runtime, or links ours from the static archive.
 *
 * @param facts what the headers declare
 * @returns the names
 */
export function expectedLinuxExports(facts: Pick<AbiFacts, "linux" | "shim">): Set<string> {
  const linux = [...facts.linux.values()].filter(({ file }) => isOfLinux(file) && !file.endsWith("/Block.h"));
  return new Set([...linux.map(({ name }) => name), ...expectedShimExports(facts)]);
}

/** The symbols that the static archive of the blocks runtime must define. */
export function expectedArchiveSymbols(facts: Pick<AbiFacts, "linux">): Set<string> {
  const declared = [...facts.linux.values()].filter(({ file }) => file.endsWith("linux/include/Block.h"));
  return new Set(declared.map(({ name }) => name));
}

/** The symbols that the library for macOS must export: what `shim.h` and `xpc_shmem.h` declare. */
export function expectedShimExports(facts: Pick<AbiFacts, "shim">): Set<string> {
  const declared = [...facts.shim.values()].filter(({ file }) =>
    /ffi\/native\/include\/(shim|xpc_shmem)\.h$/.test(file)
  );
  return new Set(declared.map(({ name }) => name));
}

/** The symbols that libSystem exports on Apple silicon and on Intel alike: there is one table for both. */
export function exportsOfEveryMac({ systemExports }: Pick<AbiFacts, "systemExports">): Set<string> {
  return new Set([...systemExports.aarch64].filter((name) => systemExports.x86_64.has(name)));
}

/**
 * Compares what a library exports with what its headers declare.
 *
 * @param library the library's name, for the messages
 * @param actual the symbols that it exports
 * @param expected the symbols that it should
 * @returns what is wrong, a line each
 */
export function compareExports(
  library: string,
  actual: Iterable<string>,
  expected: ReadonlySet<string>,
): string[] {
  const found = new Set(actual);
  const missing = [...expected].filter((name) => !found.has(name));
  const extra = [...found].filter((name) => !expected.has(name));
  return [
    ...missing.map((name) => `${library}: does not export ${name}, which a header declares`),
    ...extra.map((name) => `${library}: exports ${name}, which no header declares`),
  ];
}
