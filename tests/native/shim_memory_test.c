/*
 * shim_memory_test.c: mappings that are shared, and what the kernel refuses.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <xpc/linux.h>

#include "../../ffi/native/shim/internal.h"
#include "harness.h"

/* libxpc's own: an object as it is when it was received. */
xpc_object_t xpc_shmem_adopt(int fd, uint64_t length);

#ifndef MFD_HUGETLB
#define MFD_HUGETLB 4u
#endif

/* ------------------------------------------------------------------- a control group that is ours ---- */

enum { IMPOSSIBLE = 77 }; /* the exit status of "limited" where the system does not let it */

static bool write_file(const char *folder, const char *name, const char *format, ...) {
  char path[512];
  (void)snprintf(path, sizeof path, "%.400s/%s", folder, name);
  FILE *file = fopen(path, "we");
  if (file == NULL) return false;
  va_list arguments;
  va_start(arguments, format);
  bool written = vfprintf(file, format, arguments) > 0;
  va_end(arguments);
  return fclose(file) == 0 && written;
}

/* A file system of our own where the groups are, with a folder for ours. */
static bool pretend_groups(char *folder, size_t size) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return false;
  char line[256] = "";
  FILE *file = fopen("/proc/self/cgroup", "re");
  while (file != NULL && fgets(line, sizeof line, file) != NULL && strncmp(line, "0::/", 4) != 0) continue;
  if (file == NULL || fclose(file) != 0 || strncmp(line, "0::/", 4) != 0 || strstr(line, "/..")) return false;
  line[strcspn(line, "\n")] = '\0';
  if (mount("none", "/sys/fs/cgroup", "tmpfs", 0, NULL) != 0) return false;
  (void)snprintf(folder, size, "/sys/fs/cgroup%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
  for (char *end = folder + strlen("/sys/fs/cgroup"); *end != '\0';) {
    end += 1 + strcspn(end + 1, "/");
    char rest = *end;
    *end = '\0';
    if (mkdir(folder, 0700) != 0) return false;
    *end = rest;
  }
  return true;
}

/* "limited": prefaults in a group with little left, then in one with enough. The number of the step that
 * failed, or 0. */
static int run_limited(void) {
  enum { LENGTH = 16 << 20, MUCH = 1 << 30 };
  char folder[512];
  if (!pretend_groups(folder, sizeof folder)) return IMPOSSIBLE;
  shim_mapping mapping;
  if (shim_memory_create(LENGTH, &mapping) != 0) return 1;
  unsigned char resident[LENGTH / 4096 + 1];
  if (!write_file(folder, "memory.max", "%d\n", MUCH)) return 2;
  if (!write_file(folder, "memory.current", "%d\n", MUCH - LENGTH + 4096)) return 3;
  if (!write_file(folder, "memory.stat", "anon 1\nactive_file 0\ninactive_file 0\n")) return 4;
  if (shim_memory_prefault(mapping.address, LENGTH, true) != -ENOMEM) return 5;
  if (shim_memory_prefault(mapping.address, LENGTH, false) != -ENOMEM) return 6;
  if (mincore(mapping.address, LENGTH, resident) != 0) return 7;
  for (size_t i = 0; i < LENGTH / shim_memory_page_size(); i++) {
    if (resident[i] & 1) return 8; /* refused, but pages were touched */
  }
  if (shim_memory_prefault(mapping.address, LENGTH / 2, true) != 0) return 9;
  if (shim_memory_prefault(mapping.address, LENGTH, true) != 0) return 10; /* half of it is there already */
  if (shim_memory_close(mapping.address, mapping.mapped) != 0) return 11;
  if (shim_memory_create(LENGTH, &mapping) != 0) return 12;
  /* Cached files give way. */
  if (!write_file(folder, "memory.stat", "anon 1\nactive_file 4096\ninactive_file 4096\n")) return 13;
  if (shim_memory_prefault(mapping.address, LENGTH, true) != 0) return 14;
  if (!write_file(folder, "memory.max", "max\n")) return 15;
  return shim_memory_close(mapping.address, mapping.mapped) == 0 ? 0 : 16;
}

