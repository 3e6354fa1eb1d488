import type { Library } from "../../ffi/load.ts";
import { handleAt } from "../../ffi/memory.ts";
import type { Address } from "../../ffi/types.ts";
import { inWords } from "../xpc/in_words.ts";
import { retire } from "./retired.ts";

/** What must be undone when a mapping ends; the native side of a mapping. */
export interface Native {
  readonly library: Library;
  readonly address: Address;
  readonly mapped: bigint;
  readonly fd: number;
}

/** Closes the descriptor that is handed out; the mapping does not need it. */
export function closeDescriptor({ library, fd }: Native): void {
  if (fd >= 0) library.shim.shim_descriptor_close(fd);
}

/** Ends memory that no view was ever made of: nothing can know its address. */
export function unmap(native: Native): void {
  native.library.shim.shim_memory_close(native.address, native.mapped);
  closeDescriptor(native);
}

/** Ends memory that views were made of, and that none of them reaches any more. */
export function retireViewed(native: Native): void {
  retire(native.library, native.address, native.mapped);
  closeDescriptor(native);
}

/** Checks a length before anything is asked of the kernel. */
export function checkLength(library: Library, doing: string, byteLength: number): void {
  if (typeof byteLength !== "number") {
    throw new TypeError(
      `Cannot ${doing}: byteLength must be a number, current value is ${inWords(byteLength)}`,
    );
  }
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0) {
    throw new RangeError(`Cannot ${doing} of ${byteLength} bytes: byteLength must be an integer above 0`);
  }
  const physical = Number(library.shim.shim_memory_physical());
  if (physical > 0 && byteLength > physical) {
    throw new RangeError(
      `Cannot ${doing} of ${byteLength} bytes: this machine has ${physical} bytes of memory and swap`,
    );
  }
}

/**
 * Calls a function that fills a `shim_mapping`.
 *
 * @param call the function
 * @param explain says what failed
 */
export function take(
  library: Library,
  call: (out: Uint8Array<ArrayBuffer>) => number,
  explain: (result: number) => string,
): Native {
  const out = new Uint8Array(24);
  const result = call(out);
  if (result !== 0) throw new RangeError(explain(result));
  const view = new DataView(out.buffer);
  const address = handleAt<Address>(view, 0);
  if (address === null) throw new RangeError(explain(-12)); // no kernel gives us page 0
  return { library, address, mapped: view.getBigUint64(8, true), fd: Number(view.getBigInt64(16, true)) };
}
