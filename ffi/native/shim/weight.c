/*
 * weight.c: how much memory a received message holds, so that what nobody drains is bounded in bytes.
 *
 * A message has at most some ten thousand values and a limited depth (the receiving libxpc sees to that), so
 * looking at all of them costs less than it cost to receive them.
 */
#include <stddef.h>
#include <stdint.h>

#include <xpc/xpc.h>

#include "internal.h"

#define VALUE_BYTES 64u              /* an object and its place in its container */
#define DESCRIPTOR_BYTES (16u << 10) /* descriptors are scarcer than bytes */

uint64_t shim_message_weight(void *message) {
  xpc_type_t type = xpc_get_type(message);
  __block uint64_t weight = VALUE_BYTES;
  if (type == XPC_TYPE_DATA) {
    weight += xpc_data_get_length(message);
  } else if (type == XPC_TYPE_STRING) {
    weight += xpc_string_get_length(message);
  } else if (type == XPC_TYPE_FD || type == XPC_TYPE_SHMEM || type == XPC_TYPE_ENDPOINT) {
    weight += DESCRIPTOR_BYTES;
  } else if (type == XPC_TYPE_ARRAY) {
    (void)xpc_array_apply(message, ^bool(size_t index, xpc_object_t value) {
      (void)index;
      weight += shim_message_weight(value);
      return true;
    });
  } else if (type == XPC_TYPE_DICTIONARY) {
    (void)xpc_dictionary_apply(message, ^bool(const char *key, xpc_object_t value) {
      (void)key;
      weight += shim_message_weight(value);
      return true;
    });
  }
  return weight;
}
