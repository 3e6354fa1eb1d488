/*
 * shmem.c: shared memory: sealed memfds, and which of them lies behind an address.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../include/huge_pages.h"
#include "../include/pages.h"
#include "internal.h"

/* A memfd, shared by the allocation that made it and all the objects that box it. */
struct xpc_memory {
  _Atomic int32_t references;
  int fd;
};

struct allocation {
  struct allocation *next;
  void *address;
  size_t length; /* in whole pages */
  struct xpc_memory *memory;
};

static pthread_mutex_t allocations_lock = PTHREAD_MUTEX_INITIALIZER;
static struct allocation *allocations;

static void memory_release(struct xpc_memory *memory) {
  if (atomic_fetch_sub(&memory->references, 1) != 1) return;
  xpc_close(memory->fd);
  free(memory);
}

void *xpc_linux_shmem_allocate(size_t length) {
  size_t rounded = whole_pages(length);
  if (rounded == 0) {
    errno = length ? ENOMEM : EINVAL;
    return NULL;
  }
  int fd = xpc_linux_memfd("xpc-shmem");
  if (fd < 0) return NULL;
  if (ftruncate(fd, (off_t)rounded) != 0 ||
      fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    xpc_close(fd);
    return NULL;
  }
  void *address = map_shared(rounded, PROT_READ | PROT_WRITE, fd);
  if (address == MAP_FAILED) {
    xpc_close(fd);
    return NULL;
  }
  struct xpc_memory *memory = xpc_allocate(sizeof *memory);
  atomic_init(&memory->references, 1);
  memory->fd = fd;
  struct allocation *allocation = xpc_allocate(sizeof *allocation);
  *allocation = (struct allocation){.address = address, .length = rounded, .memory = memory};
  pthread_mutex_lock(&allocations_lock);
  allocation->next = allocations;
  allocations = allocation;
  pthread_mutex_unlock(&allocations_lock);
  return address;
}

/* Takes the allocation at `address` off the list; NULL for any other address. */
static struct allocation *forget(void *address, size_t rounded) {
  struct allocation *found = NULL;
  pthread_mutex_lock(&allocations_lock);
  for (struct allocation **link = &allocations; *link; link = &(*link)->next) {
    if ((*link)->address != address || (*link)->length != rounded) continue;
    found = *link;
    *link = found->next;
    break;
  }
  pthread_mutex_unlock(&allocations_lock);
  return found;
}

int xpc_linux_shmem_deallocate(void *address, size_t length) {
  size_t rounded = whole_pages(length);
  struct allocation *found = forget(address, rounded);
  if (!found) {
    errno = EINVAL;
    return -1;
  }
  int result = munmap(address, rounded);
  memory_release(found->memory);
  free(found);
  return result;
}

int xpc_linux_shmem_forget(void *address, size_t length) {
  struct allocation *found = forget(address, whole_pages(length));
  if (!found) {
    errno = EINVAL;
    return -1;
  }
  memory_release(found->memory);
  free(found);
  return 0;
}

static xpc_object_t box(struct xpc_memory *memory, uint64_t length) {
  struct xpc_shmem *object = xpc_object_allocate(XPC_TYPE_SHMEM, sizeof *object);
  object->memory = memory;
  object->length = length;
  return object;
}

xpc_object_t xpc_shmem_create(void *region, size_t length) {
  struct xpc_memory *memory = NULL;
  pthread_mutex_lock(&allocations_lock);
  for (struct allocation *each = allocations; each; each = each->next) {
    if (each->address != region || length == 0 || length > each->length) continue;
    memory = each->memory;
    atomic_fetch_add(&memory->references, 1);
    break;
  }
  pthread_mutex_unlock(&allocations_lock);
  if (!memory) {
    xpc_misuse("xpc_shmem_create: %zu bytes at %p are not memory of xpc_linux_shmem_allocate", length,
               region);
  }
  return box(memory, length);
}

xpc_object_t xpc_shmem_adopt(int fd, uint64_t length) {
  struct xpc_memory *memory = xpc_allocate(sizeof *memory);
  atomic_init(&memory->references, 1);
  memory->fd = fd;
  return box(memory, length);
}

int xpc_shmem_descriptor(xpc_object_t shmem) { return ((struct xpc_shmem *)shmem)->memory->fd; }

void xpc_shmem_dispose(struct xpc_shmem *shmem) { memory_release(shmem->memory); }

int xpc_linux_shmem_check(int fd, uint64_t length) {
  struct stat status;
  if (fstat(fd, &status) != 0) return errno;
  if (status.st_size < 0 || (uint64_t)status.st_size < length) return EMSGSIZE;
  int seals = fcntl(fd, F_GET_SEALS);
  if (seals < 0 || !(seals & F_SEAL_SHRINK)) return EPERM;
  struct statfs filesystem; /* huge pages may not be there when they are touched */
  return fstatfs(fd, &filesystem) == 0 && filesystem.f_type == TMPFS_MAGIC ? 0 : EPERM;
}

size_t xpc_shmem_map(xpc_object_t xshmem, void **region) {
  struct xpc_shmem *shmem = xpc_object_expect(xshmem, XPC_TYPE_SHMEM, __func__);
  size_t rounded = whole_pages(shmem->length);
  int error = rounded ? xpc_linux_shmem_check(shmem->memory->fd, shmem->length) : EINVAL;
  if (error) {
    errno = error;
    return 0;
  }
  void *address = map_shared(rounded, PROT_READ | PROT_WRITE, shmem->memory->fd);
  if (address == MAP_FAILED) return 0;
  *region = address;
  return rounded;
}
