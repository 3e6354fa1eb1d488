/*
 * pages.h: lengths in whole pages, for libxpc on Linux and for the shim on both systems.
 */
#ifndef XPC_SHMEM_PAGES_H
#define XPC_SHMEM_PAGES_H

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

static inline uint64_t page_size(void) {
  long size = sysconf(_SC_PAGESIZE);
  return size > 0 ? (uint64_t)size : 4096;
}

/* The length rounded up to whole pages; 0 where it is 0, or does not fit into memory. */
static inline size_t whole_pages(uint64_t length) {
  uint64_t page = page_size();
  if (length == 0 || length > (uint64_t)INTPTR_MAX - page) return 0;
  return (size_t)((length + page - 1) / page * page);
}

#endif
