/**
 * The table of checksums of the libraries, which the loader compares downloads with.
 *
 * @module
 */

import { outputNames, sha256 } from "./build_target.ts";
import { BuildError } from "./zig.ts";
import type { Target } from "../targets.ts";

const FILE = "ffi/checksums.ts";

/** The text of `ffi/checksums.ts` for the libraries in `.build`. */
async function table(root: string, targets: readonly Target[]): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  for (const target of targets) {
    const file = outputNames(target)[0]!;
    const data = await Deno.readFile(`${root}/.build/${target.name}/${file}`);
    rows.set(
      target.name,
      `  "${target.name}": {\n    file: "${file}",\n    sha256: "${await sha256(data)}",\n` +
        `    byteLength: ${data.byteLength},\n  },\n`,
    );
  }
  return rows;
}

/**
 * Brings `ffi/checksums.ts` up to date, or fails if it is not.
 *
 * @param root the project's folder
 * @param targets whose rows to look at; all of them are needed to write the table
 * @param check whether to fail in place of writing
 * @returns whether the file was written
 * @throws {BuildError} if `check` and the table is stale
 */
export async function updateChecksums(
  root: string,
  targets: readonly Target[],
  check: boolean,
): Promise<boolean> {
  const rows = await table(root, targets);
  let before = "";
  try {
    before = await Deno.readTextFile(`${root}/${FILE}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  if (check) {
    const stale = [...rows].filter(([, row]) => !before.includes(row)).map(([name]) => name);
    if (stale.length === 0) return false;
    throw new BuildError(
      `Cannot accept ${FILE}: the checksums of ${stale.join(", ")} are not those of the libraries that the ` +
        `sources make. Run "deno task build --target all" and commit the file`,
    );
  }
  const text = HEADER + [...rows.values()].join("") + "};\n";
  if (text === before) return false;
  await Deno.writeTextFile(`${root}/${FILE}.new`, text);
  await Deno.rename(`${root}/${FILE}.new`, `${root}/${FILE}`);
  return true;
}

const HEADER = `/**
 * The libraries that belong to this version, by target. Made by \`deno task build --target all\`; the loader
 * opens no downloaded library that is not in here.
 *
 * @module
 */

/** What is known of a library. */
export interface LibraryChecksum {
  /** The file's name. */
  readonly file: string;
  /** Its SHA-256, in hex. */
  readonly sha256: string;
  /** Its length. */
  readonly byteLength: number;
}

/** The libraries, by target. */
export const CHECKSUMS: Readonly<Record<string, LibraryChecksum>> = {
`;
