/*
 * endpoint.c: endpoints: descriptors of the sending half of a listener's port.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "internal.h"

xpc_object_t xpc_endpoint_adopt(int fd) {
  struct _xpc_endpoint_s *endpoint = xpc_object_allocate(XPC_TYPE_ENDPOINT, sizeof *endpoint);
  endpoint->fd = fd;
  return endpoint;
}

xpc_endpoint_t xpc_endpoint_create(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  if (connection->role == XPC_ROLE_PEER) xpc_misuse("xpc_endpoint_create: an endpoint of a received peer");
  if (connection->role != XPC_ROLE_SERVICE_LISTENER && connection->role != XPC_ROLE_ANONYMOUS_LISTENER) {
    xpc_misuse("xpc_endpoint_create: an endpoint of a connection that does not listen");
  }
  int fd = -1;
  pthread_mutex_lock(&connection->lock);
  if (connection->phase != XPC_PHASE_ENDED && xpc_listener_open_port(connection)) {
    fd = fcntl(connection->port_sender, F_DUPFD_CLOEXEC, 0); /* -1: an endpoint that leads nowhere */
    xpc_connection_watch(connection);
  }
  pthread_mutex_unlock(&connection->lock);
  return xpc_endpoint_adopt(fd);
}

int xpc_endpoint_connect(xpc_endpoint_t endpoint, int *fd) {
  if (endpoint->fd < 0) return ENOTCONN;
  int pair[2], on = 1;
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return errno;
  int error = 0;
  if (setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    error = errno;
  }
  struct xpc_header header = {
    .magic = XPC_WIRE_MAGIC, .version = XPC_WIRE_VERSION, .kind = XPC_PACKET_CONNECT, .fd_count = 1,
  };
  if (!error) error = xpc_packet_send(endpoint->fd, &header, NULL, 0, &pair[1], 1);
  xpc_close(pair[1]);
  if (error) xpc_close(pair[0]);
  else *fd = pair[0];
  return error;
}
