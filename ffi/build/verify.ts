/**
 * Looks into the libraries that were built: will they load where they should, and is in them what the
 * headers promise?
 *
 * @module
 */

import {
  type AbiFacts,
  compareExports,
  compareVersions,
  expectedArchiveSymbols,
  expectedLinuxExports,
  expectedShimExports,
} from "./compare.ts";
import { readArchiveSymbols } from "./archive.ts";
import { readElf } from "./elf.ts";
import { readMachO } from "./macho.ts";
import { OLDEST_GLIBC, OLDEST_MACOS, type Target, type TargetName, TARGETS } from "../targets.ts";

/** What a library may weigh, in bytes. */
const LARGEST = 300_000;

/** macOS has them, but no header of the compiler declares them: since when. */
const SINCE: Readonly<Record<string, string>> = {
  os_sync_wait_on_address: "14.4",
  os_sync_wait_on_address_with_timeout: "14.4",
  os_sync_wait_on_address_with_deadline: "14.4",
  os_sync_wake_by_address_any: "14.4",
  os_sync_wake_by_address_all: "14.4",
};

/** What Zig's linker exports from every library for macOS; nothing takes it from ours. */
const LINKER_MADE: readonly string[] = ["__dso_handle", "_mh_dylib_header"];

/**
 * Looks into libraries and archives that were built.
 *
 * @param root the project's folder, whose name must not be in them
 * @param libraries where they are
 * @param facts what the headers declare
 * @returns what is wrong, a line each
 */
export async function verifyLibraries(
  root: string,
  libraries: readonly { target: TargetName; path: string }[],
  facts: AbiFacts,
): Promise<string[]> {
  const problems: string[] = [];
  for (const { target, path } of libraries) {
    const { archive } = TARGETS[target];
    problems.push(...await verifyLibrary(TARGETS[target], await Deno.readFile(path), root, facts));
    if (archive === undefined) continue;
    const file = `${path.slice(0, path.lastIndexOf("/"))}/${archive}`;
    problems.push(...verifyArchive(`${target}/${archive}`, await Deno.readFile(file), facts));
  }
  return problems;
}

/**
 * Looks into one library.
 *
 * @param target what it was built for
 * @param bytes the file
 * @param root the project's folder, whose name must not be in it
 * @param facts what the headers declare
 * @returns what is wrong, a line each
 */
export async function verifyLibrary(
  target: Target,
  bytes: Uint8Array<ArrayBuffer>,
  root: string,
  facts: AbiFacts,
): Promise<string[]> {
  const name = `${target.name}/${target.library}`;
  let problems: string[];
  try {
    problems = target.os === "macos"
      ? await verifyMachO(target, name, bytes, facts)
      : verifyElf(target, name, bytes, facts);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    return [`${name}: ${error.message}`];
  }
  if (bytes.byteLength >= LARGEST) {
    problems.push(`${name}: has ${bytes.byteLength} bytes, of ${LARGEST} allowed`);
  }
  if (new TextDecoder("latin1").decode(bytes).includes(`${root}/`)) {
    problems.push(`${name}: tells where it was built, ${root}, and so differs from machine to machine`);
  }
  return problems;
}

/**
 * Looks into one archive of the blocks runtime.
 *
 * @param name its name, for the messages
 * @param bytes the file
 * @param facts what the headers declare
 * @returns what is wrong, a line each
 */
export function verifyArchive(name: string, bytes: Uint8Array<ArrayBuffer>, facts: AbiFacts): string[] {
  // The runtime has symbols that compilers know and no header declares, all with these beginnings.
  const isRuntime = (symbol: string) => /^_(Block_|NSConcrete)/.test(symbol);
  const expected = expectedArchiveSymbols(facts);
  const symbols = readArchiveSymbols(bytes).filter((symbol) => expected.has(symbol) || !isRuntime(symbol));
  return compareExports(name, symbols, expected);
}

/** The line that says what is not as it should be, or none. */
function expectEqual(name: string, what: string, actual: string, expected: string): string[] {
  return actual === expected ? [] : [`${name}: ${what} is "${actual}", should be "${expected}"`];
}

async function verifyMachO(
  target: Target,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
  facts: AbiFacts,
): Promise<string[]> {
  const found = await readMachO(bytes);
  const exports = found.exports.filter((symbol) => !LINKER_MADE.includes(symbol));
  const problems = [
    ...expectEqual(name, "the processor", found.arch, target.arch),
    ...expectEqual(name, "the install name", found.installName, `@rpath/${target.library}`),
    ...expectEqual(name, "the oldest macOS", found.minimumMacos, OLDEST_MACOS),
    ...expectEqual(
      name,
      "the list of libraries needed",
      found.dependencies.join(),
      "/usr/lib/libSystem.B.dylib",
    ),
    ...compareExports(name, exports, expectedShimExports(facts)),
  ];
  // Apple silicon kills a process that maps code without a valid signature; Intel needs none.
  if (target.arch === "aarch64") {
    problems.push(...expectEqual(name, "the code signature", found.signature, "ad-hoc"));
  } else if (found.signature === "broken") {
    problems.push(`${name}: the code signature is broken`);
  }
  for (const { name: symbol, weak } of found.imports) {
    const since = SINCE[symbol] ?? facts.apple.get(symbol)?.since;
    if (since !== undefined && compareVersions(since, OLDEST_MACOS) > 0 && !weak) {
      problems.push(`${name}: needs ${symbol}, new in macOS ${since}: import it weakly`);
    }
    // The linker adds this one itself.
    if (symbol !== "dyld_stub_binder" && !facts.systemExports[target.arch].has(symbol)) {
      problems.push(`${name}: needs ${symbol}, which libSystem does not export`);
    }
  }
  return problems;
}

function verifyElf(target: Target, name: string, bytes: Uint8Array<ArrayBuffer>, facts: AbiFacts): string[] {
  const found = readElf(bytes);
  const problems = [
    ...expectEqual(name, "the processor", found.arch, target.arch),
    ...expectEqual(name, "the SONAME", found.soname, target.library),
    ...compareExports(name, found.exports, expectedLinuxExports(facts)),
  ];
  if (!found.isNoDelete) problems.push(`${name}: is not marked NODELETE, but its threads outlive a dlclose`);
  for (const version of found.versions) {
    const number = /^GLIBC_([\d.]+)$/.exec(version)?.[1];
    if (number === undefined || compareVersions(number, OLDEST_GLIBC) > 0) {
      problems.push(`${name}: needs ${version}, newer than glibc ${OLDEST_GLIBC}`);
    }
  }
  for (const library of found.dependencies) {
    // Those of glibc: everything else may be missing on a machine.
    if (!/^(lib(c|m|dl|rt|pthread)\.so\.\d|ld-linux-.*\.so\.\d)$/.test(library)) {
      problems.push(`${name}: needs ${library}, which is not part of glibc`);
    }
  }
  return problems;
}
