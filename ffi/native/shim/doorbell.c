/* doorbell.c: sockets that an event loop reads and others ring. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

int32_t shim_bell_connect(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length >= sizeof address.sun_path) return -ENAMETOOLONG;
  memcpy(address.sun_path, path, length + 1);
#if defined(__linux__)
  /* Without blocking: where the listener's backlog is full, connect would wait for the listener. */
  int bell = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bell < 0) return -errno;
#else
  int bell = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bell < 0) return -errno;
  int on = 1;
  if (fcntl(bell, F_SETFD, FD_CLOEXEC) != 0 ||
      setsockopt(bell, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0) {
    int error = errno;
    (void)close(bell);
    return -error;
  }
#endif
  if (connect(bell, (const struct sockaddr *)&address, sizeof address) != 0) {
    int error = errno;
    (void)close(bell);
    return -error;
  }
  return bell;
}

int32_t shim_bell_ring(int32_t bell) {
#if defined(__linux__)
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
  const int flags = MSG_DONTWAIT; /* SO_NOSIGPIPE is the maker's; Deno ignores SIGPIPE */
#endif
  /* send, not write: a descriptor from a peer that is no socket gives ENOTSOCK and cannot block us. */
  if (send(bell, "", 1, flags) == 1) return 0;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

int32_t shim_descriptor_close(int32_t fd) { return close(fd) == 0 ? 0 : -errno; }
