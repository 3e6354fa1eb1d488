/*
 * descriptor.c: descriptors as objects, and what two descriptors have in common.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* Newer than glibc 2.28's headers. */
#ifndef MFD_CLOEXEC
#define MFD_CLOEXEC 1u
#endif
#ifndef MFD_ALLOW_SEALING
#define MFD_ALLOW_SEALING 2u
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

int xpc_linux_memfd(const char *name) {
  long fd = syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  if (fd < 0 && errno == EINVAL) fd = syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  return (int)fd;
}

xpc_object_t xpc_fd_adopt(int fd) {
  struct xpc_fd *object = xpc_object_allocate(XPC_TYPE_FD, sizeof *object);
  object->fd = fd;
  return object;
}

xpc_object_t xpc_fd_create(int fd) {
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return copy < 0 ? NULL : xpc_fd_adopt(copy);
}

int xpc_fd_dup(xpc_object_t xfd) {
  if (xpc_get_type(xfd) != XPC_TYPE_FD) return -1;
  return fcntl(((struct xpc_fd *)xfd)->fd, F_DUPFD_CLOEXEC, 0);
}

bool xpc_same_file(int a, int b) {
  struct stat first, second;
  if (fstat(a, &first) != 0 || fstat(b, &second) != 0) return false;
  return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

size_t xpc_file_hash(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return 0;
  return (size_t)status.st_dev * 31 + (size_t)status.st_ino;
}
