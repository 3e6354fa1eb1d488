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
    sha256: "ac2b147e2eae254fb76d5e261d4321793300e60aeb2cb9131f613b2c5852064f",
    byteLength: 141776,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "4e8745c7e8827d3542d093df4e7535b4063710f02205dacb95727d79f1411ee7",
    byteLength: 100218,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "5387e7984e86738958ea1e5bb775972e7eb53649f45582c33f9b2e208efdabb8",
    byteLength: 187840,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "3ac61ccd4a629baebe65ce9901f482d53ebf886bc5ad5d1b6e6542cc5ab6d2b3",
    byteLength: 185512,
  },
};
