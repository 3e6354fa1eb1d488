/**
 * Fetches the native library where there is no checkout to build it in: the package serves its own
 * libraries, plug downloads them, and nothing is opened that is not in the table of checksums.
 *
 * plug writes in place, and to a path that it chooses by the URL. Two apps that start at once would write
 * over what the other has just mapped. So each download has a folder of its own, and what has proved right
 * is renamed to its place, which is named by its content.
 *
 * @module
 */
import { CHECKSUMS, type LibraryChecksum } from "./checksums.ts";
import type { Target } from "./targets.ts";

/** What we use of plug. */
export interface Plug {
  /** Downloads a file, or finds it in its cache; prints on stdout. Gives the file's path. */
  download(options: { url: string; location: string; cache: "use" | "reloadAll" }): Promise<string>;
}

/** Options of {@linkcode download}. */
export interface DownloadOptions {
  /** What the URL of the libraries is relative to. By default this module. */
  base?: string | undefined;
  /** The checksums. By default those of this version. */
  checksums?: Readonly<Record<string, LibraryChecksum>> | undefined;
  /** The folder for what was downloaded. By default one in Deno's cache. */
  folder?: string | undefined;
  /** Gives plug. By default imports it. */
  plug?: (() => Promise<Plug>) | undefined;
}

/** Deno's cache is found by the first of these that is set and may be read. */
const VARIABLES = ["DENO_DIR", "XDG_CACHE_HOME", "HOME"] as const;

const INSTEAD = "To use a library that you have, set XPC_SHMEM_LIBRARY to its path";

/**
 * Gives the path of the library for a target, after it was compared with its checksum. What is missing,
 * truncated or altered in the cache is downloaded.
 *
 * @param target the system
 * @param options where from and where to
 * @returns the path
 * @throws {Deno.errors.InvalidData} if what the server has is not the library of this version
 * @throws {Deno.errors.NotFound} if there is no folder for it, or it cannot be fetched
 * @throws {Deno.errors.NotCapable} if a permission is missing
 */
export async function download(target: Target, options: DownloadOptions = {}): Promise<string> {
  const { base = import.meta.url, checksums = CHECKSUMS, folder = cacheFolder(), plug = importPlug } =
    options;
  const url = new URL(`./lib/${target.name}/${target.library}`, base).href;
  const expected = checksums[target.name]?.sha256;
  if (expected === undefined) {
    throw new Deno.errors.NotFound(
      `Cannot download "${url}": this version has no checksum for ${target.name}`,
    );
  }
  const path = `${folder}/${expected}/${target.library}`;
  if (await checksumOf(path) === expected) return path;

  await Deno.mkdir(`${folder}/${expected}`, { recursive: true });
  const own = await Deno.makeTempDir({ dir: folder, prefix: "download-" });
  try {
    let found: string | undefined;
    for (const cache of ["use", "reloadAll"] as const) {
      const file = await fetchFile(plug, { url, location: own, cache });
      found = await checksumOf(file);
      if (found !== expected) continue;
      await Deno.rename(file, path);
      return path;
    }
    throw new Deno.errors.InvalidData(
      `Cannot use "${url}": its SHA-256 is ${
        found ?? "that of no file"
      }, should be ${expected}. Something between ` +
        `the registry and here alters it: try another network, and tell the maintainers. ${INSTEAD}`,
    );
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

/**
 * The package. Not written where it is imported: Deno would fetch it, and its graph, at every start of every program
 * that never downloads anything.
 */
const PLUG = "jsr:@denosaurs/plug@1";

async function importPlug(): Promise<Plug> {
  return await import(PLUG);
}

async function fetchFile(
  plug: () => Promise<Plug>,
  options: Parameters<Plug["download"]>[0],
): Promise<string> {
  try {
    const { download } = await plug();
    return await withoutLine(options.url, () => download(options));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Deno.errors.NotFound(
      `Cannot download "${options.url}": ${error instanceof Error ? error.message : error}. ${INSTEAD}`,
      { cause: error },
    );
  }
}

/** Keeps plug's line about a URL off stdout, which is the program's; what others print meanwhile passes. */
async function withoutLine<T>(url: string, run: () => Promise<T>): Promise<T> {
  const { log } = console;
  const filter = (...data: unknown[]): void => {
    if (!data.some((part) => typeof part === "string" && part.includes(url))) log(...data);
  };
  console.log = filter;
  try {
    return await run();
  } finally {
    if (console.log === filter) console.log = log; // unless somebody else has changed it since
  }
}

/** The SHA-256 of a file in hex; undefined where there is no such file. */
async function checksumOf(path: string): Promise<string | undefined> {
  try {
    const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
    return new Uint8Array(digest).toHex();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Our folder in Deno's cache. */
function cacheFolder(): string {
  const set = VARIABLES.map((variable) => {
    const { state } = Deno.permissions.querySync({ name: "env", variable });
    return state === "granted" ? Deno.env.get(variable) : undefined;
  });
  // A relative path would depend on the working directory, which takes another permission to learn.
  const [cache, xdg, home] = set.map((value) => value?.startsWith("/") === true ? value : undefined);
  if (cache !== undefined) return `${cache}/xpc-shmem`;
  if (Deno.build.os !== "darwin" && xdg !== undefined) return `${xdg}/deno/xpc-shmem`;
  if (home !== undefined) {
    return `${home}/${Deno.build.os === "darwin" ? "Library/Caches" : ".cache"}/deno/xpc-shmem`;
  }
  throw new Deno.errors.NotFound(
    `Cannot download the native library: no folder for it is known. Set one of ${
      VARIABLES.join(", ")
    } to an ` +
      `absolute path, and run with --allow-env=${VARIABLES.join()}. ${INSTEAD}`,
  );
}
