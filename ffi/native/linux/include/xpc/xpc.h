/*
 * xpc/xpc.h: XPC for Linux: objects. The names, types and ownership are those of Apple's libxpc, of which
 * this is a part; xpc/linux.h has what is beyond it.
 *
 * This is a C API in its own right: a program in C that was written for this part of Apple's XPC compiles
 * against it unchanged (clang -fblocks; link libxpc_shmem.so, and libxpc_blocks.a where the program has no blocks
 * runtime). So it has functions that @xpc/shmem itself never calls.
 *
 * Ownership: what `create` and `copy` give belongs to the caller (+1, xpc_release); what `get` gives belongs
 * to its container. Setters retain values and copy keys and bytes. Getters of a wrong type or a missing
 * key give 0, false, NULL, NaN or -1. Functions that change an object, or need a connection, abort the
 * process when the object is of another type. Objects may be used by several threads, containers only
 * while nobody changes them.
 */
#ifndef __XPC_H__
#define __XPC_H__

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <dispatch/dispatch.h>
#include <xpc/base.h>

XPC_BEGIN_DECLS
XPC_ASSUME_NONNULL_BEGIN

/* The same as <uuid/uuid.h> has, without needing it. */
typedef unsigned char uuid_t[16];

typedef const struct _xpc_type_s *xpc_type_t;
typedef void *xpc_object_t;

#define XPC_TYPE(type) const struct _xpc_type_s type
#define XPC_DECL(name) typedef struct _##name##_s *name##_t
#define XPC_GLOBAL_OBJECT(object) (&(object))

#ifdef __BLOCKS__
typedef void (^xpc_handler_t)(xpc_object_t object);
#endif

XPC_DECL(xpc_connection);
XPC_DECL(xpc_endpoint);
typedef void (*xpc_connection_handler_t)(xpc_connection_t connection);

/* ------------------------------------------------------------------------------------------ types ---- */

#define XPC_TYPE_CONNECTION (&_xpc_type_connection)
XPC_EXPORT XPC_TYPE(_xpc_type_connection);
#define XPC_TYPE_ENDPOINT (&_xpc_type_endpoint)
XPC_EXPORT XPC_TYPE(_xpc_type_endpoint);
#define XPC_TYPE_NULL (&_xpc_type_null)
XPC_EXPORT XPC_TYPE(_xpc_type_null);
#define XPC_TYPE_BOOL (&_xpc_type_bool)
XPC_EXPORT XPC_TYPE(_xpc_type_bool);
#define XPC_TYPE_INT64 (&_xpc_type_int64)
XPC_EXPORT XPC_TYPE(_xpc_type_int64);
#define XPC_TYPE_UINT64 (&_xpc_type_uint64)
XPC_EXPORT XPC_TYPE(_xpc_type_uint64);
#define XPC_TYPE_DOUBLE (&_xpc_type_double)
XPC_EXPORT XPC_TYPE(_xpc_type_double);
#define XPC_TYPE_DATE (&_xpc_type_date)
XPC_EXPORT XPC_TYPE(_xpc_type_date);
#define XPC_TYPE_DATA (&_xpc_type_data)
XPC_EXPORT XPC_TYPE(_xpc_type_data);
#define XPC_TYPE_STRING (&_xpc_type_string)
XPC_EXPORT XPC_TYPE(_xpc_type_string);
#define XPC_TYPE_UUID (&_xpc_type_uuid)
XPC_EXPORT XPC_TYPE(_xpc_type_uuid);
#define XPC_TYPE_FD (&_xpc_type_fd)
XPC_EXPORT XPC_TYPE(_xpc_type_fd);
#define XPC_TYPE_SHMEM (&_xpc_type_shmem)
XPC_EXPORT XPC_TYPE(_xpc_type_shmem);
#define XPC_TYPE_ARRAY (&_xpc_type_array)
XPC_EXPORT XPC_TYPE(_xpc_type_array);
#define XPC_TYPE_DICTIONARY (&_xpc_type_dictionary)
XPC_EXPORT XPC_TYPE(_xpc_type_dictionary);
#define XPC_TYPE_ERROR (&_xpc_type_error)
XPC_EXPORT XPC_TYPE(_xpc_type_error);

#define XPC_BOOL_TRUE XPC_GLOBAL_OBJECT(_xpc_bool_true)
XPC_EXPORT const struct _xpc_bool_s _xpc_bool_true;
#define XPC_BOOL_FALSE XPC_GLOBAL_OBJECT(_xpc_bool_false)
XPC_EXPORT const struct _xpc_bool_s _xpc_bool_false;

