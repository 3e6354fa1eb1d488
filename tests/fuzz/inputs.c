/*
 * inputs.c: what all fuzz targets share.
 */
#define _GNU_SOURCE 1
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inputs.h"
#include <xpc/linux.h>

#include "internal.h"

void fuzz_fail(const char *file, int line, const char *text) {
  fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, text);
  abort(); /* which the fuzzer takes for a crash, and keeps the input */
}

static int make_memory(int seals) {
  int fd = xpc_linux_memfd("fuzz");
  FUZZ_REQUIRE(fd >= 0 && ftruncate(fd, FUZZ_MEMORY_BYTES) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0);
  return fd;
}

static int make_socket(int type) {
  int pair[2];
  FUZZ_REQUIRE(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair) == 0);
  close(pair[1]);
  return pair[0];
}

static int make(enum fuzz_kind kind) {
  switch (kind) {
    case FUZZ_SEALED_MEMORY: return make_memory(F_SEAL_SHRINK);
    case FUZZ_OPEN_MEMORY: return make_memory(0);
    case FUZZ_PORT: return make_socket(SOCK_SEQPACKET);
    case FUZZ_STREAM: return make_socket(SOCK_STREAM);
    case FUZZ_EVENT: return eventfd(0, EFD_CLOEXEC);
    default: return open("/dev/null", O_RDWR | O_CLOEXEC);
  }
}

/* One of each kind is made at first use; inputs get duplicates, which cost one call each. */
int fuzz_descriptor(uint8_t byte) {
  static int originals[FUZZ_KINDS];
  static bool made;
  if (!made) {
    for (int kind = 0; kind < FUZZ_KINDS; kind++) originals[kind] = make((enum fuzz_kind)kind);
    made = true;
  }
  int fd = fcntl(originals[byte % FUZZ_KINDS], F_DUPFD_CLOEXEC, 0);
  FUZZ_REQUIRE(fd >= 0);
  return fd;
}

/* Pipes do not count: the sanitizers make them, to talk to the symbolizer, and no target of ours does. */
static bool is_pipe(int folder, const char *name) {
  char link[8] = "";
  return readlinkat(folder, name, link, sizeof link - 1) > 0 && strncmp(link, "pipe:", 5) == 0;
}

size_t fuzz_count_descriptors(void) {
  DIR *directory = opendir("/proc/self/fd");
  FUZZ_REQUIRE(directory != NULL);
  size_t count = 0;
  for (struct dirent *entry; (entry = readdir(directory));)
    count += !is_pipe(dirfd(directory), entry->d_name);
  closedir(directory);
  return count;
}
