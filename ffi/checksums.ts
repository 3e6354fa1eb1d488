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
    sha256: "3fe22b66af607ee27f400956603e30d9f71285c6d05a5c29d342b2f4e7dc8dc4",
    byteLength: 78304,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "1bc4d39661f7c7817fcad56739e35f316b928db5edf7304ae67ce5f3d62ac9b8",
    byteLength: 34405,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "21e22b5420035bf8b158fbf34ad33156a4466967e0a03fbee3743a24f24525f1",
    byteLength: 105320,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "714c9188fdc0740123d2f7eac3263d698f5bdbafce68d552a9beefbe3eac25ee",
    byteLength: 107400,
  },
};
