/* memory.c: mappings that may be shared, writable by all or by their maker only. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xpc/xpc.h>

#include "../include/huge_pages.h"
#include "../include/pages.h"
#include "internal.h"

#if defined(__linux__)
#include <sys/sysinfo.h>
#include <xpc/linux.h>
#elif defined(__APPLE__)
#include <stdlib.h>
#include <sys/sysctl.h>
#endif

/* Linux's numbers, for C libraries older than the kernel. */
#if defined(__linux__)
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_SEAL_SEAL 0x0001
#define F_SEAL_SHRINK 0x0002
#define F_SEAL_GROW 0x0004
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#endif

uint64_t shim_memory_page_size(void) { return page_size(); }

uint64_t shim_memory_physical(void) {
#if defined(__linux__)
  struct sysinfo info;
  if (sysinfo(&info) != 0) return 0;
  return ((uint64_t)info.totalram + info.totalswap) * info.mem_unit;
#else
  uint64_t bytes = 0;
  size_t size = sizeof bytes;
  /* Swap on macOS grows with the free disk and is not counted. */
  return sysctlbyname("hw.memsize", &bytes, &size, NULL, 0) == 0 ? bytes : 0;
#endif
}

int shim_memory_create(uint64_t length, shim_mapping *mapping) {
  size_t mapped = whole_pages(length);
  if (mapped == 0) return -EINVAL;
#if defined(__linux__)
  void *address = xpc_linux_shmem_allocate(mapped);
  if (!address) return -errno;
#else
  void *address = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
  if (address == MAP_FAILED) return -errno;
#endif
  *mapping = (shim_mapping){.address = address, .mapped = mapped, .fd = -1};
  return 0;
}

#if defined(__linux__)

int shim_memory_create_read_only(uint64_t length, shim_mapping *mapping) {
  size_t mapped = whole_pages(length);
  if (mapped == 0) return -EINVAL;
  int fd = xpc_linux_memfd("xpc-shmem");
  if (fd < 0) return -errno;
  void *address = MAP_FAILED;
  if (ftruncate(fd, (off_t)mapped) == 0) {
    address = map_shared(mapped, PROT_READ | PROT_WRITE, fd);
  }
  /* After the seal no new mapping can be writable; ours stays. A read-only descriptor alone would not do:
   * it can be opened again for writing through /proc. */
  if (address == MAP_FAILED ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) != 0) {
    int error = errno;
    if (address != MAP_FAILED) (void)munmap(address, mapped);
    (void)close(fd);
    return -error;
  }
  *mapping = (shim_mapping){.address = address, .mapped = mapped, .fd = fd};
  return 0;
}

#else

int shim_memory_create_read_only(uint64_t length, shim_mapping *mapping) {
  size_t mapped = whole_pages(length);
  if (mapped == 0) return -EINVAL;
  char name[32]; /* shm_open takes at most 31 characters on macOS */
  int writable = -1;
  for (int attempt = 0; attempt < 16 && writable < 0; attempt++) {
    static const char digits[] = "0123456789abcdef";
    uint8_t random[12];
    arc4random_buf(random, sizeof random);
    char *end = name;
    for (const char *prefix = "/xpc."; *prefix != '\0'; prefix++) *end++ = *prefix;
    for (size_t i = 0; i < sizeof random; i++) {
      *end++ = digits[random[i] >> 4];
      *end++ = digits[random[i] & 15];
    }
    *end = '\0';
    writable = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (writable < 0 && errno != EEXIST) return -errno;
  }
  if (writable < 0) return -EEXIST;
  int error = 0;
  int fd = -1;
  void *address = MAP_FAILED;
  /* Once only: a second ftruncate of a shared memory object fails on macOS. */
  if (ftruncate(writable, (off_t)mapped) != 0 || (fd = shm_open(name, O_RDONLY)) < 0) error = errno;
  /* The name is needed no more: nobody but the holder of the descriptor can open it. */
  if (shm_unlink(name) != 0 && error == 0) error = errno;
  if (error == 0) {
    address = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, writable, 0);
    if (address == MAP_FAILED) error = errno;
  }
  if (error == 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) error = errno;
  (void)close(writable);
  if (error != 0) {
    if (address != MAP_FAILED) (void)munmap(address, mapped);
    if (fd >= 0) (void)close(fd);
    return -error;
  }
  *mapping = (shim_mapping){.address = address, .mapped = mapped, .fd = fd};
  return 0;
}

#endif

int shim_memory_open(void *shmem, uint64_t length, shim_mapping *mapping) {
  if (whole_pages(length) == 0) return -EINVAL;
  if (xpc_get_type(shmem) != XPC_TYPE_SHMEM) return -EINVAL;
  void *address = NULL;
  errno = 0; /* on macOS xpc_shmem_map need not set it */
  size_t mapped = xpc_shmem_map(shmem, &address);
  if (mapped == 0) return errno != 0 ? -errno : -ENOMEM;
  if (mapped < length) {
    (void)munmap(address, mapped);
    return -EMSGSIZE;
  }
  *mapping = (shim_mapping){.address = address, .mapped = mapped, .fd = -1};
  return 0;
}

/* What a received descriptor must be before its pages are touched: as long as the sender said, and unable to shrink. */
static int check_descriptor(int fd, size_t mapped) {
#if defined(__linux__)
  return -xpc_linux_shmem_check(fd, mapped);
#else
  struct stat status;
  if (fstat(fd, &status) != 0) return -errno;
  /* An object of shm_open has no file type. A file could be truncated later, and our reads would fault. */
  if ((status.st_mode & S_IFMT) != 0) return -EPERM;
  return status.st_size >= 0 && (uint64_t)status.st_size >= mapped ? 0 : -EMSGSIZE;
#endif
}

