/**
 * Compares everything that crosses the FFI with what C says of it: `deno task check:abi`.
 *
 * Nothing here needs a Mac: Apple's headers and the export lists of its libraries come with the compiler.
 * A wrong entry in an FFI table is not an error in Deno but a crash, or a wrong number, on somebody's Mac.
 *
 * @module
 */

import {
  compareHeaders,
  compareMacros,
  compareTable,
  countStandIns,
  expectedLinuxExports,
  expectedShimExports,
  exportsOfEveryMac,
} from "./compare.ts";
import { readFacts } from "./facts.ts";
import { checkLayout } from "./layout.ts";
import { verifyLibraries } from "./verify.ts";
import { BuildError, fetchZig } from "./zig.ts";
import { build } from "./main.ts";
import { libc } from "../libc.ts";
import { libdispatch } from "../libdispatch.ts";
import { libxpc } from "../libxpc.ts";
import { shim } from "../shim.ts";
import { ROOT } from "./root.ts";

/** Options of {@linkcode checkAbi}. */
export interface CheckAbiOptions {
  /** The project's folder. By default the one that this file is in. */
  root?: string;
  /** Told if the compiler has to be fetched. */
  onFetch?: () => void;
}

/**
 * Compares the FFI tables, the headers for Linux and the libraries that were built with each other and
 * with Apple's, and the layout of the shared words in TypeScript with the one in C.
 *
 * @param options where the project is
 * @returns what is wrong, a line each; and how much was compared
 * @throws {BuildError} if there is no compiler, or something does not compile
 */
export async function checkAbi(
  options: CheckAbiOptions = {},
): Promise<{ problems: string[]; summary: string }> {
  const root = options.root ?? ROOT;
  const onFetch = options.onFetch ?? (() => {});
  const zig = await fetchZig({ cache: `${root}/.build/zig-cache`, onFetch });
  const [facts, built, layout] = await Promise.all([
    readFacts(zig, root),
    build({ root, target: "all" }),
    checkLayout(zig, root),
  ]);
  const system = { exports: exportsOfEveryMac(facts), library: "libSystem", declarations: facts.apple };
  const ours = { exports: expectedLinuxExports(facts), library: "the library for Linux" };
  const problems = [
    ...compareTable(libxpc, { name: "libxpc", ...system }),
    ...compareTable(libdispatch, { name: "libdispatch", ...system }),
    ...compareTable(libc, { name: "libc", ...system }),
    ...compareTable(shim, {
      name: "shim",
      declarations: facts.shim,
      exports: expectedShimExports(facts),
      library: "the shim",
    }),
    // On Linux the same tables are loaded from our library.
    ...compareTable(libxpc, { name: "libxpc on Linux", declarations: facts.linux, ...ours }),
    ...compareTable(libdispatch, { name: "libdispatch on Linux", declarations: facts.linux, ...ours }),
    ...compareHeaders(facts.linux, facts.apple),
    ...compareMacros(facts.linuxMacros, facts.appleMacros),
    ...await verifyLibraries(root, built.libraries, facts),
    ...layout.problems,
  ];
  const entries = [libxpc, libdispatch, libc, shim].map((table) => Object.keys(table).length);
  const standIns = countStandIns(facts.linux);
  return {
    problems,
    summary: `${entries.join(" + ")} table entries, ${standIns} declarations for Linux, ` +
      `${layout.count} numbers of the layout, ${built.libraries.length} libraries agree with the headers`,
  };
}

if (import.meta.main) {
  try {
    const { problems, summary } = await checkAbi({
      onFetch: () => console.error("Fetching the C compiler from npm (82 MB, once)"),
    });
    for (const problem of problems) console.error(problem);
    if (problems.length > 0) {
      console.error(`error: Cannot accept the ABI: ${problems.length} things are wrong`);
      Deno.exit(1);
    }
    console.error(summary);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(1);
  }
}
