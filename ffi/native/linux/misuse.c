/*
 * misuse.c: ending the process with a line that says why, and memory that is always there.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

_Noreturn void xpc_misuse(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int prefix = snprintf(line, sizeof line, "xpc: API misuse: ");
  int length = vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, arguments);
  va_end(arguments);
  size_t total = (size_t)prefix + (length > 0 ? (size_t)length : 0);
  if (total > sizeof line - 2) total = sizeof line - 2;
  line[total++] = '\n';
  /* One write, so that the line stays whole; if it fails there is nobody left to tell. */
  ssize_t written = write(STDERR_FILENO, line, total);
  (void)written;
  abort();
}

void *xpc_allocate(size_t size) {
  void *memory = calloc(1, size ? size : 1);
  if (!memory) xpc_misuse("out of memory (%zu bytes)", size);
  return memory;
}

void *xpc_resize(void *memory, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) xpc_misuse("out of memory (%zu items)", count);
  void *resized = realloc(memory, bytes ? bytes : 1);
  if (!resized) xpc_misuse("out of memory (%zu bytes)", bytes);
  return resized;
}

char *xpc_copy_string(const char *string) {
  size_t size = strlen(string) + 1;
  return memcpy(xpc_allocate(size), string, size);
}

void xpc_close(int fd) {
  if (fd < 0) return;
  int saved = errno;
  close(fd); /* Linux has closed it even when this reports EINTR */
  errno = saved;
}
