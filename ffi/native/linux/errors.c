/*
 * errors.c: the errors, constants that read like dictionaries.
 */
#define _GNU_SOURCE 1
#include "internal.h"

#define DESCRIPTION_KEY "XPCErrorDescription"
const char *const _xpc_error_key_description = DESCRIPTION_KEY;

#define ERROR(symbol, text)                                                                                  \
  static const struct xpc_bytes symbol##_text = {                                                            \
    .base = XPC_STATIC_OBJECT(&_xpc_type_string),                                                            \
    .length = sizeof(text) - 1,                                                                              \
    .bytes = text,                                                                                           \
  };                                                                                                         \
  static struct xpc_entry symbol##_entries[] = {                                                             \
    {.key = (char *)(uintptr_t)DESCRIPTION_KEY, .value = (xpc_object_t)(uintptr_t)&symbol##_text},           \
  };                                                                                                         \
  const struct _xpc_dictionary_s symbol = {                                                                  \
    .base = XPC_STATIC_OBJECT(&_xpc_type_error),                                                             \
    .entries = symbol##_entries,                                                                             \
    .count = 1,                                                                                              \
    .capacity = 1,                                                                                           \
  }

ERROR(_xpc_error_connection_interrupted, "Connection interrupted");
ERROR(_xpc_error_connection_invalid, "Connection invalid");
ERROR(_xpc_error_termination_imminent, "Process termination imminent");
ERROR(_xpc_error_peer_code_signing_requirement, "Peer forbidden");
