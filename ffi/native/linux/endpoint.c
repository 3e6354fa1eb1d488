/*
 * endpoint.c: endpoints, and the ports of listeners that they lead to.
 *
 * A port is a listening socket whose file has no name any more. An endpoint is an O_PATH descriptor of that
 * file: whoever holds it can connect, and can pass it on, but can do nothing else with it. In particular the
 * holders share nothing that one of them could break for the others: shutdown() and the like refuse an O_PATH
 * descriptor, where a duplicate of a socket would hand each holder the socket itself.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "internal.h"

xpc_object_t xpc_endpoint_adopt(int fd) {
  struct _xpc_endpoint_s *endpoint = xpc_object_allocate(XPC_TYPE_ENDPOINT, sizeof *endpoint);
  endpoint->fd = fd;
  return endpoint;
}

bool xpc_endpoint_is_port(int fd) {
  struct stat status;
  int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && (flags & O_PATH) && fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

int xpc_port_open(xpc_connection_t listener, char *reason, size_t size) {
  if (listener->port.fd >= 0) return 0;
  return xpc_service_listen_unnamed(&listener->port.fd, &listener->port_path, reason, size);
}

xpc_endpoint_t xpc_endpoint_create(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  if (connection->role == XPC_ROLE_PEER) xpc_misuse("xpc_endpoint_create: an endpoint of a received peer");
  if (connection->role != XPC_ROLE_SERVICE_LISTENER && connection->role != XPC_ROLE_ANONYMOUS_LISTENER) {
    xpc_misuse("xpc_endpoint_create: an endpoint of a connection that does not listen");
  }
  char reason[XPC_REASON_SPACE];
  int fd = -1;
  pthread_mutex_lock(&connection->lock);
  if (connection->phase != XPC_PHASE_ENDED && !xpc_port_open(connection, reason, sizeof reason)) {
    fd = fcntl(connection->port_path, F_DUPFD_CLOEXEC, 0); /* -1: an endpoint that leads nowhere */
    xpc_connection_watch(connection);
  }
  pthread_mutex_unlock(&connection->lock);
  return xpc_endpoint_adopt(fd);
}

int xpc_endpoint_connect(xpc_endpoint_t endpoint, int *fd, char *reason, size_t size) {
  int error = endpoint->fd < 0 ? ENOTCONN : xpc_service_connect_file(endpoint->fd, fd);
  if (!error) return 0;
  if (error == ECONNREFUSED || error == ENOTCONN) {
    snprintf(reason, size, "the endpoint's listener is gone");
  } else {
    snprintf(reason, size, "cannot connect to the endpoint's listener: %s", strerror(error));
  }
  return error;
}
