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
    sha256: "191eaa84ee12874220748b79a5c505f224fb8ee79aff80028c251aac9d49d04b",
    byteLength: 137216,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "a4a0d9523f57e30c34b3e0653355827861ca6ef1b4d4b21bae83d5eb83d71d33",
    byteLength: 137616,
  },
};
