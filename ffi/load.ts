/**
 * Opens the native libraries, once for each realm and only when something needs them.
 *
 * @module
 */
import { libdispatch } from "./libdispatch.ts";
import { Binder } from "./bind.ts";
import { libxpc, LIBXPC_LATER } from "./libxpc.ts";
import { shim, SHIM_LATER } from "./shim.ts";
import { hostTarget, type Target } from "./targets.ts";

/** The version of `shim.h` that the tables here describe. */
const SHIM_VERSION = 3;

/** The open libraries: their functions, ready to call. */
export interface Library {
  /** libxpc. */
  readonly xpc: Deno.StaticForeignLibraryInterface<typeof libxpc>;
  /** libdispatch. */
  readonly dispatch: Deno.StaticForeignLibraryInterface<typeof libdispatch>;
  /** The shim. */
  readonly shim: Deno.StaticForeignLibraryInterface<typeof shim>;
  /** Where the shim was found. */
  readonly path: string;
}

let loading: Promise<Library> | undefined;

/**
 * Opens the libraries, or gives those that are open. They stay open until the realm ends: a call into a
 * closed library would crash the process.
 *
 * @returns the libraries
 * @throws {Deno.errors.NotSupported} if there is no library for this system
 * @throws {Deno.errors.NotFound} if no library could be opened; the message lists what was tried
 * @throws {Deno.errors.InvalidData} if what was downloaded is not the library of this version
 * @throws {Deno.errors.NotCapable} if `--allow-ffi` is missing
 */
export function load(): Promise<Library> {
  loading ??= open().catch((error) => {
    loading = undefined; // the next call may find what is missing now
    throw error;
  });
  return loading;
}

async function open(): Promise<Library> {
  const target = hostTarget();
  if (target === undefined) {
    throw new Deno.errors.NotSupported(
      `Cannot load @xpc/shmem on ${Deno.build.os} ${Deno.build.arch}: it runs on macOS and Linux, arm64 and x64`,
    );
  }
  const path = await locate(target);
  try {
    return openLibraries(path, target);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const named = environment("XPC_SHMEM_LIBRARY");
    throw new Deno.errors.NotFound(
      `Cannot open the native library. Tried XPC_SHMEM_LIBRARY: ${named ?? "not set, or not readable"}; ` +
        `"${path}": ${error instanceof Error ? error.message : error}. ` +
        `In a checkout, run "deno task build"; to use a library of your own, set XPC_SHMEM_LIBRARY to its path`,
      { cause: error },
    );
  }
}

/** Where the shim's library is: named by the environment, built in this checkout, or downloaded. */
async function locate(target: Target): Promise<string> {
  const named = environment("XPC_SHMEM_LIBRARY");
  if (named !== undefined && named !== "") return named;
  const here = new URL(`../.build/${target.name}/${target.library}`, import.meta.url);
  if (here.protocol === "file:") return decodeURIComponent(here.pathname);
  // Also over http, where a registry of one's own is: the checksum decides, not the way it came.
  const { download } = await import("./download.ts");
  return await download(target);
}

/** An environment variable, where we may read it: the library must run without `--allow-env`. */
function environment(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

function openLibraries(path: string, target: Target): Library {
  const isAllowed = (descriptor: Deno.FfiPermissionDescriptor): boolean => {
    return Deno.permissions.querySync(descriptor).state === "granted";
  };
  if (!isAllowed({ name: "ffi" }) && isAllowed({ name: "ffi", path })) {
    throw new Deno.errors.NotCapable(
      `Cannot use the native library with --allow-ffi=${path}: mapped memory has no path. Run Deno with --allow-ffi`,
    );
  }
  // The system's libraries are in no file on macOS; on Linux the library brings them with it.
  const system = target.os === "macos" ? "/usr/lib/libSystem.B.dylib" : path;
  const binder = new Binder();
  const native = binder.bind(path, shim, SHIM_LATER);
  const version = native.shim_version();
  if (version !== SHIM_VERSION) {
    throw new TypeError(`it has version ${version} of the shim, this package needs ${SHIM_VERSION}`);
  }
  return {
    xpc: binder.bind(system, libxpc, LIBXPC_LATER),
    dispatch: Deno.dlopen(system, libdispatch).symbols,
    shim: native,
    path,
  };
}
