/**
 * Everything that the ABI check believes: prototypes from headers, symbols from export lists.
 *
 * @module
 */

import { compileFlags } from "./build_target.ts";
import type { AbiFacts } from "./compare.ts";
import { readSystemExports } from "./exports.ts";
import { readHeaders, readMacros } from "./headers.ts";
import type { Zig } from "./zig.ts";
import { TARGETS } from "../targets.ts";

/**
 * Reads the headers and the export list.
 *
 * @param zig the compiler that they come with
 * @param root the project's folder
 * @returns the facts
 * @throws {BuildError} if a header does not compile
 */
export async function readFacts(zig: Zig, root: string): Promise<AbiFacts> {
  const headers = ["xpc/xpc.h", "dispatch/dispatch.h", "Block.h"];
  const apple = compileFlags(TARGETS["aarch64-macos"]);
  const linux = compileFlags(TARGETS["x86_64-linux"]);
  const [appleHeaders, linuxHeaders, shimHeader, appleMacros, linuxMacros, systemExports] = await Promise.all(
    [
      readHeaders(zig, { headers: [...headers, "sys/mman.h", "sys/resource.h"], flags: apple, root }),
      readHeaders(zig, { headers: [...headers, "xpc/linux.h"], flags: linux, root }),
      readHeaders(zig, { headers: ["shim.h", "xpc_shmem.h"], flags: apple, root }),
      readMacros(zig, { headers, flags: apple, root }),
      readMacros(zig, { headers, flags: linux, root }),
      readSystemExports(zig),
    ],
  );
  return {
    apple: appleHeaders,
    linux: linuxHeaders,
    shim: shimHeader,
    appleMacros,
    linuxMacros,
    systemExports,
  };
}
