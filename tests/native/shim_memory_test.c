/*
 * shim_memory_test.c: mappings that are shared, and what the kernel refuses.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xpc/linux.h>

#include "../../ffi/native/shim/internal.h"
#include "harness.h"

/* "trespass" FD LENGTH: maps as a client does, reads, and then writes. */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "trespass") != 0) return -1;
  xpc_object_t fd = xpc_fd_create(atoi(arguments[0]));
  shim_mapping mapping;
  if (!fd || shim_memory_open_read_only(fd, strtoull(arguments[1], NULL, 10), &mapping) != 0) return 1;
  volatile char *bytes = mapping.address;
  if (bytes[0] != 'a') return 2;
  signal(SIGSEGV, SIG_DFL); /* not a sanitizer's */
  signal(SIGBUS, SIG_DFL);
  bytes[0] = 'b';
  return 3;
}

static void created(void) {
  const uint64_t page = shim_memory_page_size();
  const uint64_t lengths[] = {1, page, page + 1, 100 << 20};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    shim_mapping ours, theirs;
    REQUIRE(shim_memory_create(lengths[i], &ours) == 0);
    CHECK(ours.mapped == (lengths[i] + page - 1) / page * page && ours.fd == -1);
    char *bytes = ours.address;
    CHECK(bytes[0] == 0 && bytes[ours.mapped - 1] == 0);
    xpc_object_t shmem = xpc_shmem_create(ours.address, ours.mapped);
    REQUIRE(shim_memory_open(shmem, lengths[i], &theirs) == 0);
    CHECK(theirs.mapped == ours.mapped && theirs.address != ours.address);
    bytes[lengths[i] - 1] = 'x';
    CHECK(((char *)theirs.address)[lengths[i] - 1] == 'x');
    CHECK(shim_memory_open(shmem, ours.mapped + 1, &theirs) == -EMSGSIZE);
    CHECK(shim_memory_open(shmem, 0, &theirs) == -EINVAL && shim_memory_open(shmem, UINT64_MAX, &theirs) == -EINVAL);
    CHECK(shim_memory_prefault(ours.address, lengths[i], true) == 0);
    CHECK(bytes[lengths[i] - 1] == 'x');
    CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
    CHECK(((char *)theirs.address)[lengths[i] - 1] == 'x'); /* outlives its maker's mapping */
    CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
    xpc_release(shmem);
  }
  shim_mapping none;
  CHECK(shim_memory_create(0, &none) == -EINVAL && shim_memory_create(UINT64_MAX, &none) == -EINVAL);
  CHECK(shim_memory_create_read_only(0, &none) == -EINVAL);
  CHECK(shim_memory_create(INT64_MAX / 2, &none) < 0 && shim_memory_create_read_only(INT64_MAX / 2, &none) < 0);
  CHECK(shim_memory_prefault(NULL, 0, true) == -EINVAL);
  CHECK(shim_memory_physical() > 0);
}

static void wrong_objects(void) {
  shim_mapping mapping;
  xpc_object_t number = xpc_int64_create(1);
  CHECK(shim_memory_open(number, 1, &mapping) == -EINVAL);
  CHECK(shim_memory_open_read_only(number, 1, &mapping) == -EINVAL);
  xpc_release(number);
}

static void read_only(void) {
  const uint64_t length = 10 * shim_memory_page_size();
  shim_mapping ours, theirs;
  REQUIRE(shim_memory_create_read_only(length, &ours) == 0);
  int fd = (int)ours.fd;
  CHECK(ours.mapped == length && fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  ((char *)ours.address)[0] = 'a'; /* its maker writes */
  xpc_object_t object = xpc_fd_create(fd);
  REQUIRE(shim_memory_open_read_only(object, length, &theirs) == 0);
  CHECK(((const char *)theirs.address)[0] == 'a');
  ((char *)ours.address)[length - 1] = 'z';
  CHECK(((const char *)theirs.address)[length - 1] == 'z');
  CHECK(shim_memory_prefault(theirs.address, length, false) == 0);

  /* All other ways in. */
  CHECK(mprotect(theirs.address, length, PROT_READ | PROT_WRITE) != 0);
  CHECK(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
  CHECK(write(fd, "b", 1) != 1 && pwrite(fd, "b", 1, 5) != 1);
  CHECK(ftruncate(fd, 0) != 0 && ftruncate(fd, (off_t)length * 2) != 0);
  CHECK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)length) != 0);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0);
  char path[64];
  (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDWR | O_CLOEXEC);
  if (again >= 0) {
    CHECK(mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) == MAP_FAILED);
    CHECK(write(again, "b", 1) != 1);
    CHECK(close(again) == 0);
  }
  CHECK(((const char *)theirs.address)[0] == 'a');

  int inherited = dup(fd); /* not close-on-exec */
  char number[16], size[32];
  (void)snprintf(number, sizeof number, "%d", inherited);
  (void)snprintf(size, sizeof size, "%llu", (unsigned long long)length);
  int status = wait_exit(spawn_role("trespass", (const char *[]){number, size, NULL}, NULL));
  CHECK(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS));
  CHECK(((const char *)ours.address)[0] == 'a');

  CHECK(shim_memory_open_read_only(object, length + 1, &ours) == -EMSGSIZE);
  CHECK(close(inherited) == 0 && close(fd) == 0);
  xpc_release(object);
  CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
  CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
}

