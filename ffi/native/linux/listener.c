/*
 * listener.c: accepting connections, from a service's socket and from a port.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/socket.h>

#include "internal.h"

#define PEERS_A_TURN 16

void xpc_listener_start(xpc_connection_t listener) {
  char reason[XPC_REASON_SPACE] = "";
  int error = listener->role == XPC_ROLE_ANONYMOUS_LISTENER
                ? xpc_port_open(listener, reason, sizeof reason)
                : xpc_service_listen(listener->name, &listener->service, &listener->source.fd, reason,
                                     sizeof reason);
  if (error) {
    xpc_connection_fail(listener, reason);
    return;
  }
  listener->phase = XPC_PHASE_ONLINE;
  xpc_connection_watch(listener);
}

/* Lock held. */
static bool may_accept(xpc_connection_t listener) {
  return listener->phase == XPC_PHASE_ONLINE && !listener->cancelled && !listener->suspensions &&
         !listener->throttled;
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
    if (fd >= 0) continue;
    if (error == EAGAIN) break;
    exhausted = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
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
  accept_peers((xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, source)), source);
}

void xpc_listener_port_ready(struct xpc_source *source) {
  accept_peers((xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, port)), source);
}
