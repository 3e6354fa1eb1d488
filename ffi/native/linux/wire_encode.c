/*
 * wire_encode.c: a dictionary as bytes and descriptors.
 *
 * A value is a tag (enum xpc_kind, one byte) and, little-endian and unaligned:
 *
 *   null, fd           nothing: descriptors travel beside the bytes, in the order of their values
 *   bool               1 byte
 *   int64 … date       8 bytes
 *   data               length (4), the bytes
 *   string             length without NUL (4), the bytes, NUL
 *   uuid               16 bytes
 *   shmem              length (8); one descriptor
 *   endpoint           1 byte: 1 with a descriptor, 0 for one that leads nowhere
 *   array              count (4), the values
 *   dictionary         count (4), then key (as a string) and value each, keys ascending without repeats
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire format is little-endian");

struct encoder {
  struct xpc_capture *capture;
  uint32_t values;
  const char *problem; /* the first one */
};

static void put(struct encoder *encoder, const void *bytes, size_t length) {
  struct xpc_capture *capture = encoder->capture;
  if (encoder->problem) return;
  if (length > XPC_MESSAGE_LIMIT || capture->length + length > XPC_MESSAGE_LIMIT) {
    encoder->problem = "the message is larger than 64 MiB";
    return;
  }
  if (capture->length + length > capture->capacity) {
    capture->capacity = (capture->length + length) * 2 + 256;
    capture->bytes = xpc_resize(capture->bytes, capture->capacity, 1);
  }
  if (length) memcpy(capture->bytes + capture->length, bytes, length);
  capture->length += length;
}

static void put_byte(struct encoder *encoder, uint8_t byte) { put(encoder, &byte, 1); }

static void put_length(struct encoder *encoder, size_t length) {
  if (length > XPC_MESSAGE_LIMIT) {
    encoder->problem = "the message is larger than 64 MiB";
    return;
  }
  uint32_t value = (uint32_t)length;
  put(encoder, &value, sizeof value);
}

static void put_holder(struct encoder *encoder, xpc_object_t object) {
  struct xpc_capture *capture = encoder->capture;
  if (encoder->problem) return;
  if (capture->holder_count == XPC_FD_LIMIT) {
    encoder->problem = "the message has more than 4096 descriptors";
    return;
  }
  if (capture->holder_count == capture->holder_capacity) {
    capture->holder_capacity = capture->holder_capacity ? capture->holder_capacity * 2 : 4;
    capture->holders = xpc_resize(capture->holders, capture->holder_capacity, sizeof *capture->holders);
  }
  capture->holders[capture->holder_count++] = xpc_retain(object);
}

static void put_string(struct encoder *encoder, const char *string, size_t length) {
  put_length(encoder, length);
  put(encoder, string, length + 1);
}

static void encode(struct encoder *encoder, xpc_object_t object, unsigned depth) {
  enum xpc_kind kind = xpc_kind_of(object);
  if (kind == XPC_KIND_CONNECTION || kind == XPC_KIND_ERROR) {
    xpc_misuse("xpc_connection_send_message: wrong object type: a %s cannot be sent",
               xpc_get_type(object)->name);
  }
  if (encoder->problem) return;
  if (depth > XPC_DEPTH_LIMIT) {
    encoder->problem = "the message is nested deeper than 64 levels";
    return;
  }
  if (depth > 1 && encoder->values++ == XPC_VALUE_LIMIT) { /* the message itself does not count */
    encoder->problem = "the message has more than 65536 values";
    return;
  }
  put_byte(encoder, (uint8_t)kind);
  switch (kind) {
    case XPC_KIND_BOOL: put_byte(encoder, ((struct _xpc_bool_s *)object)->value); break;
    case XPC_KIND_INT64:
    case XPC_KIND_UINT64:
    case XPC_KIND_DOUBLE:
    case XPC_KIND_DATE: put(encoder, &((struct xpc_number *)object)->value, 8); break;
    case XPC_KIND_DATA: {
      struct xpc_bytes *data = object;
      put_length(encoder, data->length);
      put(encoder, data->bytes, data->length);
      break;
    }
    case XPC_KIND_STRING:
      put_string(encoder, ((struct xpc_bytes *)object)->bytes, ((struct xpc_bytes *)object)->length);
      break;
    case XPC_KIND_UUID: put(encoder, ((struct xpc_uuid *)object)->bytes, 16); break;
    case XPC_KIND_FD: put_holder(encoder, object); break;
    case XPC_KIND_SHMEM:
      put(encoder, &((struct xpc_shmem *)object)->length, 8);
      put_holder(encoder, object);
      break;
    case XPC_KIND_ENDPOINT: {
      bool alive = ((struct _xpc_endpoint_s *)object)->fd >= 0;
      put_byte(encoder, alive);
      if (alive) put_holder(encoder, object);
      break;
    }
    case XPC_KIND_ARRAY: {
      struct xpc_array *array = object;
      put_length(encoder, array->count);
      for (size_t i = 0; i < array->count && !encoder->problem; i++) {
        encode(encoder, array->values[i], depth + 1);
      }
      break;
    }
    case XPC_KIND_DICTIONARY: {
      struct _xpc_dictionary_s *dictionary = object;
      put_length(encoder, dictionary->count);
      for (size_t i = 0; i < dictionary->count && !encoder->problem; i++) {
        put_string(encoder, dictionary->entries[i].key, strlen(dictionary->entries[i].key));
        encode(encoder, dictionary->entries[i].value, depth + 1);
      }
      break;
    }
    case XPC_KIND_NULL:
    case XPC_KIND_ERROR:
    case XPC_KIND_CONNECTION: break;
  }
}

const char *xpc_wire_encode(xpc_object_t dictionary, struct xpc_capture *capture) {
  struct encoder encoder = {.capture = capture};
  encode(&encoder, dictionary, 1);
  return encoder.problem;
}

void xpc_capture_clear(struct xpc_capture *capture) {
  for (size_t i = 0; i < capture->holder_count; i++) xpc_release(capture->holders[i]);
  free(capture->holders);
  free(capture->bytes);
  *capture = (struct xpc_capture){0};
}

int xpc_holder_descriptor(xpc_object_t holder) {
  switch (xpc_kind_of(holder)) {
    case XPC_KIND_FD: return ((struct xpc_fd *)holder)->fd;
    case XPC_KIND_ENDPOINT: return ((struct _xpc_endpoint_s *)holder)->fd;
    default: return xpc_shmem_descriptor(holder);
  }
}
