/**
 * The functions of libdispatch that the library calls, from `<dispatch/dispatch.h>`.
 *
 * @module
 */
import { buffer, dispatchQueue } from "./_ctypes.ts";

/** The symbol table of libdispatch. */
export const libdispatch = {
  /** `label`: a C string, copied; `attr` NULL: serial */
  dispatch_queue_create: { parameters: [buffer, "pointer"], result: dispatchQueue },
  /** `object` */
  dispatch_release: { parameters: [dispatchQueue], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;
