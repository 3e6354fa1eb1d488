/*
 * doorbell.c: socket pairs, of which an event loop reads one end and others ring the other end.
 *
 * Sockets, since JavaScript's event loop reads them without a permission of its own, and XPC carries them to other
 * processes. Streams, since a full buffer is then no loss: bytes that nobody has read wake the reader all the same.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "internal.h"

#if !defined(__linux__)
/* What SOCK_CLOEXEC, SOCK_NONBLOCK and MSG_NOSIGNAL do elsewhere. Not in one step with the making: a program that
 * another thread starts in between inherits the end. */
static int prepare_end(int32_t end) {
  int on = 1;
  if (fcntl(end, F_SETFD, FD_CLOEXEC) != 0 || fcntl(end, F_SETFL, O_NONBLOCK) != 0 ||
      setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) != 0) {
    return -errno;
  }
  return 0;
}
#endif

int32_t shim_bell_pair(int32_t ends[2]) {
#if defined(__linux__)
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0 ? 0 : -errno;
#else
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return -errno;
  int error = prepare_end(ends[0]);
  if (error == 0) error = prepare_end(ends[1]);
  if (error == 0) return 0;
  (void)close(ends[0]);
  (void)close(ends[1]);
  return error;
#endif
}

int32_t shim_bell_ring(int32_t bell) {
#if defined(__linux__)
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
  const int flags = MSG_DONTWAIT; /* the pair was made with SO_NOSIGPIPE, and Deno ignores SIGPIPE */
#endif
  /* send, not write: a descriptor from a peer that is no socket gives ENOTSOCK and cannot block us. */
  ssize_t sent;
  do sent = send(bell, "", 1, flags);
  while (sent < 0 && errno == EINTR); /* a signal must not swallow an announcement */
  if (sent == 1) return 0;
  return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
}

/* Not called again at EINTR: the descriptor is closed then, and the number may be somebody else's already. */
int32_t shim_descriptor_close(int32_t fd) { return close(fd) == 0 ? 0 : -errno; }
