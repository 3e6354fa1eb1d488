/*
 * decoder_fuzz.c: bytes and descriptors go into the decoder of messages. What it accepts must be usable, must
 * encode to the same bytes, and must leave no descriptor behind.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inputs.h"
#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Maps each shared memory: nothing may be mapped that could become shorter than it says. */
static void map_memories(xpc_object_t object) {
  xpc_type_t type = xpc_get_type(object);
  if (type == XPC_TYPE_DICTIONARY) {
    xpc_dictionary_apply(object, ^bool(const char *key, xpc_object_t value) {
      (void)key;
      map_memories(value);
      return true;
    });
  } else if (type == XPC_TYPE_ARRAY) {
    size_t count = xpc_array_get_count(object);
    for (size_t i = 0; i < count; i++) map_memories(xpc_array_get_value(object, i));
  } else if (type == XPC_TYPE_SHMEM) {
    void *address = NULL;
    size_t length = xpc_shmem_map(object, &address);
    if (length == 0) return;
    volatile const uint8_t *bytes = address;
    (void)bytes[0];
    (void)bytes[length - 1];
    FUZZ_REQUIRE(munmap(address, length) == 0);
  }
}

/* Calls what an app does with a message that it got. */
static void use(xpc_object_t message, const uint8_t *bytes, size_t length) {
  free(xpc_copy_description(message));
  xpc_object_t copy = xpc_copy(message);
  FUZZ_REQUIRE(xpc_hash(copy) == xpc_hash(message));
  xpc_release(copy);
  map_memories(message);
  struct xpc_capture capture = {0};
  FUZZ_REQUIRE(xpc_wire_encode(message, &capture) == NULL);
  FUZZ_REQUIRE(capture.length == length && memcmp(capture.bytes, bytes, length) == 0);
  xpc_capture_clear(&capture);
}

static int lowest_free_descriptor(void) {
  int fd = dup(STDERR_FILENO);
  close(fd);
  return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  size_t count = data[0] % (FUZZ_MAX_DESCRIPTORS + 1);
  if (size < 1 + count) return 0;
  close(fuzz_descriptor(0)); /* so that the originals are there before we look */
  int before = lowest_free_descriptor();

  int fds[FUZZ_MAX_DESCRIPTORS];
  for (size_t i = 0; i < count; i++) fds[i] = fuzz_descriptor(data[1 + i]);
  /* Exactly as long as it says, so that the sanitizer sees every byte that is read beyond. */
  size_t length = size - 1 - count;
  uint8_t *bytes = malloc(length ? length : 1);
  FUZZ_REQUIRE(bytes != NULL);
  memcpy(bytes, data + 1 + count, length);

  const char *reason = NULL;
  xpc_object_t message = xpc_wire_decode(bytes, length, fds, count, &reason);
  FUZZ_REQUIRE((message == NULL) == (reason != NULL));
  if (message) {
    for (size_t i = 0; i < count; i++) FUZZ_REQUIRE(fds[i] == -1); /* the message owns all of them */
    use(message, bytes, length);
    xpc_release(message);
  }
  for (size_t i = 0; i < count; i++) xpc_close(fds[i]);
  free(bytes);
  FUZZ_REQUIRE(lowest_free_descriptor() == before);
  return 0;
}
