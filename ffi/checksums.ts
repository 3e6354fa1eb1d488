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
    sha256: "99c89e3357782faad9e2b264236b65e42d417b7aaa212fce0a47644ae7de87af",
    byteLength: 100768,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "3e548c43005df055c446cfa0e7b5bdc5a47dadbe215db608ec88699944472769",
    byteLength: 60553,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "609c45392210fb93b9cd095baba9db817b868979283606b54d0db43c75dafc90",
    byteLength: 143312,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "f3d63b2154b9d5eb74d40342e0e422d7f530c768261920c5931615e4f81a3f1d",
    byteLength: 143464,
  },
};
