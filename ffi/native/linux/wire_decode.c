/*
 * wire_decode.c: bytes and descriptors from somebody we do not trust, as a dictionary.
 *
 * Every length is checked against what is left before anything is allocated for it; what was built when a
 * check fails is released.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct decoder {
  const uint8_t *bytes;
  size_t left;
  int *fds;
  size_t fds_left;
  uint32_t values;
  const char *problem;
};

static bool fail(struct decoder *decoder, const char *problem) {
  if (!decoder->problem) decoder->problem = problem;
  return false;
}

static const uint8_t *take(struct decoder *decoder, size_t length) {
  if (length > decoder->left) {
    fail(decoder, "the message is cut off");
    return NULL;
  }
  const uint8_t *bytes = decoder->bytes;
  decoder->bytes += length;
  decoder->left -= length;
  return bytes;
}

static bool take_into(struct decoder *decoder, void *value, size_t length) {
  const uint8_t *bytes = take(decoder, length);
  if (!bytes) return false;
  memcpy(value, bytes, length);
  return true;
}

/* The bytes of a string with its NUL; NULL if it has none, or another one inside. */
static const char *take_string(struct decoder *decoder, uint32_t *length) {
  if (!take_into(decoder, length, sizeof *length)) return NULL;
  const char *string = (const char *)take(decoder, (size_t)*length + 1);
  if (!string) return NULL;
  if (string[*length] != 0 || memchr(string, 0, *length)) {
    fail(decoder, "a string is not terminated, or has a NUL inside");
    return NULL;
  }
  return string;
}

/* The next descriptor, which the caller then owns; -1 if there is none. */
static int take_fd(struct decoder *decoder) {
  if (decoder->fds_left == 0) {
    fail(decoder, "a descriptor is missing");
    return -1;
  }
  int fd = *decoder->fds;
  *decoder->fds++ = -1;
  decoder->fds_left--;
  return fd;
}

static xpc_object_t decode(struct decoder *decoder, unsigned depth);

static xpc_object_t decode_bool(struct decoder *decoder) {
  uint8_t value;
  if (!take_into(decoder, &value, 1)) return NULL;
  if (value > 1) {
    fail(decoder, "a boolean is neither true nor false");
    return NULL;
  }
  return xpc_bool_create(value);
}

static xpc_object_t decode_endpoint(struct decoder *decoder) {
  uint8_t alive;
  if (!take_into(decoder, &alive, 1)) return NULL;
  if (alive == 0) return xpc_endpoint_adopt(-1);
  int fd = take_fd(decoder);
  if (fd < 0) return NULL;
  if (alive != 1 || !xpc_endpoint_is_port(fd)) {
    fail(decoder, "an endpoint is no port");
    xpc_close(fd);
    return NULL;
  }
  return xpc_endpoint_adopt(fd);
}

static xpc_object_t decode_array(struct decoder *decoder, unsigned depth) {
  uint32_t count;
  if (!take_into(decoder, &count, sizeof count)) return NULL;
  if (count > decoder->left) { /* a value has at least one byte */
    fail(decoder, "an array is longer than its message");
    return NULL;
  }
  xpc_object_t array = xpc_array_create_empty();
  for (uint32_t i = 0; i < count; i++) {
    xpc_object_t value = decode(decoder, depth + 1);
    if (!value) {
      xpc_release(array);
      return NULL;
    }
    xpc_array_append_value(array, value);
    xpc_release(value);
  }
  return array;
}

static bool decode_entry(struct decoder *decoder, xpc_object_t dictionary, unsigned depth) {
  uint32_t length;
  const char *key = take_string(decoder, &length);
  if (!key) return false;
  xpc_object_t value = decode(decoder, depth + 1);
  if (!value) return false;
  char *copy = memcpy(xpc_allocate((size_t)length + 1), key, (size_t)length + 1);
  if (xpc_dictionary_append(dictionary, copy, value)) return true;
  free(copy);
  xpc_release(value);
  return fail(decoder, "the keys of a dictionary are not in order");
}

