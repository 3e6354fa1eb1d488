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
    sha256: "50c7053817ac43bc2e0fe05592fed936dd4406562a9b6495d41fcd50d6267f9b",
    byteLength: 81568,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "d2add0e80898875d67393674e056c2c108055e09217210bf97289cfb1a6b14b3",
    byteLength: 49688,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "df2f8c86c4fdafe4dd8180a171a6cbccfdbfef9a6a1f53ec71a6bfa7f5dadd73",
    byteLength: 129856,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "b9c88e371c38fd8a228dd28c1d88290143068a104b134046bd20062b19b05329",
    byteLength: 129896,
  },
};
