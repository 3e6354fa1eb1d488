/**
 * Stands for `jsr:@denosaurs/plug` where that cannot be had: the same interface, and the same faults. It
 * prints on stdout, knows nothing of checksums, and takes any file that is in its cache.
 *
 * @module
 */

/** What the loader passes. */
export interface Options {
  url: string;
  location: string;
  cache: "use" | "only" | "reloadAll";
}

/** Downloads a file into a folder, unless it is there. */
export async function download({ url, location, cache }: Options): Promise<string> {
  const { pathname } = new URL(url);
  const path = `${location}/${pathname.replaceAll("/", "_")}`;
  await Deno.mkdir(location, { recursive: true });
  if (cache !== "reloadAll" && await Deno.lstat(path).then(() => true, () => false)) return path;
  console.log(`\x1b[32mDownloading\x1b[39m ${url}`);
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Could not find ${url}`);
  await Deno.writeFile(path, await response.bytes());
  return path;
}
