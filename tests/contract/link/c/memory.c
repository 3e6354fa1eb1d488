/* memory.c: memory objects, as the page's section "Memory objects" has them. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xpc/linux.h>

#include "party.h"

static size_t whole_pages(size_t bytes) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (bytes + page - 1) / page * page;
}

bool make_shared(size_t bytes, struct mapping *mapping) {
  size_t mapped = whole_pages(bytes);
  void *address = xpc_linux_shmem_allocate(mapped);
  *mapping = (struct mapping){.address = address, .mapped = mapped, .fd = -1};
  return address != NULL;
}

bool make_read_only(size_t bytes, struct mapping *mapping) {
  size_t mapped = whole_pages(bytes);
  int fd = memfd_create("link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return false;
  void *address = MAP_FAILED;
  if (ftruncate(fd, (off_t)mapped) == 0) {
    address = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
  if (address == MAP_FAILED || fcntl(fd, F_ADD_SEALS, seals) != 0) {
    if (address != MAP_FAILED) (void)munmap(address, mapped);
    (void)close(fd);
    return false;
  }
  *mapping = (struct mapping){.address = address, .mapped = mapped, .fd = fd};
  return true;
}

bool map_shmem(xpc_object_t shmem, size_t bytes, struct mapping *mapping) {
  void *address = NULL;
  size_t mapped = xpc_shmem_map(shmem, &address);
  if (mapped == 0) return false;
  if (mapped < bytes) {
    (void)munmap(address, mapped);
    return false;
  }
  *mapping = (struct mapping){.address = address, .mapped = mapped, .fd = -1};
  return true;
}

bool map_fd(xpc_object_t object, size_t bytes, struct mapping *mapping) {
  size_t mapped = whole_pages(bytes);
  int fd = xpc_fd_dup(object);
  if (fd < 0) return false;
  struct stat status;
  int seals = fcntl(fd, F_GET_SEALS);
  void *address = MAP_FAILED;
  if (fstat(fd, &status) == 0 && status.st_size >= 0 && (size_t)status.st_size >= mapped && seals >= 0 &&
      (seals & F_SEAL_SHRINK) != 0) {
    address = mmap(NULL, mapped, PROT_READ, MAP_SHARED, fd, 0);
  }
  (void)close(fd);
  if (address == MAP_FAILED) return false;
  *mapping = (struct mapping){.address = address, .mapped = mapped, .fd = -1};
  return true;
}

xpc_object_t share(const struct mapping *mapping) {
  if (mapping->fd >= 0) return xpc_fd_create(mapping->fd);
  return xpc_shmem_create(mapping->address, mapping->mapped);
}
