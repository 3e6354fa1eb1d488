/*
 * dictionary.c: dictionaries, with a setter and a getter for each type.
 *
 * Entries stay in the byte order of their keys: lookups are binary searches, and equal content makes equal
 * messages.
 */
#define _GNU_SOURCE 1
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

xpc_object_t xpc_dictionary_create_empty(void) {
  return xpc_object_allocate(XPC_TYPE_DICTIONARY, sizeof(struct _xpc_dictionary_s));
}

xpc_object_t xpc_dictionary_create(const char *const *keys, const xpc_object_t *values, size_t count) {
  if ((!keys || !values) && count) xpc_misuse("xpc_dictionary_create: NULL with a count of %zu", count);
  xpc_object_t dictionary = xpc_dictionary_create_empty();
  for (size_t i = 0; i < count; i++) xpc_dictionary_set_value(dictionary, keys[i], values[i]);
  return dictionary;
}

void xpc_dictionary_dispose(struct _xpc_dictionary_s *dictionary) {
  for (size_t i = 0; i < dictionary->count; i++) {
    free(dictionary->entries[i].key);
    xpc_release(dictionary->entries[i].value);
  }
  free(dictionary->entries);
  if (!dictionary->remote) return;
  uint64_t unanswered = atomic_load(&dictionary->awaited);
  if (unanswered) xpc_connection_drop_reply(dictionary->remote, unanswered, dictionary->incarnation);
  unanswered = atomic_load(&dictionary->answers);
  if (unanswered) xpc_connection_drop_reply(dictionary->remote, unanswered, dictionary->incarnation);
  xpc_release(dictionary->remote);
}

struct _xpc_dictionary_s *xpc_dictionary_of(xpc_object_t object) {
  xpc_type_t type = xpc_get_type(object);
  return type == XPC_TYPE_DICTIONARY || type == XPC_TYPE_ERROR ? object : NULL;
}

/* The first entry whose key is not below `key`. */
static size_t find(const struct _xpc_dictionary_s *dictionary, const char *key, bool *found) {
  size_t low = 0, high = dictionary->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    int order = strcmp(dictionary->entries[middle].key, key);
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0) low = middle + 1;
    else high = middle;
  }
  *found = false;
  return low;
}

static void insert(struct _xpc_dictionary_s *dictionary, size_t index, char *key, xpc_object_t value) {
  if (dictionary->count == dictionary->capacity) {
    dictionary->capacity = dictionary->capacity ? dictionary->capacity * 2 : 8;
    dictionary->entries = xpc_resize(dictionary->entries, dictionary->capacity, sizeof *dictionary->entries);
  }
  struct xpc_entry *entry = dictionary->entries + index;
  memmove(entry + 1, entry, (dictionary->count - index) * sizeof *entry);
  entry->key = key;
  entry->value = value;
  dictionary->count++;
}

bool xpc_dictionary_append(xpc_object_t object, char *key, xpc_object_t value) {
  struct _xpc_dictionary_s *dictionary = object;
  size_t count = dictionary->count;
  if (count && strcmp(dictionary->entries[count - 1].key, key) >= 0) return false;
  insert(dictionary, count, key, value);
  return true;
}

/* Takes the reference of `value` over. */
static void put(xpc_object_t xdict, const char *key, xpc_object_t value, const char *function) {
  struct _xpc_dictionary_s *dictionary = xpc_object_expect(xdict, XPC_TYPE_DICTIONARY, function);
  if (!key) xpc_misuse("%s: the key is NULL", function);
  bool found;
  size_t index = find(dictionary, key, &found);
  if (!found) {
    if (value) insert(dictionary, index, xpc_copy_string(key), value);
    return;
  }
  struct xpc_entry *entry = dictionary->entries + index;
  xpc_object_t old = entry->value;
  if (value) {
    entry->value = value;
  } else {
    free(entry->key);
    memmove(entry, entry + 1, (dictionary->count - index - 1) * sizeof *entry);
    dictionary->count--;
  }
  xpc_release(old);
}

void xpc_dictionary_set_value(xpc_object_t xdict, const char *key, xpc_object_t value) {
  put(xdict, key, value ? xpc_retain(value) : NULL, __func__);
}

xpc_object_t xpc_dictionary_get_value(xpc_object_t xdict, const char *key) {
  struct _xpc_dictionary_s *dictionary = xpc_dictionary_of(xdict);
  if (!dictionary) return NULL;
  bool found;
  size_t index = find(dictionary, key, &found);
  return found ? dictionary->entries[index].value : NULL;
}

size_t xpc_dictionary_get_count(xpc_object_t xdict) {
  struct _xpc_dictionary_s *dictionary = xpc_dictionary_of(xdict);
  return dictionary ? dictionary->count : 0;
}