/* The key of an error's description: xpc_dictionary_get_string(error, XPC_ERROR_KEY_DESCRIPTION). */
#define XPC_ERROR_KEY_DESCRIPTION _xpc_error_key_description
XPC_EXPORT const char *const _xpc_error_key_description;

XPC_ASSUME_NONNULL_END
XPC_END_DECLS

#define __XPC_INDIRECT__
#include <xpc/endpoint.h>
#ifdef __BLOCKS__
#include <xpc/connection.h>
#endif
#undef __XPC_INDIRECT__

XPC_BEGIN_DECLS
XPC_ASSUME_NONNULL_BEGIN

/* ------------------------------------------------------------------------------------ every object ---- */

/* Adds a reference; returns the object. */
XPC_EXPORT xpc_object_t xpc_retain(xpc_object_t object);

/* Gives a reference up. One too many aborts, as does the last one of an inactive or suspended connection. */
XPC_EXPORT void xpc_release(xpc_object_t object);

/* One of the XPC_TYPE_ addresses. */
XPC_EXPORT XPC_WARN_RESULT xpc_type_t xpc_get_type(xpc_object_t object);

/* The type's name, such as "dictionary". */
XPC_EXPORT const char *xpc_type_get_name(xpc_type_t type);

/* A copy (+1), deep for containers; the object itself, retained, where it cannot change. NULL for
 * connections and errors. */
XPC_EXPORT XPC_WARN_RESULT XPC_RETURNS_RETAINED xpc_object_t _Nullable xpc_copy(xpc_object_t object);

/* Whether both have one type and the same content; descriptors and mappings: whether they are the same
 * file. */
XPC_EXPORT XPC_WARN_RESULT bool xpc_equal(xpc_object_t object1, xpc_object_t object2);

/* Equal objects have equal hashes. */
XPC_EXPORT XPC_WARN_RESULT size_t xpc_hash(xpc_object_t object);

/* A text for debugging; the caller frees it. */
XPC_EXPORT XPC_WARN_RESULT char *xpc_copy_description(xpc_object_t object);

/* ---------------------------------------------------------------------------------------- scalars ---- */

XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_null_create(void);

XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_bool_create(bool value);
XPC_EXPORT bool xpc_bool_get_value(xpc_object_t xbool);

XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_int64_create(int64_t value);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_int64_get_value(xpc_object_t xint);

XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_uint64_create(uint64_t value);
XPC_EXPORT XPC_WARN_RESULT uint64_t xpc_uint64_get_value(xpc_object_t xuint);

/* NaN where the object is no double. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_double_create(double value);
XPC_EXPORT XPC_WARN_RESULT double xpc_double_get_value(xpc_object_t xdouble);

/* Nanoseconds since 1970. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_date_create(int64_t interval);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_date_create_from_current(void);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_date_get_value(xpc_object_t xdate);

/* ------------------------------------------------------------------------------ data, strings, UUIDs ---- */

/* Copies the bytes. The pointer of get_bytes_ptr lives as long as the object; NULL when it is empty. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_object_t xpc_data_create(const void *_Nullable bytes, size_t length);
XPC_EXPORT XPC_WARN_RESULT size_t xpc_data_get_length(xpc_object_t xdata);
XPC_EXPORT XPC_WARN_RESULT const void *_Nullable xpc_data_get_bytes_ptr(xpc_object_t xdata);

/* Copies up to `length` bytes from `off` on into `buffer`; returns how many. */
XPC_EXPORT XPC_WARN_RESULT
size_t xpc_data_get_bytes(xpc_object_t xdata, void *buffer, size_t off, size_t length);

/* Copies the string, which is taken to be UTF-8. The length is without the NUL. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_string_create(const char *string);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT XPC_PRINTF(1, 2)
xpc_object_t xpc_string_create_with_format(const char *fmt, ...);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT XPC_PRINTF(1, 0)
xpc_object_t xpc_string_create_with_format_and_arguments(const char *fmt, va_list ap);
XPC_EXPORT XPC_WARN_RESULT size_t xpc_string_get_length(xpc_object_t xstring);
XPC_EXPORT XPC_WARN_RESULT const char *_Nullable xpc_string_get_string_ptr(xpc_object_t xstring);

XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_uuid_create(const uuid_t _Nonnull uuid);
XPC_EXPORT const uint8_t *_Nullable xpc_uuid_get_bytes(xpc_object_t xuuid);

/* ----------------------------------------------------------------------- descriptors, shared memory ---- */

