/**
 * Puts the libraries where the package serves them from, `ffi/lib/<target>/`, for publishing:
 * `deno task stage`. It builds what is stale, and fails where the table of checksums does not fit.
 *
 * @module
 */
import { build, BuildError } from "./main.ts";
import { TARGETS } from "../targets.ts";
import { ROOT } from "./root.ts";

/** Options of {@linkcode stage}. */
interface StageOptions {
  /** The project's folder. By default the one that this file is in. */
  root?: string;
  /** The folder for the libraries. By default `ffi/lib` in the root. */
  folder?: string;
}

/**
 * Builds every target, compares the libraries with the table of checksums, and copies them.
 *
 * @param options where from and where to
 * @returns the paths of the copies
 * @throws {BuildError} if a library cannot be built, or is not the one in the table
 */
async function stage(options: StageOptions = {}): Promise<string[]> {
  const root = options.root ?? ROOT;
  const folder = options.folder ?? `${root}/ffi/lib`;
  const { libraries } = await build({ root, target: "all", checksums: "check" });
  const copies: string[] = [];
  for (const { target, path } of libraries) {
    await Deno.mkdir(`${folder}/${target}`, { recursive: true });
    const copy = `${folder}/${target}/${TARGETS[target].library}`;
    await Deno.copyFile(path, copy);
    copies.push(copy);
  }
  return copies;
}

if (import.meta.main) {
  try {
    for (const path of await stage()) console.error(path);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(1);
  }
}