/* "trespass" FD LENGTH: maps as a client does, reads, and then writes. */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "limited") == 0) return run_limited();
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
    CHECK(shim_memory_open(shmem, 0, &theirs) == -EINVAL &&
          shim_memory_open(shmem, UINT64_MAX, &theirs) == -EINVAL);
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
  CHECK(shim_memory_create(INT64_MAX / 2, &none) < 0 &&
        shim_memory_create_read_only(INT64_MAX / 2, &none) < 0);
  CHECK(shim_memory_prefault(NULL, 0, true) == -EINVAL);
  CHECK(shim_memory_physical() > 0);
}

#if defined(__linux__)
/* Large memory begins where huge pages can, on both sides; prefaulting keeps what is in it. */
static void aligned(void) {
  const uint64_t huge = 2 << 20;
  const uint64_t lengths[] = {2 * huge, 2 * huge + 1, 9 * huge - 1};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    for (int sealed = 0; sealed <= 1; sealed++) {
      shim_mapping ours, theirs;
      REQUIRE((sealed ? shim_memory_create_read_only : shim_memory_create)(lengths[i], &ours) == 0);
      CHECK((uintptr_t)ours.address % huge == 0 && ours.mapped >= lengths[i]);
      char *bytes = ours.address;
      bytes[0] = 'a';
      bytes[lengths[i] - 1] = 'z';
      CHECK(shim_memory_prefault(ours.address, lengths[i], true) == 0);
      xpc_object_t object =
        sealed ? xpc_fd_create((int)ours.fd) : xpc_shmem_create(ours.address, ours.mapped);
      REQUIRE((sealed ? shim_memory_open_read_only : shim_memory_open)(object, lengths[i], &theirs) == 0);
      CHECK((uintptr_t)theirs.address % huge == 0);
      CHECK(shim_memory_prefault(theirs.address, lengths[i], false) == 0);
      const char *seen = theirs.address;
      CHECK(seen[0] == 'a' && seen[1] == 0 && seen[lengths[i] - 1] == 'z');
      CHECK(shim_memory_close(theirs.address, theirs.mapped) == 0);
      CHECK(shim_memory_close(ours.address, ours.mapped) == 0);
      if (sealed) close((int)ours.fd);
      xpc_release(object);
    }
  }
}
#endif

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

/* A received shmem object says the same of its memory. */
static void refused_shmem(int fd, uint64_t length, int error) {
  shim_mapping mapping = {.mapped = 12345};
  xpc_object_t object = xpc_shmem_adopt(fd, length);
  CHECK(shim_memory_open(object, length, &mapping) == error);
  CHECK(mapping.mapped == 12345 && mapping.address == NULL);
  xpc_release(object);
}

static void refused_for_what_it_is(void) {
  const uint64_t page = shim_memory_page_size();
  int fd = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, (off_t)page) == 0);
  refused_shmem(fd, page, -EPERM);
  fd = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  CHECK(ftruncate(fd, (off_t)page - 1) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  refused_shmem(fd, page, -EMSGSIZE);
  /* Huge pages, of which none may be left when one is touched. */
  const uint64_t huge = 2 << 20;
  for (int i = 0; i < 2; i++) {
    fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (fd < 0) continue; /* a kernel without them */
    CHECK(ftruncate(fd, (off_t)huge) == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    if (i == 0) refused_shmem(fd, huge, -EPERM);
    else refused_descriptor(fd, huge, -EPERM);
  }
}

static void limited(void) {
  int status = wait_exit(spawn_role("limited", NULL, NULL));
  if (WIFEXITED(status) && WEXITSTATUS(status) == IMPOSSIBLE) {
    printf("# prefaulting in a control group is not tested: no mount namespace can be had\n");
    return;
  }
  if (!CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0)) printf("# status %#x\n", (unsigned)status);
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
#if defined(__linux__)
  {"memory: large memory lies where huge pages can", aligned},
#endif
  {"memory: only the right objects", wrong_objects},
  {"memory: read-only is the kernel's word", read_only},
  {"memory: descriptors that could change or fault are refused", refused},
  {"memory: what is refused is refused for what it is", refused_for_what_it_is},
  {"memory: prefaulting stays within the control group's limit", limited},
  {"memory: 8 GiB cost the pages that are touched", sparse},
  {"memory: nothing is left behind", nothing_left},
  {NULL, NULL},
};
