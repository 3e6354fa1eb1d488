/**
 * Which headers the shim's C files include: a part of the check of the layers.
 *
 * @module
 */
import { dirname, join, normalize } from "@std/path/posix";
import { listFiles } from "./files.ts";

const SHIM = "ffi/native/shim";
const LIBXPC = "ffi/native/linux";
/** The headers that a program on a Mac finds in Apple's SDK. */
const PUBLIC = `${LIBXPC}/include`;

/** Where the compiler looks for a header, in this order, after the folder of the file that includes it. */
const INCLUDE_PATH = ["ffi/native/include", PUBLIC];

/**
 * Checks that the shim depends on no part of the Linux libxpc but its public headers, which stand in for Apple's: else
 * it would not compile for macOS.
 *
 * @param root the project's folder
 * @returns what is wrong: a line each, which begins with the file and the line
 */
export async function checkIncludes(root: string): Promise<string[]> {
  const headers = new Set(await listFiles(root, ["*.h", "*.c"]));
  const findings: string[] = [];
  for (const path of await listFiles(root, [`${SHIM}/*.c`, `${SHIM}/*.h`])) {
    const lines = (await Deno.readTextFile(join(root, path))).split("\n");
    lines.forEach((text, index) => {
      const header = /^\s*#\s*include\s*["<]([^">]+)[">]/.exec(text)?.[1];
      if (header === undefined) return;
      const found = [dirname(path), ...INCLUDE_PATH].map((folder) => normalize(join(folder, header)))
        .find((candidate) => headers.has(candidate));
      if (found?.startsWith(`${LIBXPC}/`) === true && !found.startsWith(`${PUBLIC}/`)) {
        findings.push(
          `${path}:${index + 1}: Cannot include ${found}: the shim sees only the headers in ${PUBLIC}`,
        );
      }
    });
  }
  return findings;
}
