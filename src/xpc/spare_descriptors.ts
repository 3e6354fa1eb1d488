import type { Library } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";

/**
 * Whether this process can open so many more descriptors. It opens them for a moment, so that the answer is true for a
 * moment only. It is for those who would else fail half-way, or end the process: Deno aborts where it gets none.
 *
 * @param library the open libraries
 * @param open a descriptor that is open
 * @param count how many
 * @returns whether there were so many
 */
export function hasDescriptors(library: Library, open: number, count: number): boolean {
  const { xpc } = library;
  const held: XpcObject[] = [];
  while (held.length < count) {
    const duplicate = xpc.xpc_fd_create(open);
    if (duplicate === null) break;
    held.push(duplicate);
  }
  for (const duplicate of held) xpc.xpc_release(duplicate);
  return held.length === count;
}
