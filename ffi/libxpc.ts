/**
 * The functions and constants of libxpc that the library calls, from `<xpc/xpc.h>` and
 * `<xpc/connection.h>`. Each is compared with Apple's headers by `deno task check:abi`.
 *
 * @module
 */
import { buffer, chars, dispatchQueue, object, type } from "./_ctypes.ts";

/** The symbol table of libxpc. */
export const libxpc = {
  // Objects
  xpc_retain: { parameters: [object], result: object },
  xpc_release: { parameters: [object], result: "void" },
  xpc_get_type: { parameters: [object], result: type },
  xpc_null_create: { parameters: [], result: object },
  xpc_bool_create: { parameters: ["bool"], result: object },
  xpc_bool_get_value: { parameters: [object], result: "bool" },
  xpc_int64_create: { parameters: ["i64"], result: object },
  xpc_int64_get_value: { parameters: [object], result: "i64" },
  xpc_uint64_create: { parameters: ["u64"], result: object },
  xpc_uint64_get_value: { parameters: [object], result: "u64" },
  xpc_double_create: { parameters: ["f64"], result: object },
  xpc_double_get_value: { parameters: [object], result: "f64" },
  /** `interval`: nanoseconds since 1970 */
  xpc_date_create: { parameters: ["i64"], result: object },
  xpc_date_get_value: { parameters: [object], result: "i64" },
  /** `bytes`, `length` */
  xpc_data_create: { parameters: [buffer, "usize"], result: object },
  xpc_data_get_length: { parameters: [object], result: "usize" },
  /** interior: valid while the object is */
  xpc_data_get_bytes_ptr: { parameters: [object], result: "pointer" },
  /** `string`: UTF-8, NUL-terminated */
  xpc_string_create: { parameters: [buffer], result: object },
  xpc_string_get_length: { parameters: [object], result: "usize" },
  xpc_string_get_string_ptr: { parameters: [object], result: chars },
  /** `uuid`: 16 bytes */
  xpc_uuid_create: { parameters: [buffer], result: object },
  xpc_uuid_get_bytes: { parameters: [object], result: "pointer" },
  /** dups; NULL for a bad descriptor */
  xpc_fd_create: { parameters: ["i32"], result: object },
  /** a new descriptor, or -1 */
  xpc_fd_dup: { parameters: [object], result: "i32" },
  /** `region`, `length`: aborts on memory that cannot be shared */
  xpc_shmem_create: { parameters: ["pointer", "usize"], result: object },
  /** `connection`: one that a create function made */
  xpc_endpoint_create: { parameters: [object], result: object },

  // Arrays and dictionaries
  /** `objects` NULL, `count` 0 */
  xpc_array_create: { parameters: ["pointer", "usize"], result: object },
  xpc_array_append_value: { parameters: [object, object], result: "void" },
  xpc_array_get_count: { parameters: [object], result: "usize" },
  /** an index out of range is undefined behaviour */
  xpc_array_get_value: { parameters: [object, "usize"], result: object },
  /** `keys` NULL, `values` NULL, `count` 0 */
  xpc_dictionary_create: { parameters: ["pointer", "pointer", "usize"], result: object },
  /** `key`: copied; `value`: retained */
  xpc_dictionary_set_value: { parameters: [object, buffer, object], result: "void" },
  xpc_dictionary_get_count: { parameters: [object], result: "usize" },
  /** NULL where no reply is awaited, and on a second call */
  xpc_dictionary_create_reply: { parameters: [object], result: object },

  // Connections
  /** before activation only */
  xpc_connection_set_target_queue: { parameters: [object, dispatchQueue], result: "void" },
  xpc_connection_get_pid: { parameters: [object], result: "i32" },
  xpc_connection_get_euid: { parameters: [object], result: "u32" },
  xpc_connection_get_egid: { parameters: [object], result: "u32" },

  xpc_transaction_begin: { parameters: [], result: "void" },
  xpc_transaction_end: { parameters: [], result: "void" },

  // The addresses of the types' constants
  _xpc_type_null: { type },
  _xpc_type_bool: { type },
  _xpc_type_int64: { type },
  _xpc_type_uint64: { type },
  _xpc_type_double: { type },
  _xpc_type_date: { type },
  _xpc_type_data: { type },
  _xpc_type_string: { type },
  _xpc_type_uuid: { type },
  _xpc_type_fd: { type },
  _xpc_type_shmem: { type },
  _xpc_type_endpoint: { type },
  _xpc_type_array: { type },
  _xpc_type_dictionary: { type },
} as const satisfies Deno.ForeignLibraryInterface;

/** Values that a first connection does not send or receive: what makes and reads them is bound when it is needed. */
export const LIBXPC_LATER: ReadonlySet<keyof typeof libxpc> = new Set([
  "xpc_int64_create",
  "xpc_double_create",
  "xpc_double_get_value",
  "xpc_date_create",
  "xpc_date_get_value",
  "xpc_data_create",
  "xpc_data_get_length",
  "xpc_data_get_bytes_ptr",
  "xpc_uuid_create",
  "xpc_uuid_get_bytes",
  "xpc_fd_dup",
  "xpc_array_append_value",
  "xpc_array_get_value",
  "xpc_transaction_begin",
  "xpc_transaction_end",
]);