/* Boxes a duplicate of `fd`: the caller keeps its own. NULL when it cannot be duplicated. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t _Nullable xpc_fd_create(int fd);

/* A new close-on-exec descriptor that the caller closes, or -1. */
XPC_EXPORT XPC_WARN_RESULT int xpc_fd_dup(xpc_object_t xfd);

/*
 * Boxes memory of xpc_linux_shmem_allocate so that it can be sent: its first `length` bytes. Aborts for any
 * other address and for a length that is 0 or too long. The box keeps the memory, not the mapping, alive.
 */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_shmem_create(void *region, size_t length);

/* Maps the memory, writable, into *region: returns the length in whole pages, which the caller munmaps, or
 * 0 when it cannot be mapped, or when whoever made it could still shrink it. */
XPC_EXPORT XPC_WARN_RESULT
size_t xpc_shmem_map(xpc_object_t xshmem, void *_Nullable *_Nonnull region);

/* ----------------------------------------------------------------------------------------- arrays ---- */

#define XPC_ARRAY_APPEND ((size_t)(-1))

#ifdef __BLOCKS__
typedef bool (^xpc_array_applier_t)(size_t index, xpc_object_t _Nonnull value);
#endif

/* `objects` (retained) may be NULL when `count` is 0. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_object_t xpc_array_create(const xpc_object_t _Nonnull *_Nullable objects, size_t count);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_array_create_empty(void);

/* Replaces the value at `index`, or appends with XPC_ARRAY_APPEND. An index out of range aborts; the
 * getters give NULL or zero for it (undefined on macOS). */
XPC_EXPORT void xpc_array_set_value(xpc_object_t xarray, size_t index, xpc_object_t value);
XPC_EXPORT void xpc_array_append_value(xpc_object_t xarray, xpc_object_t value);
XPC_EXPORT XPC_WARN_RESULT size_t xpc_array_get_count(xpc_object_t xarray);
XPC_EXPORT xpc_object_t xpc_array_get_value(xpc_object_t xarray, size_t index);

#ifdef __BLOCKS__
/* Calls the block for each value, in order, until it returns false; true if it never did. */
XPC_EXPORT bool xpc_array_apply(xpc_object_t xarray, XPC_NOESCAPE xpc_array_applier_t applier);
#endif

/* Setters for one type each. set_fd duplicates; where that fails it sets nothing. set_connection sets an
 * endpoint of the listener `connection`. */
XPC_EXPORT void xpc_array_set_bool(xpc_object_t xarray, size_t index, bool value);
XPC_EXPORT void xpc_array_set_int64(xpc_object_t xarray, size_t index, int64_t value);
XPC_EXPORT void xpc_array_set_uint64(xpc_object_t xarray, size_t index, uint64_t value);
XPC_EXPORT void xpc_array_set_double(xpc_object_t xarray, size_t index, double value);
XPC_EXPORT void xpc_array_set_date(xpc_object_t xarray, size_t index, int64_t value);
XPC_EXPORT void xpc_array_set_data(xpc_object_t xarray, size_t index, const void *_Nullable bytes,
                                   size_t length);
XPC_EXPORT void xpc_array_set_string(xpc_object_t xarray, size_t index, const char *string);
XPC_EXPORT void xpc_array_set_uuid(xpc_object_t xarray, size_t index, const uuid_t _Nonnull uuid);
XPC_EXPORT void xpc_array_set_fd(xpc_object_t xarray, size_t index, int fd);
XPC_EXPORT void xpc_array_set_connection(xpc_object_t xarray, size_t index, xpc_connection_t connection);

/* Getters for one type each. Pointers live as long as the value. dup_fd gives a descriptor to close, or
 * -1; create_connection a new connection (+1) from an endpoint, or NULL. */
