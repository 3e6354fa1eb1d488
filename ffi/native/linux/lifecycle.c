/*
 * lifecycle.c: what the I/O thread does for a connection: resolving, interrupting, ending.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "internal.h"

/*
 * Reading stops while nobody takes what was read: the rest then waits in the sender. The death of the other
 * side is no exception: it comes after what was sent before, so while this side is suspended, or does not
 * handle what it has, it is not noticed. Replies to synchronous requests wait with it.
 */
void xpc_connection_watch(xpc_connection_t connection) {
  bool online = connection->phase == XPC_PHASE_ONLINE && !connection->cancelled;
  bool sends = online && !connection->suspensions;
  bool reads = online && !connection->suspensions && !connection->throttled && !connection->unpacking;
  uint32_t in = reads ? EPOLLIN : 0;
  uint32_t out = sends && connection->unsent && connection->blocked ? EPOLLOUT : 0;
  bool watched = true;
  if (connection->source.fd >= 0) watched = xpc_io_watch(&connection->source, in | out);
  if (connection->port.fd >= 0) watched = xpc_io_watch(&connection->port, in) && watched;
  if (!watched) {
    char reason[XPC_REASON_SPACE];
    (void)snprintf(reason, sizeof reason, "the connection's socket cannot be watched: %s%s", strerror(errno),
                   xpc_advice_for(errno));
    xpc_connection_fail(connection, reason);
  }
}

static void close_source(struct xpc_source *source, bool hang_up) {
  if (source->fd < 0) return;
  xpc_io_watch(source, 0);
  /* Also for those who hold the same socket, such as a child after fork. */
  if (hang_up) shutdown(source->fd, SHUT_RDWR);
  xpc_close(source->fd);
  source->fd = -1;
}

void xpc_connection_close(xpc_connection_t connection) {
  /* A socket that the system passed to us stays open for the next one it starts. */
  bool borrowed = connection->role == XPC_ROLE_SERVICE_LISTENER && !connection->service.path;
  xpc_service_close(&connection->service);
  close_source(&connection->source, !borrowed);
  close_source(&connection->port, true);
  xpc_close(connection->port_path);
  connection->port_path = -1;
  xpc_close(connection->spare);
  connection->spare = -1;
  for (size_t i = 0; i < connection->carried_count; i++) xpc_close(connection->carried[i]);
  free(connection->carried);
  connection->carried = NULL;
  connection->carried_count = 0;
  connection->blocked = false;
}

/* What was on its way when a socket was closed. */
struct remains {
  struct xpc_unsent *unsent;
  struct xpc_pending *pending;
};

/* Lock held. */
static struct remains take_remains(xpc_connection_t connection) {
  struct remains remains = {.unsent = connection->unsent};
  connection->unsent = NULL;
  connection->unsent_end = &connection->unsent;
  connection->unsent_count = connection->unsent_bytes = 0;
  for (size_t i = 0; i < XPC_PENDING_BUCKETS; i++) {
    while (connection->pending[i]) {
      struct xpc_pending *pending = connection->pending[i];
      connection->pending[i] = pending->next;
      pending->next = remains.pending;
      remains.pending = pending;
    }
  }
  return remains;
}

/* Tells those who wait; lock not held. */
static void settle(xpc_connection_t connection, struct remains remains, xpc_object_t error) {
  while (remains.pending) {
    struct xpc_pending *pending = remains.pending;
    remains.pending = pending->next;
    xpc_deliver_reply(connection, pending, error, 0);
  }
  for (struct xpc_unsent *each = remains.unsent; each; each = each->next) {
    if (each->barrier) xpc_deliver_barrier(connection, each->barrier);
    each->barrier = NULL;
  }
  xpc_unsent_free(remains.unsent);
}

/* Lock held. */
static void connect_client(xpc_connection_t connection) {
  char reason[XPC_REASON_SPACE] = "";
  int error = connection->role == XPC_ROLE_SERVICE_CLIENT
                ? xpc_service_connect(connection->name, &connection->source.fd, reason, sizeof reason)
                : xpc_endpoint_connect(connection->endpoint, &connection->source.fd, reason, sizeof reason);
  if (error == 0) {
    connection->phase = XPC_PHASE_ONLINE;
  } else if (error == EAGAIN || error == ETOOMANYREFS) {
    xpc_connection_retry(connection); /* the listener has too many clients waiting */
  } else {
    xpc_connection_fail(connection, reason);
  }
}

/* Lock held. */
static void resolve(xpc_connection_t connection) {
  switch (connection->role) {
    case XPC_ROLE_SERVICE_CLIENT:
    case XPC_ROLE_ENDPOINT_CLIENT: connect_client(connection); break;
    case XPC_ROLE_SERVICE_LISTENER:
    case XPC_ROLE_ANONYMOUS_LISTENER: break; /* it listened, or failed, before its activation returned */
    case XPC_ROLE_PEER:
      connection->phase = XPC_PHASE_ONLINE;
      xpc_connection_send_hello(connection);
      break;
  }
}

void xpc_connection_step(struct xpc_job *job) {
  xpc_connection_t connection =
    (xpc_connection_t)(void *)((char *)job - offsetof(struct _xpc_connection_s, job));
  xpc_peers_trim(connection);
  pthread_mutex_lock(&connection->lock);
  connection->scheduled = false;
  bool active = connection->phase != XPC_PHASE_INACTIVE && connection->phase != XPC_PHASE_ENDED;
  if (active && !connection->cancelled && connection->phase == XPC_PHASE_RESOLVING) resolve(connection);
  if (active && connection->cancelled) {
    connection->phase = XPC_PHASE_ENDED;
    xpc_connection_close(connection);
    struct remains remains = take_remains(connection);
    pthread_mutex_unlock(&connection->lock);
    xpc_peer_unlink(connection);
    xpc_peers_end(connection);
    settle(connection, remains, XPC_CONST_ERROR(invalid));
    xpc_deliver_final(connection);
  } else {
    if (active) {
      xpc_connection_flush(connection);
      xpc_connection_watch(connection);
    }
    pthread_mutex_unlock(&connection->lock);
  }
  xpc_release(connection);
}

void xpc_connection_lost(xpc_connection_t connection, const char *reason) {
  pthread_mutex_lock(&connection->lock);
  if (reason || connection->role != XPC_ROLE_SERVICE_CLIENT) {
    xpc_connection_fail(connection, reason ? reason : "the other side is gone");
    xpc_connection_watch(connection);
    pthread_mutex_unlock(&connection->lock);
    return;
  }
  if (connection->cancelled) { /* its end comes next */
    xpc_connection_watch(connection);
    pthread_mutex_unlock(&connection->lock);
    return;
  }
  connection->phase = XPC_PHASE_INTERRUPTED;
  connection->incarnation++;
  connection->known = false;
  xpc_connection_close(connection);
  struct remains remains = take_remains(connection);
  pthread_mutex_unlock(&connection->lock);
  settle(connection, remains, XPC_CONST_ERROR(interrupted));
  xpc_deliver_error(connection, XPC_CONST_ERROR(interrupted));
}
