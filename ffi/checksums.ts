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
    sha256: "0e3e0b29bf9642aba6e7d156e2219cf4bb575c24de85a1f13a162074f9c45fe1",
    byteLength: 99488,
  },
  "x86_64-macos": {
    file: "libxpc_shmem.dylib",
    sha256: "80ecffd78c9e18cb49ebaacadcaa4e50c1ba76d9090cb0ea475b0c8aa2161706",
    byteLength: 55249,
  },
  "x86_64-linux": {
    file: "libxpc_shmem.so",
    sha256: "ade8a5a87850a4bd9ac86c8977adb3260d4714085e09b04aeb52f227773949ad",
    byteLength: 137552,
  },
  "aarch64-linux": {
    file: "libxpc_shmem.so",
    sha256: "93d520b8a82093b6c6643c9b44f401b7e53da5ecb6aae1da1742a21bf83661bb",
    byteLength: 137808,
  },
};
