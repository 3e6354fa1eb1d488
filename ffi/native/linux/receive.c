/*
 * receive.c: packets on their way in. Whoever sends what this protocol does not know loses the connection.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PACKETS_A_TURN 32
#define MUCH_TO_UNPACK (1u << 20)
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
  bool same =
    connection->pid == packet->pid && connection->uid == packet->uid && connection->gid == packet->gid;
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

/* A message as it came, with all descriptors that came for it. */
struct parcel {
  struct xpc_work work;
  xpc_connection_t connection; /* retained */
  struct xpc_header header;
  uint32_t incarnation;
  int memory; /* of a large message, or -1 */
  const uint8_t *bytes;
  int *fds;
  size_t fd_count;
};

/* Takes over what is in the packet, and what came ahead of it; false and why if that is malformed. */
static bool collect(xpc_connection_t connection, struct xpc_packet *packet, struct parcel *parcel,
                    const char **reason) {
  const struct xpc_header *header = &packet->header;
  bool large = header->flags & XPC_PACKET_LARGE;
  if (large && (packet->fd_count == 0 || packet->body_length || header->length > XPC_MESSAGE_LIMIT)) {
    *reason = "a large message is malformed";
    return false;
  }
  if (!large && header->length != packet->body_length) {
    *reason = "a message has another length than it says";
    return false;
  }
  size_t own = packet->fd_count - (large ? 1 : 0);
  size_t count = connection->carried_count + own;
  if (header->fd_count != own || count > XPC_FD_LIMIT) {
    *reason = "a message has another number of descriptors than it says, or too many";
    return false;
  }
  *parcel = (struct parcel){
    .connection = connection,
    .header = *header,
    .incarnation = connection->incarnation,
    .memory = -1,
    .bytes = packet->body,
    .fds = connection->carried,
    .fd_count = count,
  };
  if (count) {
    parcel->fds = xpc_resize(parcel->fds, count, sizeof *parcel->fds);
    memcpy(parcel->fds + connection->carried_count, packet->fds, own * sizeof *parcel->fds);
  }
  if (large) parcel->memory = packet->fds[own];
  packet->fd_count = 0;
  connection->carried = NULL;
  connection->carried_count = 0;
  return true;
}

/* The message (+1), or NULL and why; all descriptors are its own or closed. */
static struct _xpc_dictionary_s *unpack(struct parcel *parcel, const char **reason) {
  uint8_t *memory = NULL;
  const uint8_t *bytes = parcel->bytes;
  if (parcel->memory >= 0) {
    bytes = memory = xpc_packet_unspill(parcel->memory, parcel->header.length, reason);
    xpc_close(parcel->memory);
  }
  struct _xpc_dictionary_s *message = NULL;
  if (bytes) message = xpc_wire_decode(bytes, parcel->header.length, parcel->fds, parcel->fd_count, reason);
  for (size_t i = 0; i < parcel->fd_count; i++)
    xpc_close(parcel->fds[i]); /* -1 where the message has it now */
  free(parcel->fds);
  free(memory);
  return message;
}

static bool deliver(struct parcel *parcel, const char **reason) {
  xpc_connection_t connection = parcel->connection;
  struct _xpc_dictionary_s *message = unpack(parcel, reason);
  if (!message) return false;
  size_t size = parcel->header.length + parcel->fd_count * DESCRIPTOR_WEIGHT;
  message->remote = xpc_retain(connection);
  message->incarnation = parcel->incarnation;
  atomic_store(&message->awaited, parcel->header.request);
  if (!parcel->header.answers) {
    xpc_deliver_message(connection, message, size);
    return true;
  }
  struct xpc_pending *pending = xpc_connection_take_pending(connection, parcel->header.answers);
  if (pending) xpc_deliver_reply(connection, pending, message, size);
  else xpc_release(message); /* nobody asked, or was told already that no reply comes */
  return true;
}

/* Nothing else is read from the connection meanwhile, so order is kept; only its end may overtake. */
static void run_parcel(struct xpc_work *work) {
  struct parcel *parcel = (struct parcel *)work;
  xpc_connection_t connection = parcel->connection;
  const char *reason = NULL;
  bool understood = deliver(parcel, &reason);
  pthread_mutex_lock(&connection->lock);
  connection->unpacking = false;
  if (!understood) xpc_connection_fail(connection, reason);
  xpc_connection_watch(connection);
  pthread_mutex_unlock(&connection->lock);
  free(parcel);
  xpc_release(connection);
}

static bool handle_message(xpc_connection_t connection, struct xpc_packet *packet, const char **reason) {
  struct parcel parcel;
  if (!collect(connection, packet, &parcel, reason)) return false;
  if (parcel.memory < 0 || parcel.header.length < MUCH_TO_UNPACK) return deliver(&parcel, reason);
  /* Milliseconds of copying, which others who wait for this thread should not wait for. */
  struct parcel *later = xpc_allocate(sizeof *later);
  *later = parcel;
  later->work.run = run_parcel;
  xpc_retain(connection);
  pthread_mutex_lock(&connection->lock);
  connection->unpacking = true;
  pthread_mutex_unlock(&connection->lock);
  xpc_pool_push(&later->work);
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
    case XPC_PACKET_STARVED:
      if (bare) {
        *reason =
          "the other side has no descriptor left: close some files there, or raise its limit (ulimit -n)";
      }
      return false;
    default: return false;
  }
}

/* Lock held. */
static bool may_read(xpc_connection_t connection) {
  return connection->phase == XPC_PHASE_ONLINE && !connection->cancelled && !connection->suspensions &&
         !connection->throttled && !connection->unpacking;
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
    } else if (receipt == XPC_END || receipt == XPC_MALFORMED || receipt == XPC_STARVED) {
      if (receipt == XPC_STARVED)
        xpc_packet_send_bare(fd, XPC_PACKET_STARVED); /* the other side learns why */
      xpc_connection_lost(connection, reason);
    }
    pthread_mutex_lock(&connection->lock);
    if (receipt != XPC_RECEIVED) break;
  }
  xpc_connection_watch(connection);
  pthread_mutex_unlock(&connection->lock);
  xpc_release(connection);
}
