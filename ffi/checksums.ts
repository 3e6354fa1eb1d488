/**
 * The libraries that belong to this version, by target. Made by `deno task build --target all`; the loader
 * opens no downloaded library that is not in here.
 *
 * @module
 */

/** What is known of a library. */
export interface LibraryChecksum {
  /** The file's name. */
  readonly file: string;
  /** Its SHA-256, in hex. */
  readonly sha256: string;
  /** Its length. */
  readonly byteLength: number;
}

/** The libraries, by target. */
export const CHECKSUMS: Readonly<Record<string, LibraryChecksum>> = {
  "aarch64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "7d99aa4b702802699569b66407fe449e40fbfa97fc0490d0d374a9c35ddcf4eb",
    byteLength: 80208,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "db2946184c27202ce0d5faab0fdb3e974746afb9c2b027b4f76d454f53f0d1fa",
    byteLength: 40165,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "d84bf40f0a5b3596609a81f7436f9c5a14b3d10b405d86eddad56878f70b70fe",
    byteLength: 121120,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "d6d793a56eeba1ada9b19cb94339eac889642803e1b36cef196398924924a4aa",
    byteLength: 122312,
  },
};
