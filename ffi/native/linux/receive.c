/*
 * receive.c: packets on their way in. Whoever sends what this protocol does not know loses the connection.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PACKETS_A_TURN 32
#define DESCRIPTOR_WEIGHT (16u << 10) /* what a descriptor counts for: few may wait undelivered */

/* Pins the sender at the first packet; all others have to come from the same. */
static bool check_sender(xpc_connection_t connection, const struct xpc_packet *packet, const char **reason) {
  if (!packet->credited) {
    *reason = "a packet came without credentials";
    return false;
  }
  pthread_mutex_lock(&connection->lock);
  if (!connection->known) {
    connection->known = true;
    connection->pid = packet->pid;
    connection->uid = packet->uid;
    connection->gid = packet->gid;
  }
  bool same = connection->pid == packet->pid && connection->uid == packet->uid &&
              connection->gid == packet->gid;
  pthread_mutex_unlock(&connection->lock);
  if (!same) *reason = "the sender's credentials changed";
  return same;
}

/* Only this thread touches `carried` while the connection is online; ending happens on it as well. */
static bool take_carrier(xpc_connection_t connection, struct xpc_packet *packet, const char **reason) {
  if (packet->fd_count == 0 || packet->body_length ||
      connection->carried_count + packet->fd_count > XPC_FD_LIMIT) {
    *reason = "descriptors were sent ahead of no message, or too many";
    return false;
  }
  size_t count = connection->carried_count + packet->fd_count;
  connection->carried = xpc_resize(connection->carried, count, sizeof *connection->carried);
  memcpy(connection->carried + connection->carried_count, packet->fds, packet->fd_count * sizeof(int));
  connection->carried_count = count;
  packet->fd_count = 0;
  return true;
}

/* The message in the packet, or NULL and why. Takes over, or closes, all descriptors that came for it. */
static xpc_object_t take_message(xpc_connection_t connection, struct xpc_packet *packet, size_t *size,
                                 const char **reason) {
  const struct xpc_header *header = &packet->header;
  uint8_t *memory = NULL;
  const uint8_t *bytes = packet->body;
  if (header->flags & XPC_PACKET_LARGE) {
    if (packet->fd_count == 0 || packet->body_length || header->length > XPC_MESSAGE_LIMIT) {
      *reason = "a large message is malformed";
      return NULL;
    }
    int fd = packet->fds[--packet->fd_count];
    bytes = memory = xpc_packet_unspill(fd, header->length, reason);
    xpc_close(fd);
    if (!memory) return NULL;
  } else if (header->length != packet->body_length) {
    *reason = "a message has another length than it says";
    return NULL;
  }
  if (header->fd_count != packet->fd_count || connection->carried_count + packet->fd_count > XPC_FD_LIMIT) {
    *reason = "a message has another number of descriptors than it says, or too many";
    free(memory);
    return NULL;
  }
  int *fds = packet->fds;
  size_t count = packet->fd_count;
  if (connection->carried_count) {
    count += connection->carried_count;
    connection->carried = xpc_resize(connection->carried, count, sizeof *connection->carried);
    memcpy(connection->carried + connection->carried_count, packet->fds, packet->fd_count * sizeof(int));
    fds = connection->carried;
  }
  xpc_object_t message = xpc_wire_decode(bytes, header->length, fds, count, reason);
  for (size_t i = 0; i < count; i++) xpc_close(fds[i]); /* -1 where the message has it now */
  packet->fd_count = 0;
  free(connection->carried);
  connection->carried = NULL;
  connection->carried_count = 0;
  free(memory);
  *size = header->length + count * DESCRIPTOR_WEIGHT;
  return message;
}

static bool handle_message(xpc_connection_t connection, struct xpc_packet *packet, const char **reason) {
  size_t size;
  struct _xpc_dictionary_s *message = take_message(connection, packet, &size, reason);
  if (!message) return false;
  message->remote = xpc_retain(connection);
  message->incarnation = connection->incarnation;
  atomic_store(&message->awaited, packet->header.request);
  if (!packet->header.answers) {
    xpc_deliver_message(connection, message, size);
    return true;
  }
  struct xpc_pending *pending = xpc_connection_take_pending(connection, packet->header.answers);
  if (pending) xpc_deliver_reply(connection, pending, message, size);
  else xpc_release(message); /* nobody asked, or was told already that no reply comes */
  return true;
}

static bool handle(xpc_connection_t connection, struct xpc_packet *packet, const char **reason) {
  const struct xpc_header *header = &packet->header;
  if (!check_sender(connection, packet, reason)) return false;
  bool bare = packet->fd_count == 0 && packet->body_length == 0;
  *reason = "a packet is malformed";
  if (header->flags & ~XPC_PACKET_LARGE) return false;
  switch (header->kind) {
    case XPC_PACKET_HELLO: return bare && connection->role != XPC_ROLE_PEER;
    case XPC_PACKET_CARRY: return take_carrier(connection, packet, reason);
    case XPC_PACKET_MESSAGE: return handle_message(connection, packet, reason);
    case XPC_PACKET_NO_REPLY: {
      if (!bare) return false;
      struct xpc_pending *pending = xpc_connection_take_pending(connection, header->answers);
      if (pending) xpc_deliver_reply(connection, pending, XPC_CONST_ERROR(interrupted), 0);
      return true;
    }
    default: return false;
  }
}

/* Lock held. */
static bool may_read(xpc_connection_t connection) {
  return connection->phase == XPC_PHASE_ONLINE && !connection->cancelled && !connection->suspensions &&
         !connection->throttled;
}

void xpc_connection_ready(struct xpc_source *source) {
  xpc_connection_t connection =
    (xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, source));
  xpc_retain(connection);
  struct xpc_packet packet;
  pthread_mutex_lock(&connection->lock);
  if (connection->blocked) xpc_connection_flush(connection);
  for (int i = 0; i < PACKETS_A_TURN && may_read(connection); i++) {
    int fd = connection->source.fd; /* closed by this thread only */
    pthread_mutex_unlock(&connection->lock);
    const char *reason = NULL;
    enum xpc_receipt receipt = xpc_packet_receive(fd, &packet, &reason);
    if (receipt == XPC_RECEIVED) {
      bool understood = handle(connection, &packet, &reason);
      xpc_packet_close(&packet);
      if (!understood) xpc_connection_lost(connection, reason);
    } else if (receipt == XPC_END || receipt == XPC_MALFORMED) {
      xpc_connection_lost(connection, reason);
    }
    pthread_mutex_lock(&connection->lock);
    if (receipt != XPC_RECEIVED) break;
  }
  xpc_connection_watch(connection);
  pthread_mutex_unlock(&connection->lock);
  xpc_release(connection);
}
