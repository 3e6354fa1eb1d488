/*
 * scalars.c: null, booleans, numbers, dates, UUIDs, data and strings.
 */
#define _GNU_SOURCE 1
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

static const struct xpc_object the_null = XPC_STATIC_OBJECT(&_xpc_type_null);
const struct _xpc_bool_s _xpc_bool_true = {.base = XPC_STATIC_OBJECT(&_xpc_type_bool), .value = true};
const struct _xpc_bool_s _xpc_bool_false = {.base = XPC_STATIC_OBJECT(&_xpc_type_bool), .value = false};

xpc_object_t xpc_null_create(void) { return (xpc_object_t)(uintptr_t)&the_null; }

xpc_object_t xpc_bool_create(bool value) {
  return (xpc_object_t)(uintptr_t)(value ? &_xpc_bool_true : &_xpc_bool_false);
}

bool xpc_bool_get_value(xpc_object_t xbool) {
  return xpc_get_type(xbool) == XPC_TYPE_BOOL && ((struct _xpc_bool_s *)xbool)->value;
}

static struct xpc_number *number(xpc_type_t type) {
  return xpc_object_allocate(type, sizeof(struct xpc_number));
}

xpc_object_t xpc_int64_create(int64_t value) {
  struct xpc_number *object = number(XPC_TYPE_INT64);
  object->value.i = value;
  return object;
}

int64_t xpc_int64_get_value(xpc_object_t xint) {
  return xpc_get_type(xint) == XPC_TYPE_INT64 ? ((struct xpc_number *)xint)->value.i : 0;
}

xpc_object_t xpc_uint64_create(uint64_t value) {
  struct xpc_number *object = number(XPC_TYPE_UINT64);
  object->value.u = value;
  return object;
}

uint64_t xpc_uint64_get_value(xpc_object_t xuint) {
  return xpc_get_type(xuint) == XPC_TYPE_UINT64 ? ((struct xpc_number *)xuint)->value.u : 0;
}

xpc_object_t xpc_double_create(double value) {
  struct xpc_number *object = number(XPC_TYPE_DOUBLE);
  object->value.d = value;
  return object;
}

double xpc_double_get_value(xpc_object_t xdouble) {
  return xpc_get_type(xdouble) == XPC_TYPE_DOUBLE ? ((struct xpc_number *)xdouble)->value.d : (double)NAN;
}

xpc_object_t xpc_date_create(int64_t interval) {
  struct xpc_number *object = number(XPC_TYPE_DATE);
  object->value.i = interval;
  return object;
}

xpc_object_t xpc_date_create_from_current(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  return xpc_date_create((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
}

int64_t xpc_date_get_value(xpc_object_t xdate) {
  return xpc_get_type(xdate) == XPC_TYPE_DATE ? ((struct xpc_number *)xdate)->value.i : 0;
}

xpc_object_t xpc_uuid_create(const uuid_t uuid) {
  struct xpc_uuid *object = xpc_object_allocate(XPC_TYPE_UUID, sizeof *object);
  memcpy(object->bytes, uuid, sizeof object->bytes);
  return object;
}

const uint8_t *xpc_uuid_get_bytes(xpc_object_t xuuid) {
  return xpc_get_type(xuuid) == XPC_TYPE_UUID ? ((struct xpc_uuid *)xuuid)->bytes : NULL;
}

/* Data and strings are one allocation: the header, the bytes, a NUL. */
xpc_object_t xpc_data_adopt(xpc_type_t type, const void *bytes, size_t length) {
  if (length > SIZE_MAX - sizeof(struct xpc_bytes) - 1) xpc_misuse("out of memory (%zu bytes)", length);
  struct xpc_bytes *object = xpc_object_allocate(type, sizeof *object + length + 1);
  char *storage = (char *)(object + 1);
  if (length) memcpy(storage, bytes, length);
  object->bytes = storage;
  object->length = length;
  return object;
}

xpc_object_t xpc_data_create(const void *bytes, size_t length) {
  if (!bytes && length) xpc_misuse("xpc_data_create: NULL with a length of %zu", length);
  return xpc_data_adopt(XPC_TYPE_DATA, bytes, length);
}

size_t xpc_data_get_length(xpc_object_t xdata) {
  return xpc_get_type(xdata) == XPC_TYPE_DATA ? ((struct xpc_bytes *)xdata)->length : 0;
}

const void *xpc_data_get_bytes_ptr(xpc_object_t xdata) {
  return xpc_data_get_length(xdata) ? ((struct xpc_bytes *)xdata)->bytes : NULL;
}

size_t xpc_data_get_bytes(xpc_object_t xdata, void *buffer, size_t off, size_t length) {
  size_t available = xpc_data_get_length(xdata);
  if (off >= available) return 0;
  if (length > available - off) length = available - off;
  memcpy(buffer, ((struct xpc_bytes *)xdata)->bytes + off, length);
  return length;
}

xpc_object_t xpc_string_create(const char *string) {
  return xpc_data_adopt(XPC_TYPE_STRING, string, strlen(string));
}

xpc_object_t xpc_string_create_with_format_and_arguments(const char *fmt, va_list ap) {
  char *text = NULL;
  int length = vasprintf(&text, fmt, ap);
  if (length < 0) xpc_misuse("xpc_string_create_with_format: the format cannot be applied");
  xpc_object_t object = xpc_data_adopt(XPC_TYPE_STRING, text, (size_t)length);
  free(text);
  return object;
}

xpc_object_t xpc_string_create_with_format(const char *fmt, ...) {
  va_list arguments;
  va_start(arguments, fmt);
  xpc_object_t object = xpc_string_create_with_format_and_arguments(fmt, arguments);
  va_end(arguments);
  return object;
}

size_t xpc_string_get_length(xpc_object_t xstring) {
  return xpc_get_type(xstring) == XPC_TYPE_STRING ? ((struct xpc_bytes *)xstring)->length : 0;
}

const char *xpc_string_get_string_ptr(xpc_object_t xstring) {
  return xpc_get_type(xstring) == XPC_TYPE_STRING ? ((struct xpc_bytes *)xstring)->bytes : NULL;
}

void xpc_transaction_begin(void) {}
void xpc_transaction_end(void) {}
