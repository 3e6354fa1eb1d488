/*
 * describe.c: objects as text, for people who debug.
 */
#define _GNU_SOURCE 1
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define DESCRIBED_BYTES 32 /* of data; the rest is left out */

struct text {
  char *bytes;
  size_t length, capacity;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...) {
  for (;;) {
    va_list arguments;
    va_start(arguments, format);
    size_t room = text->capacity - text->length;
    int needed = vsnprintf(text->bytes + text->length, room, format, arguments);
    va_end(arguments);
    if (needed < 0) return;
    if ((size_t)needed < room) {
      text->length += (size_t)needed;
      return;
    }
    text->capacity = (text->capacity + (size_t)needed + 1) * 2;
    text->bytes = xpc_resize(text->bytes, text->capacity, 1);
  }
}

static void indent(struct text *text, unsigned depth) {
  for (unsigned i = 0; i < depth; i++) add(text, "\t");
}

static void describe(struct text *text, xpc_object_t object, unsigned depth);

static void describe_entries(struct text *text, const struct _xpc_dictionary_s *dictionary, unsigned depth) {
  add(text, "count = %zu, contents =\n", dictionary->count);
  for (size_t i = 0; i < dictionary->count; i++) {
    indent(text, depth + 1);
    add(text, "\"%s\" => ", dictionary->entries[i].key);
    describe(text, dictionary->entries[i].value, depth + 1);
    add(text, "\n");
  }
  indent(text, depth);
}

static void describe_array(struct text *text, const struct xpc_array *array, unsigned depth) {
  add(text, "count = %zu, contents =\n", array->count);
  for (size_t i = 0; i < array->count; i++) {
    indent(text, depth + 1);
    add(text, "%zu: ", i);
    describe(text, array->values[i], depth + 1);
    add(text, "\n");
  }
  indent(text, depth);
}

static void describe_data(struct text *text, const struct xpc_bytes *data) {
  add(text, "length = %zu, contents = 0x", data->length);
  for (size_t i = 0; i < data->length && i < DESCRIBED_BYTES; i++) add(text, "%02x", (uint8_t)data->bytes[i]);
  if (data->length > DESCRIBED_BYTES) add(text, "…");
}

static void describe_uuid(struct text *text, const uint8_t *bytes) {
  for (int i = 0; i < 16; i++) add(text, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02X" : "%02X", bytes[i]);
}

static void describe_connection(struct text *text, xpc_connection_t connection) {
  static const char *const roles[] = {
    "client", "client of an endpoint", "listener", "anonymous listener", "peer",
  };
  pthread_mutex_lock(&connection->lock);
  add(text, "name = %s, role = %s, pid = %d, %s", connection->name ? connection->name : "(anonymous)",
      roles[connection->role], (int)connection->pid,
      connection->phase == XPC_PHASE_INACTIVE ? "inactive"
      : connection->phase == XPC_PHASE_ENDED  ? "invalid"
                                              : "active");
  pthread_mutex_unlock(&connection->lock);
}

static void describe(struct text *text, xpc_object_t object, unsigned depth) {
  if (depth > XPC_DEPTH_LIMIT) {
    add(text, "…");
    return;
  }
  const struct xpc_object *header = object;
  const struct xpc_number *number = object;
  add(text, "<%s: %p> { ", header->type->name, object);
  switch (header->type->kind) {
    case XPC_KIND_NULL: add(text, "null"); break;
    case XPC_KIND_BOOL: add(text, "value = %s", object == XPC_BOOL_TRUE ? "true" : "false"); break;
    case XPC_KIND_INT64:
    case XPC_KIND_DATE: add(text, "value = %" PRId64, number->value.i); break;
    case XPC_KIND_UINT64: add(text, "value = %" PRIu64, number->value.u); break;
    case XPC_KIND_DOUBLE: add(text, "value = %.17g", number->value.d); break;
    case XPC_KIND_DATA: describe_data(text, object); break;
    case XPC_KIND_STRING: {
      const struct xpc_bytes *string = object;
      add(text, "length = %zu, contents = \"%s\"", string->length, string->bytes);
      break;
    }
    case XPC_KIND_UUID: describe_uuid(text, ((struct xpc_uuid *)object)->bytes); break;
    case XPC_KIND_FD: add(text, "fd = %d", ((struct xpc_fd *)object)->fd); break;
    case XPC_KIND_SHMEM: add(text, "length = %" PRIu64, ((struct xpc_shmem *)object)->length); break;
    case XPC_KIND_ENDPOINT: add(text, "port = %d", ((struct _xpc_endpoint_s *)object)->fd); break;
    case XPC_KIND_ARRAY: describe_array(text, object, depth); break;
    case XPC_KIND_DICTIONARY:
    case XPC_KIND_ERROR: describe_entries(text, object, depth); break;
    case XPC_KIND_CONNECTION: describe_connection(text, object); break;
  }
  add(text, header->type->kind == XPC_KIND_ARRAY || header->type->kind == XPC_KIND_DICTIONARY ? "}" : " }");
}

char *xpc_copy_description(xpc_object_t object) {
  struct text text = {.bytes = xpc_allocate(256), .capacity = 256};
  (void)xpc_get_type(object); /* checks that it is an object */
  describe(&text, object, 0);
  return text.bytes;
}
