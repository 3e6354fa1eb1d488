/**
 * The systems that there is a native library for. Without imports: the loader, which ships, needs it too.
 *
 * @module
 */

/** The name of a target, as in `.build/<target>/` and on the command line of the build. */
export type TargetName = "aarch64-macos" | "x86_64-macos" | "x86_64-linux" | "aarch64-linux";

/** A system to build for. */
export interface Target {
  /** The name. */
  readonly name: TargetName;
  /** The operating system, as the C compiler spells it. */
  readonly os: "macos" | "linux";
  /** The processor, as `Deno.build.arch` spells it. */
  readonly arch: "aarch64" | "x86_64";
  /** The compiler's target, with the oldest version of the system that the library runs on. */
  readonly triple: string;
  /** The file name of the library. */
  readonly library: string;
  /** The file name of the static archive of the blocks runtime, where the system has none of its own. */
  readonly archive: string | undefined;
}

/** The oldest macOS that is supported. Symbols that are newer must be optional in the FFI tables. */
export const OLDEST_MACOS = "13.0";

/** The newest glibc that a Linux library may ask for: that of RHEL 8, Debian 10, Ubuntu 18.10. */
export const OLDEST_GLIBC = "2.28";

function macos(arch: Target["arch"]): Target {
  return {
    name: `${arch}-macos`,
    os: "macos",
    arch,
    triple: `${arch}-macos.${OLDEST_MACOS}`,
    library: "libxpc_shmem.dylib",
    archive: undefined,
  };
}

function linux(arch: Target["arch"]): Target {
  return {
    name: `${arch}-linux`,
    os: "linux",
    arch,
    triple: `${arch}-linux-gnu.${OLDEST_GLIBC}`,
    library: "libxpc_shmem.so",
    archive: "libxpc_blocks.a",
  };
}

/** Every target, by name. */
export const TARGETS: Readonly<Record<TargetName, Target>> = {
  "aarch64-macos": macos("aarch64"),
  "x86_64-macos": macos("x86_64"),
  "x86_64-linux": linux("x86_64"),
  "aarch64-linux": linux("aarch64"),
};

/** Whether a string is the name of a target. */
export function isTargetName(name: string): name is TargetName {
  return Object.hasOwn(TARGETS, name);
}

/**
 * The target that this process runs on.
 *
 * @returns the target, or `undefined` where there is no library for this system
 */
export function hostTarget(): Target | undefined {
  const os = Deno.build.os === "darwin" ? "macos" : Deno.build.os;
  const name = `${Deno.build.arch}-${os}`;
  return isTargetName(name) ? TARGETS[name] : undefined;
}
