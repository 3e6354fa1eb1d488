/**
 * What macOS's own libraries export, from the text form of their export lists that comes with the compiler.
 *
 * @module
 */

import { BuildError, type Zig } from "./zig.ts";

/** The library that every process on macOS has, and that re-exports libxpc, libdispatch and the others. */
const LIB_SYSTEM = "/usr/lib/libSystem.B.dylib";

/** A part of a list that holds for some systems. */
interface Section {
  targets: string[];
  symbols?: string[];
  "weak-symbols"?: string[];
  "thread-local-symbols"?: string[];
  libraries?: string[];
}

/** The list of one library, as far as it is used. */
interface TextStub {
  "install-name": string;
  "reexported-libraries"?: Section[];
  exports?: Section[];
  reexports?: Section[];
}

/** The part of npm's "yaml" that is used. */
interface YamlParser {
  parseAllDocuments(text: string, options: { logLevel: "error" }): { toJS(): unknown }[];
}

/** Apple silicon runs system libraries that are built for arm64e, whatever the process is built for. */
const TARGETS_OF = {
  aarch64: ["arm64-macos", "arm64e-macos"],
  x86_64: ["x86_64-macos"],
} as const;

/** The C names of what a library exports, on Apple silicon and on Intel. */
export type ExportsByArch = Readonly<Record<keyof typeof TARGETS_OF, ReadonlySet<string>>>;

/**
 * Reads what a system library exports, re-exports included.
 *
 * @param zig the compiler
 * @param library the library's path on macOS
 * @returns its symbols
 * @throws {BuildError} if the compiler has no list for the library
 */
export async function readSystemExports(zig: Zig, library = LIB_SYSTEM): Promise<ExportsByArch> {
  // Computed, so that it is not in the module graph of the build, which rarely needs it.
  const specifier = ["npm:yaml", "2.9.1"].join("@");
  const { parseAllDocuments } = await import(specifier) as YamlParser;
  const text = await Deno.readTextFile(`${zig.library}/libc/darwin/libSystem.tbd`);
  // "!tapi-tbd" is a tag that the parser does not know and need not.
  const stubs = new Map(
    parseAllDocuments(text, { logLevel: "error" }).map((document) => {
      const stub = document.toJS() as TextStub;
      return [stub["install-name"], stub] as const;
    }),
  );
  return {
    aarch64: collect(stubs, library, TARGETS_OF.aarch64, new Set()),
    x86_64: collect(stubs, library, TARGETS_OF.x86_64, new Set()),
  };
}

function collect(
  stubs: ReadonlyMap<string, TextStub>,
  library: string,
  targets: readonly string[],
  visited: Set<string>,
): Set<string> {
  const symbols = new Set<string>();
  if (visited.has(library)) return symbols;
  visited.add(library);
  const stub = stubs.get(library);
  if (stub === undefined) throw new BuildError(`Cannot find the list of what ${library} exports`);
  const here = (section: Section) => section.targets.some((target) => targets.includes(target));
  for (const section of [...stub.exports ?? [], ...stub.reexports ?? []].filter(here)) {
    const names = [section.symbols, section["weak-symbols"], section["thread-local-symbols"]].flat();
    // Names with a dollar sign are orders to the linker: "$ld$hide$os10.12$_dispatch_assert_queue".
    for (const name of names) if (name?.startsWith("_")) symbols.add(name.slice(1));
  }
  for (const section of (stub["reexported-libraries"] ?? []).filter(here)) {
    for (const name of section.libraries ?? []) {
      for (const symbol of collect(stubs, name, targets, visited)) symbols.add(symbol);
    }
  }
  return symbols;
}
