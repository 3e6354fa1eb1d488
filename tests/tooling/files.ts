/**
 * Which files belong to the project.
 *
 * @module
 */

/**
 * Lists the files that git tracks, and the new ones that it does not ignore. A file that was deleted and not yet
 * committed is left out.
 *
 * @param root the project's folder
 * @param patterns which files, as git takes them
 * @returns their paths, relative to the root
 * @throws {Error} if git cannot list them
 */
export async function listFiles(root: string, patterns: readonly string[]): Promise<string[]> {
  const list = async (...flags: string[]): Promise<string[]> => {
    const { code, stdout, stderr } = await new Deno.Command("git", {
      args: ["ls-files", "-z", ...flags, "--", ...patterns],
      cwd: root,
    }).output();
    if (code !== 0) throw new Error(`Cannot list the files of ${root}: ${new TextDecoder().decode(stderr)}`);
    return new TextDecoder().decode(stdout).split("\0").filter((path) => path !== "");
  };
  const deleted = new Set(await list("--deleted"));
  const known = await list("--cached", "--others", "--exclude-standard");
  return known.filter((path) => !deleted.has(path));
}