/* What an attacker might send in place of it. */
static void refused_descriptor(int fd, uint64_t length, int error) {
  shim_mapping mapping = {.mapped = 12345};
  xpc_object_t object = xpc_fd_create(fd);
  CHECK(shim_memory_open_read_only(object, length, &mapping) == error);
  CHECK(mapping.mapped == 12345 && mapping.address == NULL); /* nothing half done */
  xpc_release(object);
  CHECK(close(fd) == 0);
}

static void refused(void) {
  const uint64_t page = shim_memory_page_size();
  size_t fds = count_fds();
  int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, (off_t)page) == 0);
  refused_descriptor(fd, page, -EPERM);
  fd = memfd_create("not to be sealed", MFD_CLOEXEC);
  CHECK(ftruncate(fd, (off_t)page) == 0);
  refused_descriptor(fd, page, -EPERM);
  fd = memfd_create("sealed otherwise", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, (off_t)page) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_GROW) == 0);
  refused_descriptor(fd, page, -EPERM);
  fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, (off_t)page - 1) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  refused_descriptor(fd, page, -EMSGSIZE);
  fd = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  refused_descriptor(fd, 1, -EMSGSIZE);
  char path[256];
  (void)snprintf(path, sizeof path, "%s/file", getenv("XDG_RUNTIME_DIR"));
  fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(ftruncate(fd, (off_t)page) == 0);
  shim_mapping mapping;
  xpc_object_t object = xpc_fd_create(fd);
  CHECK(shim_memory_open_read_only(object, page, &mapping) == -EPERM); /* could be truncated under us */
  xpc_release(object);
  CHECK(close(fd) == 0);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  refused_descriptor(ends[0], page, -EMSGSIZE);
  CHECK(close(ends[1]) == 0);
  CHECK(count_fds() == fds);
}

static void sparse(void) {
  const uint64_t length = UINT64_C(8) << 30;
  shim_mapping ours, theirs;
  size_t before = resident_kilobytes();
  REQUIRE(shim_memory_create(length, &ours) == 0);
  xpc_object_t shmem = xpc_shmem_create(ours.address, length);
  REQUIRE(shim_memory_open(shmem, length, &theirs) == 0);
  ((char *)ours.address)[length - 1] = 1;
  ((char *)ours.address)[length / 2] = 2;
  CHECK(((char *)theirs.address)[length - 1] == 1 && ((char *)theirs.address)[length / 2] == 2);
  CHECK(resident_kilobytes() < before + (64 << 10)); /* a page where it was touched */
  xpc_release(shmem);
  CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
  CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
  REQUIRE(shim_memory_create_read_only(length, &ours) == 0);
  xpc_object_t object = xpc_fd_create((int)ours.fd);
  REQUIRE(shim_memory_open_read_only(object, length, &theirs) == 0);
  ((char *)ours.address)[length - 1] = 3;
  CHECK(((const char *)theirs.address)[length - 1] == 3);
  xpc_release(object);
  CHECK(close((int)ours.fd) == 0);
  CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
  CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
}

static void nothing_left(void) {
  size_t fds = 0, mappings = 0;
  for (int i = 0; i < 300; i++) {
    if (i == 10) {
      fds = count_fds();
      mappings = count_mappings();
    }
    shim_mapping ours, theirs;
    REQUIRE(shim_memory_create_read_only(100000, &ours) == 0);
    xpc_object_t object = xpc_fd_create((int)ours.fd);
    REQUIRE(shim_memory_open_read_only(object, 100000, &theirs) == 0);
    xpc_release(object);
    CHECK(close((int)ours.fd) == 0);
    CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
    CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
  }
  CHECK(count_fds() == fds);
  CHECK(ADDRESS_SANITIZED || THREAD_SANITIZED || count_mappings() <= mappings + 2);
}

const struct test tests[] = {
  {"memory: both sides see what is written, and its true length", created},
  {"memory: only the right objects", wrong_objects},
  {"memory: read-only is the kernel's word", read_only},
  {"memory: descriptors that could change or fault are refused", refused},
  {"memory: 8 GiB cost the pages that are touched", sparse},
  {"memory: nothing is left behind", nothing_left},
  {NULL, NULL},
};
