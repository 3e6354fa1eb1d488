/*
 * array.c: arrays, with a setter and a getter for each type.
 */
#define _GNU_SOURCE 1
#include <math.h>
#include <stdlib.h>

#include "internal.h"

xpc_object_t xpc_array_create_empty(void) {
  return xpc_object_allocate(XPC_TYPE_ARRAY, sizeof(struct xpc_array));
}

xpc_object_t xpc_array_create(const xpc_object_t *objects, size_t count) {
  if (!objects && count) xpc_misuse("xpc_array_create: NULL with a count of %zu", count);
  xpc_object_t array = xpc_array_create_empty();
  for (size_t i = 0; i < count; i++) xpc_array_append_value(array, objects[i]);
  return array;
}

void xpc_array_dispose(struct xpc_array *array) {
  for (size_t i = 0; i < array->count; i++) xpc_release(array->values[i]);
  free(array->values);
}

/* Takes the reference of `value` over. */
static void put(xpc_object_t xarray, size_t index, xpc_object_t value, const char *function) {
  struct xpc_array *array = xpc_object_expect(xarray, XPC_TYPE_ARRAY, function);
  if (index == XPC_ARRAY_APPEND) {
    if (array->count == array->capacity) {
      array->capacity = array->capacity ? array->capacity * 2 : 8;
      array->values = xpc_resize(array->values, array->capacity, sizeof *array->values);
    }
    array->values[array->count++] = value;
    return;
  }
  if (index >= array->count) {
    xpc_misuse("%s: index %zu is out of range: the array has %zu values", function, index, array->count);
  }
  xpc_object_t old = array->values[index];
  array->values[index] = value;
  xpc_release(old);
}

void xpc_array_set_value(xpc_object_t xarray, size_t index, xpc_object_t value) {
  put(xarray, index, xpc_retain(value), __func__);
}

void xpc_array_append_value(xpc_object_t xarray, xpc_object_t value) {
  put(xarray, XPC_ARRAY_APPEND, xpc_retain(value), __func__);
}

size_t xpc_array_get_count(xpc_object_t xarray) {
  return xpc_get_type(xarray) == XPC_TYPE_ARRAY ? ((struct xpc_array *)xarray)->count : 0;
}

xpc_object_t xpc_array_get_value(xpc_object_t xarray, size_t index) {
  return index < xpc_array_get_count(xarray) ? ((struct xpc_array *)xarray)->values[index] : NULL;
}

bool xpc_array_apply(xpc_object_t xarray, xpc_array_applier_t applier) {
  struct xpc_array *array = xpc_object_expect(xarray, XPC_TYPE_ARRAY, __func__);
  for (size_t i = 0; i < array->count; i++) {
    if (!applier(i, array->values[i])) return false;
  }
  return true;
}

void xpc_array_set_bool(xpc_object_t xarray, size_t index, bool value) {
  put(xarray, index, xpc_bool_create(value), __func__);
}

void xpc_array_set_int64(xpc_object_t xarray, size_t index, int64_t value) {
  put(xarray, index, xpc_int64_create(value), __func__);
}

void xpc_array_set_uint64(xpc_object_t xarray, size_t index, uint64_t value) {
  put(xarray, index, xpc_uint64_create(value), __func__);
}

void xpc_array_set_double(xpc_object_t xarray, size_t index, double value) {
  put(xarray, index, xpc_double_create(value), __func__);
}

void xpc_array_set_date(xpc_object_t xarray, size_t index, int64_t value) {
  put(xarray, index, xpc_date_create(value), __func__);
}

void xpc_array_set_data(xpc_object_t xarray, size_t index, const void *bytes, size_t length) {
  put(xarray, index, xpc_data_create(bytes, length), __func__);
}

void xpc_array_set_string(xpc_object_t xarray, size_t index, const char *string) {
  put(xarray, index, xpc_string_create(string), __func__);
}

void xpc_array_set_uuid(xpc_object_t xarray, size_t index, const uuid_t uuid) {
  put(xarray, index, xpc_uuid_create(uuid), __func__);
}

void xpc_array_set_fd(xpc_object_t xarray, size_t index, int fd) {
  xpc_object_t value = xpc_fd_create(fd);
  if (value) put(xarray, index, value, __func__);
}

void xpc_array_set_connection(xpc_object_t xarray, size_t index, xpc_connection_t connection) {
  put(xarray, index, xpc_endpoint_create(connection), __func__);
}

bool xpc_array_get_bool(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value && xpc_bool_get_value(value);
}

int64_t xpc_array_get_int64(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_int64_get_value(value) : 0;
}

uint64_t xpc_array_get_uint64(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_uint64_get_value(value) : 0;
}

double xpc_array_get_double(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_double_get_value(value) : (double)NAN;
}

int64_t xpc_array_get_date(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_date_get_value(value) : 0;
}

const void *xpc_array_get_data(xpc_object_t xarray, size_t index, size_t *length) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  if (length) *length = value ? xpc_data_get_length(value) : 0;
  return value ? xpc_data_get_bytes_ptr(value) : NULL;
}

const char *xpc_array_get_string(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_string_get_string_ptr(value) : NULL;
}

const uint8_t *xpc_array_get_uuid(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_uuid_get_bytes(value) : NULL;
}

int xpc_array_dup_fd(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value ? xpc_fd_dup(value) : -1;
}

xpc_connection_t xpc_array_create_connection(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  if (!value || xpc_get_type(value) != XPC_TYPE_ENDPOINT) return NULL;
  return xpc_connection_create_from_endpoint(value);
}

xpc_object_t xpc_array_get_dictionary(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value && xpc_get_type(value) == XPC_TYPE_DICTIONARY ? value : NULL;
}

xpc_object_t xpc_array_get_array(xpc_object_t xarray, size_t index) {
  xpc_object_t value = xpc_array_get_value(xarray, index);
  return value && xpc_get_type(value) == XPC_TYPE_ARRAY ? value : NULL;
}