XPC_EXPORT XPC_WARN_RESULT bool xpc_array_get_bool(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_array_get_int64(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT uint64_t xpc_array_get_uint64(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT double xpc_array_get_double(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_array_get_date(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT
const void *_Nullable xpc_array_get_data(xpc_object_t xarray, size_t index, size_t *_Nullable length);
XPC_EXPORT XPC_WARN_RESULT const char *_Nullable xpc_array_get_string(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT const uint8_t *_Nullable xpc_array_get_uuid(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT int xpc_array_dup_fd(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_connection_t _Nullable xpc_array_create_connection(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT
xpc_object_t _Nullable xpc_array_get_dictionary(xpc_object_t xarray, size_t index);
XPC_EXPORT XPC_WARN_RESULT xpc_object_t _Nullable xpc_array_get_array(xpc_object_t xarray, size_t index);

/* ----------------------------------------------------------------------------------- dictionaries ---- */

#ifdef __BLOCKS__
typedef bool (^xpc_dictionary_applier_t)(const char *_Nonnull key, xpc_object_t _Nonnull value);
#endif

/* Keys are copied, values retained; a NULL value leaves its key out. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_object_t xpc_dictionary_create(const char *_Nonnull const *_Nullable keys,
                                   const xpc_object_t _Nullable *_Nullable values, size_t count);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT xpc_object_t xpc_dictionary_create_empty(void);

/* An empty reply (+1) to a received message; NULL where none is awaited, or one was made already. Send it
 * with xpc_connection_send_message on the message's remote connection. If it, or the message, is released
 * without that, the waiter gets XPC_ERROR_CONNECTION_INTERRUPTED. */
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_object_t _Nullable xpc_dictionary_create_reply(xpc_object_t original);

/* NULL as value deletes the key. */
XPC_EXPORT void xpc_dictionary_set_value(xpc_object_t xdict, const char *key,
                                         xpc_object_t _Nullable value);
XPC_EXPORT XPC_WARN_RESULT
xpc_object_t _Nullable xpc_dictionary_get_value(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT size_t xpc_dictionary_get_count(xpc_object_t xdict);

#ifdef __BLOCKS__
/* Calls the block for each entry, in the keys' byte order (any order on macOS), until it returns false. */
XPC_EXPORT bool xpc_dictionary_apply(xpc_object_t xdict, XPC_NOESCAPE xpc_dictionary_applier_t applier);

/* The connection that a received message came from (+0), or NULL. */
XPC_EXPORT XPC_WARN_RESULT
xpc_connection_t _Nullable xpc_dictionary_get_remote_connection(xpc_object_t xdict);
#endif

/* Setters for one type each. set_fd duplicates; where that fails it sets nothing. set_connection sets an
 * endpoint of the listener `connection`. */
XPC_EXPORT void xpc_dictionary_set_bool(xpc_object_t xdict, const char *key, bool value);
XPC_EXPORT void xpc_dictionary_set_int64(xpc_object_t xdict, const char *key, int64_t value);
XPC_EXPORT void xpc_dictionary_set_uint64(xpc_object_t xdict, const char *key, uint64_t value);
XPC_EXPORT void xpc_dictionary_set_double(xpc_object_t xdict, const char *key, double value);
XPC_EXPORT void xpc_dictionary_set_date(xpc_object_t xdict, const char *key, int64_t value);
XPC_EXPORT void xpc_dictionary_set_data(xpc_object_t xdict, const char *key, const void *_Nullable bytes,
                                        size_t length);
XPC_EXPORT void xpc_dictionary_set_string(xpc_object_t xdict, const char *key, const char *string);
XPC_EXPORT void xpc_dictionary_set_uuid(xpc_object_t xdict, const char *key, const uuid_t _Nonnull uuid);
XPC_EXPORT void xpc_dictionary_set_fd(xpc_object_t xdict, const char *key, int fd);
XPC_EXPORT void xpc_dictionary_set_connection(xpc_object_t xdict, const char *key,
                                              xpc_connection_t connection);

/* Getters for one type each. Pointers live as long as the value. dup_fd gives a descriptor to close, or
 * -1; create_connection a new connection (+1) from an endpoint, or NULL. */
XPC_EXPORT XPC_WARN_RESULT bool xpc_dictionary_get_bool(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_dictionary_get_int64(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT uint64_t xpc_dictionary_get_uint64(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT double xpc_dictionary_get_double(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT int64_t xpc_dictionary_get_date(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT
const void *_Nullable xpc_dictionary_get_data(xpc_object_t xdict, const char *key,
                                              size_t *_Nullable length);
XPC_EXPORT XPC_WARN_RESULT
const char *_Nullable xpc_dictionary_get_string(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT
const uint8_t *_Nullable xpc_dictionary_get_uuid(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT int xpc_dictionary_dup_fd(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_RETURNS_RETAINED XPC_WARN_RESULT
xpc_connection_t _Nullable xpc_dictionary_create_connection(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT
xpc_object_t _Nullable xpc_dictionary_get_dictionary(xpc_object_t xdict, const char *key);
XPC_EXPORT XPC_WARN_RESULT
xpc_object_t _Nullable xpc_dictionary_get_array(xpc_object_t xdict, const char *key);

/* ----------------------------------------------------------------------------------- transactions ---- */

/* Of no effect: nothing stops idle processes on Linux. */
XPC_EXPORT void xpc_transaction_begin(void);
XPC_EXPORT void xpc_transaction_end(void);

XPC_ASSUME_NONNULL_END
XPC_END_DECLS
#endif
