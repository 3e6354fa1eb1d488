import type { Library } from "../../ffi/load.ts";
import type { Address } from "../../ffi/types.ts";

/** The most address ranges that a realm keeps after their memory was given back. */
export const MAX_RETIRED_RANGES = 1024;

/** The most that these ranges add up to, in bytes of address space. */
const MAX_RETIRED_BYTES = 64 * 2 ** 30;

interface Range {
  readonly library: Library;
  readonly address: Address;
  readonly mapped: bigint;
}

/** The ranges that are kept, the oldest first. */
const ranges: Range[] = [];
let bytes = 0;

/**
 * Gives the memory of a mapping back and keeps its address range, which costs no memory. An asynchronous operation
 * (`file.read(view)`) goes on with the address that it was given when the view is detached: were the range free, the
 * next mapping would get it, and the operation would write there. Nothing tells when such an operation has ended, so
 * the oldest ranges are freed once there are too many.
 */
export function retire(library: Library, address: Address, mapped: bigint): void {
  // A range that the kernel refuses to replace stays as it is: unmapping it is what must not happen here.
  if (library.shim.shim_memory_retire(address, mapped) !== 0) return;
  ranges.push({ library, address, mapped });
  bytes += Number(mapped);
  while (ranges.length > MAX_RETIRED_RANGES || bytes > MAX_RETIRED_BYTES) {
    const oldest = ranges.shift();
    if (oldest === undefined) break;
    bytes -= Number(oldest.mapped);
    oldest.library.shim.shim_memory_close(oldest.address, oldest.mapped);
  }
}
