/*
 * huge_pages.h: mappings of shared memory on Linux that the kernel can back with huge pages.
 *
 * A page of 2 MiB takes one entry where 512 small pages take 512. It is had only where the address and the offset in
 * the file are multiples of it. So large memory is mapped at such addresses, in every process.
 */
#ifndef XPC_SHMEM_HUGE_PAGES_H
#define XPC_SHMEM_HUGE_PAGES_H

#if defined(__linux__)
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

/* Below this, huge pages gain less than the address range that an alignment takes. */
#define HUGE_ENOUGH (2 * HUGE_PAGE)

/* As mmap of a whole file, shared; MAP_FAILED and errno when it cannot be had. */
static inline void *map_shared(size_t length, int protection, int fd) {
  if (length < HUGE_ENOUGH || length > SIZE_MAX - HUGE_PAGE) {
    return mmap(NULL, length, protection, MAP_SHARED, fd, 0);
  }
  /* A range with room for an aligned address; what is left over at both ends is given back. */
  char *range = mmap(NULL, length + HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return mmap(NULL, length, protection, MAP_SHARED, fd, 0);
  size_t before = (HUGE_PAGE - (uintptr_t)range % HUGE_PAGE) % HUGE_PAGE;
  char *address = range + before;
  if (mmap(address, length, protection, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
    (void)munmap(range, length + HUGE_PAGE);
    return MAP_FAILED;
  }
  /* Neither can fail for a range that is mapped, unless the process has no mapping left to split one: then the range
   * stays reserved, which costs an address range and nothing else. */
  if (before > 0) (void)munmap(range, before);
  if (before < HUGE_PAGE) (void)munmap(address + length, HUGE_PAGE - before);
  return address;
}
#endif

#endif
