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
    sha256: "ae8e17121b92bf6bdf254f861b598f85085da1901c729482ac17a0e1d2d97e72",
    byteLength: 141776,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "4e10f312fdd487f1f57daeb3384b6cc28aa6d6ad69146d47b8f6df2df89eb9c9",
    byteLength: 100218,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "8810e7d1eaa56139d90e303a32d80667e4b64e427e4d4c8bda29b8fde5c65b01",
    byteLength: 187840,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "1bbf604f8e76c51a1c010ede18b5e8c8f69ec55d4adec69d3c6a7eb8139df594",
    byteLength: 185512,
  },
};
