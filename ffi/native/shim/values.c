/* values.c: what of XPC's values can only be had through a block. */
#include <xpc/xpc.h>

#include "internal.h"

uint32_t shim_dictionary_entries(void *dictionary, const char **keys, void **values, uint32_t capacity) {
  __block uint32_t count = 0;
  (void)xpc_dictionary_apply(dictionary, ^bool(const char *key, xpc_object_t value) {
    if (count < capacity) {
      keys[count] = key;
      values[count] = value;
    }
    count++;
    return true;
  });
  return count;
}
