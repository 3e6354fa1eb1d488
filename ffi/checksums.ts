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
    sha256: "914e173661c7c20f31e418d3ffa9563d0309d474dd4024876653603643970d85",
    byteLength: 81424,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "3d1ba68767df89c24565a949ee03d50e1fff8228dbade3a07238f59570ec809b",
    byteLength: 45470,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "115af5b3e2bc96c2a3942bb4978c47893f53c679192a64c7688e62a1c7ecf79f",
    byteLength: 124784,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "a319cbeee453ab074662ccc34b88fe24967e40063b52149cccb7d93082f224bf",
    byteLength: 126992,
  },
};