bool xpc_dictionary_apply(xpc_object_t xdict, xpc_dictionary_applier_t applier) {
  struct _xpc_dictionary_s *dictionary = xpc_dictionary_of(xdict);
  if (!dictionary) xpc_misuse("xpc_dictionary_apply: wrong object type: needs a dictionary");
  for (size_t i = 0; i < dictionary->count; i++) {
    if (!applier(dictionary->entries[i].key, dictionary->entries[i].value)) return false;
  }
  return true;
}

xpc_connection_t xpc_dictionary_get_remote_connection(xpc_object_t xdict) {
  return xpc_get_type(xdict) == XPC_TYPE_DICTIONARY ? ((struct _xpc_dictionary_s *)xdict)->remote : NULL;
}

xpc_object_t xpc_dictionary_create_reply(xpc_object_t original) {
  struct _xpc_dictionary_s *message = xpc_object_expect(original, XPC_TYPE_DICTIONARY, __func__);
  uint64_t request = atomic_exchange(&message->awaited, 0);
  if (!request) return NULL;
  struct _xpc_dictionary_s *reply = xpc_dictionary_create_empty();
  reply->remote = xpc_retain(message->remote);
  reply->incarnation = message->incarnation;
  atomic_store(&reply->answers, request);
  return reply;
}

void xpc_dictionary_set_bool(xpc_object_t xdict, const char *key, bool value) {
  put(xdict, key, xpc_bool_create(value), __func__);
}

void xpc_dictionary_set_int64(xpc_object_t xdict, const char *key, int64_t value) {
  put(xdict, key, xpc_int64_create(value), __func__);
}

void xpc_dictionary_set_uint64(xpc_object_t xdict, const char *key, uint64_t value) {
  put(xdict, key, xpc_uint64_create(value), __func__);
}

void xpc_dictionary_set_double(xpc_object_t xdict, const char *key, double value) {
  put(xdict, key, xpc_double_create(value), __func__);
}

void xpc_dictionary_set_date(xpc_object_t xdict, const char *key, int64_t value) {
  put(xdict, key, xpc_date_create(value), __func__);
}

void xpc_dictionary_set_data(xpc_object_t xdict, const char *key, const void *bytes, size_t length) {
  put(xdict, key, xpc_data_create(bytes, length), __func__);
}

void xpc_dictionary_set_string(xpc_object_t xdict, const char *key, const char *string) {
  put(xdict, key, xpc_string_create(string), __func__);
}

void xpc_dictionary_set_uuid(xpc_object_t xdict, const char *key, const uuid_t uuid) {
  put(xdict, key, xpc_uuid_create(uuid), __func__);
}

void xpc_dictionary_set_fd(xpc_object_t xdict, const char *key, int fd) {
  xpc_object_t value = xpc_fd_create(fd);
  if (value) put(xdict, key, value, __func__);
}

void xpc_dictionary_set_connection(xpc_object_t xdict, const char *key, xpc_connection_t connection) {
  put(xdict, key, xpc_endpoint_create(connection), __func__);
}

bool xpc_dictionary_get_bool(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value && xpc_bool_get_value(value);
}

int64_t xpc_dictionary_get_int64(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_int64_get_value(value) : 0;
}

uint64_t xpc_dictionary_get_uint64(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_uint64_get_value(value) : 0;
}

double xpc_dictionary_get_double(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_double_get_value(value) : (double)NAN;
}

int64_t xpc_dictionary_get_date(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_date_get_value(value) : 0;
}

const void *xpc_dictionary_get_data(xpc_object_t xdict, const char *key, size_t *length) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  if (length) *length = value ? xpc_data_get_length(value) : 0;
  return value ? xpc_data_get_bytes_ptr(value) : NULL;
}

const char *xpc_dictionary_get_string(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_string_get_string_ptr(value) : NULL;
}

const uint8_t *xpc_dictionary_get_uuid(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_uuid_get_bytes(value) : NULL;
}

int xpc_dictionary_dup_fd(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value ? xpc_fd_dup(value) : -1;
}

xpc_connection_t xpc_dictionary_create_connection(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  if (!value || xpc_get_type(value) != XPC_TYPE_ENDPOINT) return NULL;
  return xpc_connection_create_from_endpoint(value);
}

xpc_object_t xpc_dictionary_get_dictionary(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value && xpc_get_type(value) == XPC_TYPE_DICTIONARY ? value : NULL;
}

xpc_object_t xpc_dictionary_get_array(xpc_object_t xdict, const char *key) {
  xpc_object_t value = xpc_dictionary_get_value(xdict, key);
  return value && xpc_get_type(value) == XPC_TYPE_ARRAY ? value : NULL;
}
