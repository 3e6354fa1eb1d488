/**
 * FFI types with the names that C gives them.
 *
 * @module
 */
import type {
  Address,
  CString,
  DispatchQueue,
  ShimAudience,
  ShimLink,
  ShimLock,
  ShimLocks,
  ShimOwner,
  ShimQueue,
  ShimRing,
  ShimSeat,
  ShimShare,
  ShimStreamReader,
  ShimStreamWriter,
  XpcObject,
  XpcType,
} from "./types.ts";

type Typed<T extends Deno.PointerObject> = Deno.NativeTypedPointer<T>;

/** `xpc_object_t` and the types that derive from it. */
export const object = "pointer" as Typed<XpcObject>;
/** `xpc_type_t` */
export const type = "pointer" as Typed<XpcType>;
/** `dispatch_queue_t` */
export const dispatchQueue = "pointer" as Typed<DispatchQueue>;
/** `shim_queue *` */
export const queue = "pointer" as Typed<ShimQueue>;
/** `shim_link *` */
export const link = "pointer" as Typed<ShimLink>;
/** `shim_audience *` */
export const audience = "pointer" as Typed<ShimAudience>;
/** `shim_owner *` */
export const owner = "pointer" as Typed<ShimOwner>;
/** `shim_stream_writer *` */
export const streamWriter = "pointer" as Typed<ShimStreamWriter>;
/** `shim_stream_reader *` */
export const streamReader = "pointer" as Typed<ShimStreamReader>;
/** `shim_ring *` */
export const ring = "pointer" as Typed<ShimRing>;
/** `shim_lock *` */
export const lock = "pointer" as Typed<ShimLock>;
/** `shim_share *` */
export const share = "pointer" as Typed<ShimShare>;
/** `shim_seat *` */
export const seat = "pointer" as Typed<ShimSeat>;
/** `shim_locks *` */
export const locks = "pointer" as Typed<ShimLocks>;
/** `void *` into mapped memory */
export const memory = "pointer" as Typed<Address>;
/** `const char *` that C owns */
export const chars = "pointer" as Typed<CString>;
/** a pointer to memory of JavaScript's, valid during the call */
export const buffer = "buffer";
