/*
 * listener.c: accepting connections, from a service's socket and from a port.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>

#include "internal.h"

#define PEERS_A_TURN 16
/* A process may lack descriptors for a moment, so its clients wait; but not without end. After a while that nobody knows
 * anything of, they wait again. */
#define PATIENCE_NANOSECONDS UINT64_C(2000000000)
#define FORGET_NANOSECONDS UINT64_C(10000000000)

static uint64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* Any descriptor will do, such as a duplicate of the listener's own. -1 where none is left. */
static int open_spare(int fd) { return fcntl(fd, F_DUPFD_CLOEXEC, 0); }

void xpc_listener_start(xpc_connection_t listener) {
  char reason[XPC_REASON_SPACE] = "";
  int error =
    listener->role == XPC_ROLE_ANONYMOUS_LISTENER
      ? xpc_port_open(listener, reason, sizeof reason)
      : xpc_service_listen(listener->name, &listener->service, &listener->source.fd, reason, sizeof reason);
  if (error) {
    xpc_connection_fail(listener, reason);
    return;
  }
  listener->phase = XPC_PHASE_ONLINE;
  listener->spare = open_spare(listener->source.fd >= 0 ? listener->source.fd : listener->port.fd);
  xpc_connection_watch(listener);
}

/* Lock held. */
static bool may_accept(xpc_connection_t listener) {
  return listener->phase == XPC_PHASE_ONLINE && !listener->cancelled && !listener->suspensions &&
         !listener->throttled;
}

/* Whether a listener that has no descriptor for a client has had none for too long. */
static bool is_starved(xpc_connection_t listener) {
  uint64_t time = now();
  bool new = listener->starved_since == 0 || time - listener->starved_until > FORGET_NANOSECONDS;
  if (new) listener->starved_since = time;
  listener->starved_until = time;
  return time - listener->starved_since >= PATIENCE_NANOSECONDS;
}

/* Tells one client that there is no descriptor for it. It would wait without end: the kernel has connected it. */
static bool turn_away(xpc_connection_t listener, int server) {
  xpc_close(listener->spare);
  int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) {
    xpc_packet_send_bare(fd, XPC_PACKET_STARVED);
    xpc_close(fd);
  }
  listener->spare = open_spare(server);
  return fd >= 0;
}

/* Accepts from one of the listener's sockets; on the I/O thread. */
static void accept_peers(xpc_connection_t listener, struct xpc_source *source) {
  xpc_retain(listener);
  pthread_mutex_lock(&listener->lock);
  bool exhausted = false;
  for (int i = 0; i < PEERS_A_TURN && !exhausted && may_accept(listener); i++) {
    int server = source->fd;
    pthread_mutex_unlock(&listener->lock);
    int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), error = errno;
    if (fd >= 0) xpc_peers_add(listener, fd, source == &listener->port);
    pthread_mutex_lock(&listener->lock);
    if (fd >= 0) {
      listener->starved_since = 0;
      if (listener->spare < 0) listener->spare = open_spare(server);
      continue;
    }
    if (error == EAGAIN) break;
    exhausted = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
    if (exhausted && is_starved(listener)) exhausted = !turn_away(listener, server);
  }
  if (exhausted) { /* the client is still there, so epoll would tell at once again */
    (void)xpc_io_watch(source, 0);
    xpc_connection_retry(listener);
  } else {
    xpc_connection_watch(listener);
  }
  pthread_mutex_unlock(&listener->lock);
  xpc_release(listener);
}

void xpc_listener_ready(struct xpc_source *source) {
  accept_peers((xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, source)),
               source);
}

void xpc_listener_port_ready(struct xpc_source *source) {
  accept_peers((xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, port)), source);
}
