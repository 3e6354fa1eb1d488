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
    sha256: "274a703e9192fa5a570a424874a711f478900e0520767a25a45225d94dca4e66",
    byteLength: 141808,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "a7556d870032044328ab237a0d4d90a7ecd5f23bba5ef6fdf58a08984d31ba79",
    byteLength: 100249,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "2b2bc1779859fb0fcf61009ae4d4acdcf68b4577e4c8bc9ef5d116f197208286",
    byteLength: 187856,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "f3c94f311d5e8d4d4453a75aebba0e3e9a116335f068d4cd424cc8ac721c5b88",
    byteLength: 185416,
  },
};
