/*
 * object.c: types, reference counts, copies, equality.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define TYPE(name_, kind_) const struct _xpc_type_s _xpc_type_##name_ = {.name = #name_, .kind = kind_}
TYPE(null, XPC_KIND_NULL);
TYPE(bool, XPC_KIND_BOOL);
TYPE(int64, XPC_KIND_INT64);
TYPE(uint64, XPC_KIND_UINT64);
TYPE(double, XPC_KIND_DOUBLE);
TYPE(date, XPC_KIND_DATE);
TYPE(data, XPC_KIND_DATA);
TYPE(string, XPC_KIND_STRING);
TYPE(uuid, XPC_KIND_UUID);
TYPE(fd, XPC_KIND_FD);
TYPE(shmem, XPC_KIND_SHMEM);
TYPE(endpoint, XPC_KIND_ENDPOINT);
TYPE(array, XPC_KIND_ARRAY);
TYPE(dictionary, XPC_KIND_DICTIONARY);
TYPE(error, XPC_KIND_ERROR);
TYPE(connection, XPC_KIND_CONNECTION);
#undef TYPE

void *xpc_object_allocate(xpc_type_t type, size_t size) {
  struct xpc_object *object = xpc_allocate(size);
  object->type = type;
  object->magic = XPC_MAGIC;
  atomic_init(&object->references, 1);
  return object;
}

static struct xpc_object *checked(xpc_object_t object, const char *function) {
  struct xpc_object *header = object;
  if (!header) xpc_misuse("%s: NULL is no object", function);
  if (header->magic != XPC_MAGIC) {
    xpc_misuse("%s: over-release: no object (any more) at %p", function, object);
  }
  return header;
}

xpc_object_t xpc_object_expect(xpc_object_t object, xpc_type_t type, const char *function) {
  struct xpc_object *header = checked(object, function);
  if (header->type != type) {
    xpc_misuse("%s: wrong object type: given a %s, needs a %s", function, header->type->name, type->name);
  }
  return object;
}

xpc_object_t xpc_retain(xpc_object_t object) {
  struct xpc_object *header = checked(object, "xpc_retain");
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return object;
  if (atomic_fetch_add_explicit(&header->references, 1, memory_order_relaxed) <= 0) {
    xpc_misuse("xpc_retain: the object at %p was released already", object);
  }
  return object;
}

static void dispose(struct xpc_object *object) {
  switch (object->type->kind) {
    case XPC_KIND_FD: xpc_close(((struct xpc_fd *)object)->fd); break;
    case XPC_KIND_ENDPOINT: xpc_close(((struct _xpc_endpoint_s *)object)->fd); break;
    case XPC_KIND_SHMEM: xpc_shmem_dispose((struct xpc_shmem *)object); break;
    case XPC_KIND_ARRAY: xpc_array_dispose((struct xpc_array *)object); break;
    case XPC_KIND_DICTIONARY: xpc_dictionary_dispose((struct _xpc_dictionary_s *)object); break;
    case XPC_KIND_CONNECTION: xpc_connection_dispose((xpc_connection_t)object); break;
    default: break; /* the others are one piece of memory */
  }
  object->magic = 0;
  free(object);
}

void xpc_release(xpc_object_t object) {
  struct xpc_object *header = checked(object, "xpc_release");
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return;
  if (header->type == XPC_TYPE_CONNECTION) xpc_connection_check_release(object);
  int32_t before = atomic_fetch_sub_explicit(&header->references, 1, memory_order_acq_rel);
  if (before <= 0) xpc_misuse("xpc_release: over-release of the %s at %p", header->type->name, object);
  if (before == 1) dispose(header);
}

xpc_type_t xpc_get_type(xpc_object_t object) { return checked(object, "xpc_get_type")->type; }

const char *xpc_type_get_name(xpc_type_t type) { return type->name; }

xpc_object_t xpc_copy(xpc_object_t object) {
  struct xpc_object *header = checked(object, "xpc_copy");
  switch (header->type->kind) {
    case XPC_KIND_CONNECTION:
    case XPC_KIND_ERROR: return NULL;
    case XPC_KIND_ARRAY: {
      struct xpc_array *array = object;
      xpc_object_t copy = xpc_array_create_empty();
      for (size_t i = 0; i < array->count; i++) {
        xpc_object_t value = xpc_copy(array->values[i]);
        if (!value) value = xpc_retain(array->values[i]);
        xpc_array_append_value(copy, value);
        xpc_release(value);
      }
      return copy;
    }
    case XPC_KIND_DICTIONARY: {
      struct _xpc_dictionary_s *dictionary = object;
      xpc_object_t copy = xpc_dictionary_create_empty();
      for (size_t i = 0; i < dictionary->count; i++) {
        xpc_object_t value = xpc_copy(dictionary->entries[i].value);
        if (!value) value = xpc_retain(dictionary->entries[i].value);
        xpc_dictionary_append(copy, xpc_copy_string(dictionary->entries[i].key), value);
      }
      return copy;
    }
    default: return xpc_retain(object);
  }
}

static bool equal_arrays(const struct xpc_array *a, const struct xpc_array *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (!xpc_equal(a->values[i], b->values[i])) return false;
  }
  return true;
}

