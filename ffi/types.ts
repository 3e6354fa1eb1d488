/**
 * Names for the C types that cross the FFI, each a type of its own, so that a queue cannot be passed where a
 * link is wanted. Above `ffi/` they are opaque handles.
 *
 * @module
 */

declare const brand: unique symbol;

/** A pointer to C's `Name`. */
export type Handle<Name extends string> = Deno.PointerObject<{ readonly [brand]: Name }>;

/** `xpc_object_t`: any XPC object. */
export type XpcObject = Handle<"xpc_object">;
/** `xpc_type_t`: the address of a type's constant. */
export type XpcType = Handle<"xpc_type">;
/** `dispatch_queue_t`. */
export type DispatchQueue = Handle<"dispatch_queue">;
/** `shim_queue *`. */
export type ShimQueue = Handle<"shim_queue">;
/** `shim_link *`. */
export type ShimLink = Handle<"shim_link">;
/** `shim_owner *`. */
export type ShimOwner = Handle<"shim_owner">;
/** `shim_audience *`. */
export type ShimAudience = Handle<"shim_audience">;
/** `shim_stream_writer *`. */
export type ShimStreamWriter = Handle<"shim_stream_writer">;
/** `shim_stream_reader *`. */
export type ShimStreamReader = Handle<"shim_stream_reader">;
/** `shim_ring *`. */
export type ShimRing = Handle<"shim_ring">;
/** `shim_lock *`. */
export type ShimLock = Handle<"shim_lock">;
/** `shim_share *`. */
export type ShimShare = Handle<"shim_share">;
/** `shim_seat *`. */
export type ShimSeat = Handle<"shim_seat">;
/** `shim_locks *`. */
export type ShimLocks = Handle<"shim_locks">;
/** An address in mapped memory. */
export type Address = Handle<"memory">;
/** A NUL-terminated string of C. */
export type CString = Handle<"char">;