int shim_memory_open_read_only(void *object, uint64_t length, shim_mapping *mapping) {
  size_t mapped = whole_pages(length);
  if (mapped == 0 || xpc_get_type(object) != XPC_TYPE_FD) return -EINVAL;
  errno = 0;
  int fd = xpc_fd_dup(object);
  if (fd < 0) return errno == EMFILE || errno == ENFILE ? -errno : -EBADF;
  int error = check_descriptor(fd, mapped);
  if (error == 0) {
#if defined(__linux__)
    void *address = map_shared(mapped, PROT_READ, fd);
#else
    void *address = mmap(NULL, mapped, PROT_READ, MAP_SHARED, fd, 0);
#endif
    if (address == MAP_FAILED) {
      error = -errno;
    } else {
      *mapping = (shim_mapping){.address = address, .mapped = mapped, .fd = -1};
    }
  }
  (void)close(fd); /* the mapping keeps the memory */
  return error;
}

#if defined(__linux__)
/* How many bytes of the mapping are in no page yet: those that prefaulting would take from the system. */
static uint64_t count_absent(void *address, size_t mapped) {
  enum { PAGES = 4096 };
  unsigned char resident[PAGES];
  size_t page = (size_t)page_size();
  uint64_t absent = 0;
  for (size_t done = 0; done < mapped;) {
    size_t length = mapped - done < PAGES * page ? mapped - done : PAGES * page;
    if (mincore((char *)address + done, length, resident) != 0) return mapped; /* unknown: assume the worst */
    for (size_t i = 0; i < length / page; i++) absent += (resident[i] & 1) ? 0 : page;
    done += length;
  }
  return absent;
}
#endif

#if defined(__linux__)
/* What one huge page may take on average, in nanoseconds: as small pages, 2 MiB take about as long. The kernel takes
 * much longer where it has to move other memory out of the way first; a few such pages are tolerated. */
#define HUGE_PATIENCE 2000000u
#define HUGE_SLOW_PAGES 16u

/*
 * Has the kernel make huge pages, as long as it has some at hand. One byte of each is touched first, since only pages
 * that there are can be collapsed; all small pages would take ten times as long. What is left becomes small pages
 * afterwards. Needs no setting of the system: a collapse that a process asks for is allowed since Linux 6.1.
 */
static void collapse(char *address, size_t mapped) {
  if ((uintptr_t)address % HUGE_PAGE != 0) return;
  uint64_t begin = shim_now();
  uint64_t pages = HUGE_SLOW_PAGES;
  for (size_t done = 0; mapped - done >= HUGE_PAGE; done += HUGE_PAGE, pages++) {
    (void)__atomic_fetch_or((volatile uint8_t *)address + done, 0, __ATOMIC_RELAXED);
    if (madvise(address + done, HUGE_PAGE, MADV_COLLAPSE) != 0) return;
    if (shim_now() - begin > pages * HUGE_PATIENCE) return;
  }
}
#endif

int shim_memory_prefault(void *address, uint64_t length, bool writable) {
  size_t mapped = whole_pages(length);
  if (mapped == 0) return -EINVAL;
#if defined(__linux__)
  /* The kernel would not refuse, but kill a process of the control group. */
  if (count_absent(address, mapped) > shim_cgroup_available()) return -ENOMEM;
  if (writable && mapped >= HUGE_ENOUGH) collapse(address, mapped);
  if (madvise(address, mapped, writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0) return 0;
  if (errno != EINVAL) return -ENOMEM; /* EINVAL: a kernel before 5.14, which has to be shown each page */
#endif
  uint64_t page = page_size();
  for (uint64_t offset = 0; offset < mapped; offset += page) {
    volatile uint8_t *byte = (volatile uint8_t *)address + offset;
    if (writable) {
      /* An atomic nothing: the peer may be writing there. */
      (void)__atomic_fetch_or(byte, 0, __ATOMIC_RELAXED);
    } else {
      (void)*byte;
    }
  }
  return 0;
}

int shim_memory_close(void *address, uint64_t mapped) {
#if defined(__linux__)
  /* The allocator remembers what it made; what was received or sealed is not its. */
  if (xpc_linux_shmem_deallocate(address, (size_t)mapped) == 0) return 0;
#endif
  return munmap(address, (size_t)mapped) == 0 ? 0 : -errno;
}

int shim_memory_retire(void *address, uint64_t mapped) {
  /* Reserves no memory: a page costs something only when it is written. */
  int flags = MAP_PRIVATE | MAP_ANON | MAP_FIXED | MAP_NORESERVE;
  /* One step: no other thread can get the range in between. */
  void *range = mmap(address, (size_t)mapped, PROT_READ | PROT_WRITE, flags, -1, 0);
  /* Writable memory is refused where the system commits to all that it maps. */
  if (range == MAP_FAILED) range = mmap(address, (size_t)mapped, PROT_NONE, flags, -1, 0);
  if (range == MAP_FAILED) return -errno;
#if defined(__linux__)
  /* -1 for what was received or sealed: the allocator knows only what it made. */
  (void)xpc_linux_shmem_forget(address, (size_t)mapped);
#endif
  return 0;
}
