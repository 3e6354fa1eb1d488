/**
 * Where the sockets of services are on Linux. The library's C code in `ffi/native/linux/` owns the rule: it
 * finds the folder without any permission of Deno's. This copy is for programs that may read the file system: the doctor, which says
 * what is wrong with the folder, and the installer, which tells systemd where to listen. A test holds both together.
 *
 * @module
 */

/** The longest path of a socket on Linux, with its NUL. */
const PATH_SPACE = 108;

/** The permissions that a folder must not give to others: none at all, or none to write. */
const CLOSED = 0o077;
const NOT_WRITABLE = 0o022;

/** The runtime folder of this user, or what is wrong with it. */
export interface RuntimeFolder {
  /** The folder of the sockets. The library makes it if it is missing. */
  readonly path: string;
  /** The folder that it is in: `XDG_RUNTIME_DIR`, `/run/user/UID` or the home. */
  readonly base: string;
  /** Why the library cannot use it. */
  readonly fault?: string;
}

/**
 * Finds the runtime folder: in `XDG_RUNTIME_DIR` if that is set, else in `/run/user/UID` if that exists, else in the
 * home. A folder that breaks a rule is a fault and does not lead to the next one: other apps would look there.
 *
 * @returns the folder, also if it cannot be used
 */
export function findRuntimeFolder(): RuntimeFolder {
  const named = Deno.env.get("XDG_RUNTIME_DIR");
  const user = `/run/user/${Deno.uid()}`;
  const base = named !== undefined && named !== "" ? named : exists(user) ? user : undefined;
  if (base !== undefined) {
    const path = `${base}/xpc-shmem`;
    const fault = faultOf(base, CLOSED) ?? faultOfSockets(path);
    return { path, base, ...fault !== undefined && { fault } };
  }
  const home = Deno.env.get("HOME") ?? "";
  const path = `${home}/.xpc-shmem`;
  const fault = home === ""
    ? "neither XDG_RUNTIME_DIR nor HOME is set"
    : faultOf(home, NOT_WRITABLE) ?? faultOfSockets(path);
  return { path, base: home, ...fault !== undefined && { fault } };
}

/**
 * The file name of a service's socket.
 *
 * @param service the service
 * @param folder the runtime folder, whose length decides how much of the name fits
 * @returns the name, or, if it does not fit, its beginning and a hash
 */
export function socketName(service: string, folder: string): string {
  const isHidden = service.startsWith(".");
  if (!isHidden && folder.length + service.length + "/.sock".length + 1 <= PATH_SPACE) {
    return `${service}.sock`;
  }
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(service)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  const suffix = `-${hash.toString(16).padStart(16, "0")}`;
  const room = PATH_SPACE - folder.length - "/.sock".length - 1 - suffix.length;
  const plain = service.replace(/^\./, "_").slice(0, PATH_SPACE - 1);
  return `${plain.slice(0, Math.max(room, 0))}${suffix}.sock`;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Why a folder cannot be trusted. `shut` are the permissions that others must not have. */
function faultOf(path: string, shut: number): string | undefined {
  if (!path.startsWith("/")) return `${path} is not an absolute path`;
  try {
    const isHome = shut === NOT_WRITABLE;
    const { isDirectory, isSymlink, uid, mode } = (isHome ? Deno.statSync : Deno.lstatSync)(path);
    if (isSymlink) return `${path} is a symbolic link, which others may change`;
    if (!isDirectory) return `${path} is not a folder`;
    if (uid !== Deno.uid()) return `${path} belongs to user ${uid}`;
    if (((mode ?? 0) & shut) === 0) return undefined;
    return `others can ${isHome ? "write to" : "enter"} ${path} (mode 0${((mode ?? 0) & 0o777).toString(8)})`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `${path} does not exist`;
    throw error;
  }
}

/** Why the folder of the sockets cannot be used. The library makes a missing one. */
function faultOfSockets(path: string): string | undefined {
  if (path.length + "/-0123456789abcdef.sock".length + 1 > PATH_SPACE) {
    return `the path ${path} is too long for a socket's address`;
  }
  return exists(path) ? faultOf(path, CLOSED) : undefined;
}