static xpc_object_t decode_dictionary(struct decoder *decoder, unsigned depth) {
  uint32_t count;
  if (!take_into(decoder, &count, sizeof count)) return NULL;
  if (count > decoder->left / 6) { /* an entry has at least 4 + 1 + 1 bytes */
    fail(decoder, "a dictionary is longer than its message");
    return NULL;
  }
  xpc_object_t dictionary = xpc_dictionary_create_empty();
  for (uint32_t i = 0; i < count; i++) {
    if (!decode_entry(decoder, dictionary, depth)) {
      xpc_release(dictionary);
      return NULL;
    }
  }
  return dictionary;
}

static xpc_object_t decode(struct decoder *decoder, unsigned depth) {
  uint8_t kind;
  if (!take_into(decoder, &kind, 1)) return NULL;
  if (depth > XPC_DEPTH_LIMIT) {
    fail(decoder, "the message is nested too deep");
    return NULL;
  }
  if (depth > 1 && decoder->values++ == XPC_VALUE_LIMIT) { /* the message itself does not count */
    fail(decoder, "the message has too many values");
    return NULL;
  }
  union {
    int64_t i;
    uint64_t u;
    double d;
  } number;
  switch (kind) {
    case XPC_KIND_NULL: return xpc_null_create();
    case XPC_KIND_BOOL: return decode_bool(decoder);
    case XPC_KIND_INT64: return take_into(decoder, &number, 8) ? xpc_int64_create(number.i) : NULL;
    case XPC_KIND_UINT64: return take_into(decoder, &number, 8) ? xpc_uint64_create(number.u) : NULL;
    case XPC_KIND_DOUBLE: return take_into(decoder, &number, 8) ? xpc_double_create(number.d) : NULL;
    case XPC_KIND_DATE: return take_into(decoder, &number, 8) ? xpc_date_create(number.i) : NULL;
    case XPC_KIND_DATA: {
      uint32_t length;
      if (!take_into(decoder, &length, sizeof length)) return NULL;
      const uint8_t *bytes = take(decoder, length);
      return bytes ? xpc_data_adopt(XPC_TYPE_DATA, bytes, length) : NULL;
    }
    case XPC_KIND_STRING: {
      uint32_t length;
      const char *string = take_string(decoder, &length);
      return string ? xpc_data_adopt(XPC_TYPE_STRING, string, length) : NULL;
    }
    case XPC_KIND_UUID: {
      const uint8_t *bytes = take(decoder, 16);
      return bytes ? xpc_uuid_create(bytes) : NULL;
    }
    case XPC_KIND_FD: {
      int fd = take_fd(decoder);
      return fd >= 0 ? xpc_fd_adopt(fd) : NULL;
    }
    case XPC_KIND_SHMEM: {
      if (!take_into(decoder, &number, 8)) return NULL;
      int fd = take_fd(decoder);
      return fd >= 0 ? xpc_shmem_adopt(fd, number.u) : NULL;
    }
    case XPC_KIND_ENDPOINT: return decode_endpoint(decoder);
    case XPC_KIND_ARRAY: return decode_array(decoder, depth);
    case XPC_KIND_DICTIONARY: return decode_dictionary(decoder, depth);
    default: fail(decoder, "the message has a value of unknown type"); return NULL;
  }
}

xpc_object_t xpc_wire_decode(const uint8_t *bytes, size_t length, int *fds, size_t fd_count,
                             const char **reason) {
  struct decoder decoder = {.bytes = bytes, .left = length, .fds = fds, .fds_left = fd_count};
  xpc_object_t message = NULL;
  if (length > XPC_MESSAGE_LIMIT || fd_count > XPC_FD_LIMIT) {
    fail(&decoder, "the message is too large");
  } else if (length == 0 || bytes[0] != XPC_KIND_DICTIONARY) {
    fail(&decoder, "the message is no dictionary");
  } else {
    message = decode(&decoder, 1);
  }
  if (message && (decoder.left || decoder.fds_left)) {
    fail(&decoder, "the message has bytes or descriptors left over");
    xpc_release(message);
    message = NULL;
  }
  *reason = decoder.problem;
  return message;
}
