/**
 * What the doctor asks of the C library: to try what must fail. On Linux our library brings the C library
 * with it; on macOS it is part of libSystem.
 *
 * @module
 */
import { buffer, memory } from "./_ctypes.ts";
import type { Library } from "./load.ts";
import type { Address } from "./types.ts";

/** The symbol table of the C library. */
export const libc = {
  /** `address`, `length`, `protection` */
  mprotect: { parameters: [memory, "u64", "i32"], result: "i32" },
  /** `resource`, `limit` */
  setrlimit: { parameters: ["i32", buffer], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The same on both systems. */
const PROT_READ = 1;
const PROT_WRITE = 2;
const RLIMIT_CORE = 4;

/** The functions of the C library; open until the realm ends. */
export class CLibrary {
  readonly #symbols: Deno.StaticForeignLibraryInterface<typeof libc>;

  /** @param library the libraries that are open */
  constructor(library: Library) {
    this.#symbols =
      Deno.dlopen(Deno.build.os === "darwin" ? "/usr/lib/libSystem.B.dylib" : library.path, libc).symbols;
  }

  /**
   * Asks the kernel to make memory writable.
   *
   * @param view of whole pages
   * @returns whether it did
   */
  makeWritable(view: Uint8Array<ArrayBuffer>): boolean {
    const address = Deno.UnsafePointer.of(view) as Address;
    return this.#symbols.mprotect(address, BigInt(view.byteLength), PROT_READ | PROT_WRITE) === 0;
  }

  /** Has this process leave no file when it dies. */
  forgoCoreDump(): void {
    this.#symbols.setrlimit(RLIMIT_CORE, new Uint8Array(16));
  }
}