static bool equal_dictionaries(const struct _xpc_dictionary_s *a, const struct _xpc_dictionary_s *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    if (strcmp(a->entries[i].key, b->entries[i].key) != 0) return false;
    if (!xpc_equal(a->entries[i].value, b->entries[i].value)) return false;
  }
  return true;
}

static bool equal_bytes(const struct xpc_bytes *a, const struct xpc_bytes *b) {
  return a->length == b->length && memcmp(a->bytes, b->bytes, a->length) == 0;
}

bool xpc_equal(xpc_object_t object1, xpc_object_t object2) {
  struct xpc_object *a = checked(object1, "xpc_equal"), *b = checked(object2, "xpc_equal");
  if (a == b) return true;
  if (a->type != b->type) return false;
  switch (a->type->kind) {
    case XPC_KIND_NULL: return true;
    case XPC_KIND_BOOL: return ((struct _xpc_bool_s *)a)->value == ((struct _xpc_bool_s *)b)->value;
    case XPC_KIND_DOUBLE: return ((struct xpc_number *)a)->value.d == ((struct xpc_number *)b)->value.d;
    case XPC_KIND_INT64:
    case XPC_KIND_UINT64:
    case XPC_KIND_DATE: return ((struct xpc_number *)a)->value.u == ((struct xpc_number *)b)->value.u;
    case XPC_KIND_DATA:
    case XPC_KIND_STRING: return equal_bytes((struct xpc_bytes *)a, (struct xpc_bytes *)b);
    case XPC_KIND_UUID: return memcmp(((struct xpc_uuid *)a)->bytes, ((struct xpc_uuid *)b)->bytes, 16) == 0;
    case XPC_KIND_FD: return xpc_same_file(((struct xpc_fd *)a)->fd, ((struct xpc_fd *)b)->fd);
    case XPC_KIND_ENDPOINT:
      return xpc_same_file(((struct _xpc_endpoint_s *)a)->fd, ((struct _xpc_endpoint_s *)b)->fd);
    case XPC_KIND_SHMEM:
      return ((struct xpc_shmem *)a)->length == ((struct xpc_shmem *)b)->length &&
             xpc_same_file(xpc_shmem_descriptor(a), xpc_shmem_descriptor(b));
    case XPC_KIND_ARRAY: return equal_arrays((struct xpc_array *)a, (struct xpc_array *)b);
    case XPC_KIND_DICTIONARY:
      return equal_dictionaries((struct _xpc_dictionary_s *)a, (struct _xpc_dictionary_s *)b);
    case XPC_KIND_ERROR:
    case XPC_KIND_CONNECTION: return false; /* only ever equal to themselves */
  }
  return false;
}

static size_t mix(size_t hash, const void *bytes, size_t length) {
  const uint8_t *byte = bytes;
  for (size_t i = 0; i < length; i++) hash = (hash ^ byte[i]) * (size_t)UINT64_C(0x100000001b3);
  return hash;
}

size_t xpc_hash(xpc_object_t object) {
  struct xpc_object *header = checked(object, "xpc_hash");
  size_t hash = mix((size_t)UINT64_C(0xcbf29ce484222325), &header->type->kind, sizeof(enum xpc_kind));
  switch (header->type->kind) {
    case XPC_KIND_NULL: return hash;
    case XPC_KIND_BOOL: return hash + ((struct _xpc_bool_s *)object)->value;
    case XPC_KIND_DOUBLE: {
      double value = ((struct xpc_number *)object)->value.d;
      if (value == 0) value = 0; /* -0.0 equals 0.0 */
      return mix(hash, &value, sizeof value);
    }
    case XPC_KIND_INT64:
    case XPC_KIND_UINT64:
    case XPC_KIND_DATE: return mix(hash, &((struct xpc_number *)object)->value, 8);
    case XPC_KIND_DATA:
    case XPC_KIND_STRING: {
      struct xpc_bytes *data = object;
      return mix(hash, data->bytes, data->length);
    }
    case XPC_KIND_UUID: return mix(hash, ((struct xpc_uuid *)object)->bytes, 16);
    case XPC_KIND_FD: return hash ^ xpc_file_hash(((struct xpc_fd *)object)->fd);
    case XPC_KIND_ENDPOINT: return hash ^ xpc_file_hash(((struct _xpc_endpoint_s *)object)->fd);
    case XPC_KIND_SHMEM: return hash ^ xpc_file_hash(xpc_shmem_descriptor(object));
    case XPC_KIND_ARRAY: {
      struct xpc_array *array = object;
      for (size_t i = 0; i < array->count; i++) {
        size_t value = xpc_hash(array->values[i]);
        hash = mix(hash, &value, sizeof value);
      }
      return hash;
    }
    case XPC_KIND_DICTIONARY: {
      struct _xpc_dictionary_s *dictionary = object;
      for (size_t i = 0; i < dictionary->count; i++) {
        size_t value = xpc_hash(dictionary->entries[i].value);
        hash = mix(hash, dictionary->entries[i].key, strlen(dictionary->entries[i].key));
        hash = mix(hash, &value, sizeof value);
      }
      return hash;
    }
    case XPC_KIND_ERROR:
    case XPC_KIND_CONNECTION: return mix(hash, &object, sizeof object);
  }
  return hash;
}
