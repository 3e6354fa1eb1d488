/*
 * listener.c: accepting peers, from a service's socket and from a port.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/socket.h>

#include "internal.h"

#define PEERS_A_TURN 16

bool xpc_listener_open_port(xpc_connection_t listener) {
  if (listener->port.fd >= 0) return true;
  int pair[2], on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return false;
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    xpc_close(pair[0]);
    xpc_close(pair[1]);
    return false;
  }
  listener->port.fd = pair[0];
  listener->port_sender = pair[1]; /* kept, so that the port never runs dry of senders */
  return true;
}

void xpc_listener_start(xpc_connection_t listener) {
  char reason[256] = "no descriptors for a port";
  bool started = listener->role == XPC_ROLE_ANONYMOUS_LISTENER
                   ? xpc_listener_open_port(listener)
                   : xpc_service_listen(listener->name, &listener->service, &listener->source.fd, reason,
                                        sizeof reason) == 0;
  if (started) listener->phase = XPC_PHASE_ONLINE;
  else xpc_connection_fail(listener, reason);
}

static bool credentials_of(int fd, struct ucred *credentials) {
  socklen_t size = sizeof *credentials;
  return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, &size) == 0 && size == sizeof *credentials;
}

/* Takes `fd` over. */
static void add_peer(xpc_connection_t listener, int fd, const struct ucred *credentials) {
  int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    xpc_close(fd);
    return;
  }
  xpc_connection_t peer = xpc_connection_make(XPC_ROLE_PEER, NULL, NULL);
  peer->self = true; /* the reference it was made with is the runtime's */
  peer->source.fd = fd;
  peer->known = true;
  peer->pid = credentials->pid;
  peer->uid = credentials->uid;
  peer->gid = credentials->gid;
  xpc_deliver_peer(listener, peer);
}

/* Lock held. */
static bool may_accept(xpc_connection_t listener) {
  return listener->phase == XPC_PHASE_ONLINE && !listener->cancelled && !listener->suspensions &&
         !listener->throttled;
}

void xpc_listener_ready(struct xpc_source *source) {
  xpc_connection_t listener =
    (xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, source));
  xpc_retain(listener);
  pthread_mutex_lock(&listener->lock);
  bool exhausted = false;
  for (int i = 0; i < PEERS_A_TURN && !exhausted && may_accept(listener); i++) {
    int server = listener->source.fd;
    pthread_mutex_unlock(&listener->lock);
    int fd = accept4(server, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), error = errno;
    struct ucred credentials;
    if (fd >= 0 && credentials_of(fd, &credentials)) add_peer(listener, fd, &credentials);
    else xpc_close(fd);
    pthread_mutex_lock(&listener->lock);
    if (fd >= 0) continue;
    if (error == EAGAIN) break;
    exhausted = error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
  }
  if (exhausted) { /* the client is still there, so epoll would tell at once again */
    xpc_io_watch(source, 0);
    xpc_connection_retry(listener);
  } else {
    xpc_connection_watch(listener);
  }
  pthread_mutex_unlock(&listener->lock);
  xpc_release(listener);
}

/* The socket in a CONNECT packet, if it is one, and is the sender's own; else -1. */
static int take_connection(struct xpc_packet *packet, struct ucred *credentials) {
  if (packet->header.kind != XPC_PACKET_CONNECT || packet->body_length || packet->fd_count != 1) return -1;
  int fd = packet->fds[0], domain = 0, type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX) return -1;
  size = sizeof type;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) return -1;
  if (!packet->credited || !credentials_of(fd, credentials)) return -1;
  /* Somebody else's socket, passed on, would make the messages of one look like those of the other. */
  if (credentials->pid != packet->pid || credentials->uid != packet->uid) return -1;
  if (credentials->gid != packet->gid) return -1;
  packet->fd_count = 0;
  return fd;
}

/* What is no connection is ignored: the port is the listener's, not the sender's, to lose. */
void xpc_listener_port_ready(struct xpc_source *source) {
  xpc_connection_t listener =
    (xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, port));
  xpc_retain(listener);
  struct xpc_packet packet;
  pthread_mutex_lock(&listener->lock);
  for (int i = 0; i < PEERS_A_TURN && may_accept(listener); i++) {
    int port = listener->port.fd;
    pthread_mutex_unlock(&listener->lock);
    const char *reason;
    enum xpc_receipt receipt = xpc_packet_receive(port, &packet, &reason);
    if (receipt == XPC_RECEIVED) {
      struct ucred credentials;
      int fd = take_connection(&packet, &credentials);
      xpc_packet_close(&packet);
      if (fd >= 0) add_peer(listener, fd, &credentials);
    }
    pthread_mutex_lock(&listener->lock);
    if (receipt != XPC_RECEIVED && receipt != XPC_MALFORMED) break;
  }
  xpc_connection_watch(listener);
  pthread_mutex_unlock(&listener->lock);
  xpc_release(listener);
}
