/**
 * Downloads the native library for a package that was imported from a registry, where there is no checkout to build it
 * in. The package serves its own libraries, plug downloads them, and only a library whose checksum is in the table is
 * opened.
 *
 * plug writes to a path that it derives from the URL, and does not write atomically. Two apps that start at once would
 * overwrite a library that the other has already mapped. So each download goes to a folder of its own. A library whose
 * checksum is right is then renamed to its final path, which contains the checksum.
 *
 * @module
 */
import { hideLogLines, importPlug, type Plug } from "./plug.ts";
import { CHECKSUMS, type LibraryChecksum } from "./checksums.ts";
import type { Target } from "./targets.ts";

/** Options of {@linkcode download}. */
export interface DownloadOptions {
  /** The URL that the library's path is relative to. By default that of this module. */
  base?: string | undefined;
  /** The checksums. By default those of this version. */
  checksums?: Readonly<Record<string, LibraryChecksum>> | undefined;
  /** The folder for downloaded libraries. By default one in Deno's cache. */
  folder?: string | undefined;
  /** Loads plug. By default imports it from JSR. */
  plug?: (() => Promise<Plug>) | undefined;
}

/** The environment variables that determine Deno's cache. The first that is set and may be read decides. */
const VARIABLES = ["DENO_DIR", "XDG_CACHE_HOME", "HOME"] as const;

const INSTEAD = "To use a library that you have, set XPC_SHMEM_LIBRARY to its path";

/**
 * Returns the path of the library for a target, once the file there has the right checksum. Downloads the library if the
 * cache has none, or a truncated or altered one.
 *
 * @param target the system that the library is for
 * @param options where to download from and to
 * @returns the path
 * @throws {Deno.errors.InvalidData} if the server's file is not the library of this version
 * @throws {Deno.errors.NotFound} if no folder for it is known, or the download fails
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
      `Cannot use "${url}": ${
        describeChecksum(found)
      }, want ${expected}. Something between the registry and here ` +
        `alters the file: try another network, and tell the maintainers. ${INSTEAD}`,
    );
  } finally {
    await Deno.remove(own, { recursive: true });
  }
}

async function fetchFile(
  plug: () => Promise<Plug>,
  options: Parameters<Plug["download"]>[0],
): Promise<string> {
  try {
    const { download } = await plug();
    using _ = hideLogLines(options.url);
    return await download(options);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new Deno.errors.NotFound(
      `Cannot download "${options.url}": ${error instanceof Error ? error.message : error}. ${INSTEAD}`,
      { cause: error },
    );
  }
}

function describeChecksum(found: string | undefined): string {
  return found === undefined ? "the downloaded file is missing" : `its SHA-256 is ${found}`;
}

/** The SHA-256 of a file in hex; `undefined` if there is no such file. */
async function checksumOf(path: string): Promise<string | undefined> {
  try {
    const digest = await crypto.subtle.digest("SHA-256", await Deno.readFile(path));
    return new Uint8Array(digest).toHex();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The package's folder in Deno's cache. */
function cacheFolder(): string {
  const set = VARIABLES.map((variable) => {
    const { state } = Deno.permissions.querySync({ name: "env", variable });
    return state === "granted" ? Deno.env.get(variable) : undefined;
  });
  // A relative path is ignored: it depends on the working directory, and reading that needs one more permission.
  const [cache, xdg, home] = set.map((value) => value?.startsWith("/") === true ? value : undefined);
  if (cache !== undefined) return `${cache}/xpc-shmem`;
  if (Deno.build.os !== "darwin" && xdg !== undefined) return `${xdg}/deno/xpc-shmem`;
  if (home !== undefined) {
    return `${home}/${Deno.build.os === "darwin" ? "Library/Caches" : ".cache"}/deno/xpc-shmem`;
  }
  throw new Deno.errors.NotFound(
    "Cannot download the native library: no folder for it is known. " +
      `Set one of ${
        VARIABLES.join(", ")
      } to an absolute path, and run with --allow-env=${VARIABLES.join()}. ${INSTEAD}`,
  );
}
