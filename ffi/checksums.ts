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
    sha256: "0921740c54b8a65edfc53ba489ff0e9300bcda29b685d722fbf1fdcff2fc988c",
    byteLength: 140384,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "22c8a627fafb730cdc97285a614f4d3ab82ebf63a4fa82f69f1f2fc95411506b",
    byteLength: 94766,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "ef6302821eea5d260b7b05da46a9fcc941bc1881bb5abe38a5e59f92748fdd06",
    byteLength: 180704,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "702b43420e687d766389c3f5e5589158884a951fe5943ae5610dabf4999256bf",
    byteLength: 178736,
  },
};
