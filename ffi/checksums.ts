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
    sha256: "5a6b0a2b58c3ea4a39c9844fa18e91c31d54aa87b978d298d9e4e1f2ee976146",
    byteLength: 78288,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "f9bae8a7e38a0df9a8b41b030202f08753ab22461e34ea575e708a7d347d6994",
    byteLength: 34406,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "242eea8dc02026ea74c30cc12ceaba0cb605244d4887fd33acccfa300f87c007",
    byteLength: 106864,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "4c11600a40ed25845e9ce13f74c669d45b56d9725f5082b50d6bf078ef34f8a9",
    byteLength: 109160,
  },
};
