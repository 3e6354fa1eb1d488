/**
 * Has Deno fetch packages from npm and prints the folders they lie in, as JSON. Run by `zig.ts` as a process
 * of its own with `--no-lock`: the compiler is another package on each system, and what stands in
 * `deno.lock` is downloaded by every command that uses npm at all.
 *
 * @module
 */

/** What the process prints: the folders, or why there are none. */
export type FetchAnswer = { folders: string[] } | { failed: string; reason: string };

if (import.meta.main) {
  const folders: string[] = [];
  let answer: FetchAnswer = { folders };
  for (const name of Deno.args) {
    const specifier = `npm:${name}/package.json`;
    try {
      await import(specifier, { with: { type: "json" } });
      const url = import.meta.resolve(specifier);
      folders.push(decodeURIComponent(new URL(".", url).pathname).replace(/\/$/, ""));
    } catch (error) {
      const [reason = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
      answer = { failed: name, reason };
      break;
    }
  }
  console.log(JSON.stringify(answer));
}
