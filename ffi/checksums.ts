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
    sha256: "ccf0cdb0930aed92a43634a9cdcfd3cf244fe8e316a5e69797c1abd0979ec932",
    byteLength: 99488,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "58a83fd934ccf45ffd7db37a772302328016ba02a829e92b898e403e5c8472b4",
    byteLength: 55214,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "f011a74c9b84168a7f57a5f611d5caef027fc6628ccf18c555096eb190392738",
    byteLength: 137920,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "6e5fa1e4cb38829ce1a94a8b3bd3e15dce0e20d9d89d76cc54321e09c637afc4",
    byteLength: 138368,
  },
};
