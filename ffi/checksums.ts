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
    sha256: "15b4f02d310263f957cc011b3576c7ab32b7f3b5eba1e8512a3202f9df21d54b",
    byteLength: 79952,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "36ffeba5e57d89aaa642619ad400706ba2c42fe67829a089525b563306a5b9d6",
    byteLength: 39944,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "a07f5f56f309414d2c12c1f7f4b3d2549083b71dce1f7c7214075c79cb71836e",
    byteLength: 117360,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "3f1ed546347984867729863a1181f22232852a7d03fb11c4e7924a7ef6f296de",
    byteLength: 119168,
  },
};
