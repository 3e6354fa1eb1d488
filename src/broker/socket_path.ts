/** The longest path of a socket on Linux, with its NUL. */
const PATH_SPACE = 108;

/**
 * The directory of the sockets on Linux, as `ffi/native/linux/runtime_folder.c` finds it: in the user's runtime
 * directory, or, where there is none, in the home directory.
 */
export function socketDirectory(): string {
  const runtime = runtimeDirectory();
  return runtime === undefined ? `${Deno.env.get("HOME")}/.xpc-shmem` : `${runtime}/xpc-shmem`;
}

/** The user's runtime directory, if it is there and nobody else can enter it. */
export function runtimeDirectory(): string | undefined {
  const named = Deno.env.get("XDG_RUNTIME_DIR");
  return [named, `/run/user/${Deno.uid()}`].find((path) => path?.startsWith("/") && isPrivate(path));
}

/** The name of a service's socket in `directory`: its own, or, where that is too long, cut and with a hash. */
export function socketName(service: string, directory: string): string {
  const changed = service.startsWith(".");
  if (!changed && directory.length + service.length + "/.sock".length + 1 <= PATH_SPACE) {
    return `${service}.sock`;
  }
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(service)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  const suffix = `-${hash.toString(16).padStart(16, "0")}`;
  const room = PATH_SPACE - directory.length - "/.sock".length - 1 - suffix.length;
  const plain = service.replace(/^\./, "_").slice(0, PATH_SPACE - 1);
  return `${plain.slice(0, Math.max(room, 0))}${suffix}.sock`;
}

/** Where the socket of a service is on Linux. */
export function serviceSocketPath(service: string): string {
  const directory = socketDirectory();
  return `${directory}/${socketName(service, directory)}`;
}

function isPrivate(path: string): boolean {
  try {
    const { isDirectory, uid, mode } = Deno.lstatSync(path);
    return isDirectory && uid === Deno.uid() && ((mode ?? 0) & 0o077) === 0;
  } catch {
    return false; // not there: another is used
  }
}
