/**
 * Which part of the library's lines ran.
 *
 * @module
 */

/** How many lines ran, and how many there are that can. */
export interface LineCoverage {
  /** The lines that ran. */
  readonly covered: number;
  /** All lines that hold code. */
  readonly lines: number;
}

/**
 * Sums up the coverage data of all processes of a run, for the modules that ship: `src/` and the modules in `ffi/`.
 *
 * @param folder where the processes wrote their data
 * @param root the project's folder
 * @returns the sums
 * @throws {Error} if Deno cannot make a report of the data, or the data has none of these modules
 */
export async function measureLines(folder: string, root: string): Promise<LineCoverage> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["coverage", "--lcov", "--include=/(src/.+|ffi/[^/]+)\\.ts$", "--exclude=/tests/", folder],
    cwd: root,
  }).output();
  const text = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot report the coverage: ${text.decode(stderr).trim()}`);
  const sum = (key: string): number =>
    text.decode(stdout).split("\n").filter((line) => line.startsWith(`${key}:`))
      .reduce((total, line) => total + Number(line.slice(key.length + 1)), 0);
  const [covered, lines] = [sum("LH"), sum("LF")];
  if (lines === 0) throw new Error("Cannot report the coverage: no module of src/ or ffi/ ran");
  return { covered, lines };
}
