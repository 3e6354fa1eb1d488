/*
 * send.c: messages on their way out. They are captured at the call, wait in a list, and leave in order:
 * at once where the socket has room, else when the I/O thread finds that it has.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

static struct xpc_unsent *unsent_make(enum xpc_packet_kind kind) {
  struct xpc_unsent *unsent = xpc_allocate(sizeof *unsent);
  unsent->header = (struct xpc_header){
    .magic = XPC_WIRE_MAGIC,
    .version = XPC_WIRE_VERSION,
    .kind = (uint8_t)kind,
  };
  unsent->spill = -1;
  return unsent;
}

void xpc_unsent_free(struct xpc_unsent *list) {
  while (list) {
    struct xpc_unsent *unsent = list;
    list = unsent->next;
    xpc_capture_clear(&unsent->capture);
    xpc_close(unsent->spill);
    xpc_block_release(unsent->barrier);
    free(unsent);
  }
}

/* What it counts for against the limit on what waits. */
static size_t weight(const struct xpc_unsent *unsent) { return sizeof *unsent + unsent->header.length; }

/* Lock held. */
static void pop(xpc_connection_t connection) {
  struct xpc_unsent *unsent = connection->unsent;
  connection->unsent = unsent->next;
  if (!connection->unsent) connection->unsent_end = &connection->unsent;
  connection->unsent_count--;
  connection->unsent_bytes -= weight(unsent);
  unsent->next = NULL;
  xpc_unsent_free(unsent); /* only descriptors are in it: no user code runs */
}

/* Sends some descriptors ahead, until the rest fits beside the message. */
static int send_carriers(int fd, struct xpc_unsent *unsent, size_t room) {
  int fds[XPC_PACKET_FDS];
  struct xpc_capture *capture = &unsent->capture;
  while (capture->holder_count - unsent->carried > room) {
    size_t count = capture->holder_count - unsent->carried;
    if (count > XPC_PACKET_FDS) count = XPC_PACKET_FDS;
    for (size_t i = 0; i < count; i++) fds[i] = xpc_holder_descriptor(capture->holders[unsent->carried + i]);
    struct xpc_header header = {
      .magic = XPC_WIRE_MAGIC,
      .version = XPC_WIRE_VERSION,
      .kind = XPC_PACKET_CARRY,
      .fd_count = (uint32_t)count,
    };
    int error = xpc_packet_send(fd, &header, NULL, 0, fds, count);
    if (error) return error;
    unsent->carried += count;
  }
  return 0;
}

static int transmit(int fd, struct xpc_unsent *unsent) {
  struct xpc_capture *capture = &unsent->capture;
  bool large = capture->length > XPC_INLINE_LIMIT;
  if (large && unsent->spill < 0) {
    unsent->spill = xpc_packet_spill(capture->bytes, capture->length);
    if (unsent->spill < 0) return errno;
    free(capture->bytes);
    capture->bytes = NULL;
  }
  int error = send_carriers(fd, unsent, XPC_PACKET_FDS - (large ? 1 : 0));
  if (error) return error;
  int fds[XPC_PACKET_FDS];
  size_t count = 0;
  for (size_t i = unsent->carried; i < capture->holder_count; i++) {
    fds[count++] = xpc_holder_descriptor(capture->holders[i]);
  }
  unsent->header.fd_count = (uint32_t)count;
  unsent->header.flags = large ? XPC_PACKET_LARGE : 0;
  if (large) fds[count++] = unsent->spill;
  return xpc_packet_send(fd, &unsent->header, capture->bytes, large ? 0 : capture->length, fds, count);
}

void xpc_connection_flush(xpc_connection_t connection) {
  connection->blocked = false;
  /* A suspended connection sends nothing either; the resume calls this again. */
  while (connection->phase == XPC_PHASE_ONLINE && !connection->cancelled && !connection->suspensions &&
         connection->unsent) {
    struct xpc_unsent *unsent = connection->unsent;
    if (unsent->barrier) {
      xpc_deliver_barrier(connection, unsent->barrier);
      unsent->barrier = NULL;
      pop(connection);
      continue;
    }
    int error = transmit(connection->source.fd, unsent);
    switch (error) {
      case EAGAIN: connection->blocked = true; return;
      case ETOOMANYREFS: /* too many descriptors are on their way; nothing tells when that is over */
      case ENOBUFS:
      case ENOMEM: xpc_connection_retry(connection); return;
      case 0:
      case EPIPE: /* the other side is gone: reading finds that out, after what it sent before */
      case ECONNRESET:
      case ENOTCONN: pop(connection); break;
      default: {
        char reason[80];
        (void)snprintf(reason, sizeof reason, "a message cannot be sent (errno %d)", error);
        xpc_connection_fail(connection, reason);
        return;
      }
    }
  }
}

void xpc_connection_send_hello(xpc_connection_t connection) {
  /* The first packet on a fresh socket finds room; if not, the next one tells who we are. */
  xpc_packet_send_bare(connection->source.fd, XPC_PACKET_HELLO);
}

/* Lock held. False if the connection takes nothing any more; then `unsent` is still the caller's. */
static bool enqueue(xpc_connection_t connection, struct xpc_unsent *unsent) {
  if (connection->cancelled || connection->phase == XPC_PHASE_ENDED) return false;
  size_t size = weight(unsent);
  if (connection->unsent_count >= XPC_UNSENT_COUNT ||
      (connection->unsent_count && connection->unsent_bytes + size > XPC_UNSENT_BYTES)) {
    xpc_connection_fail(connection, "the other side is too slow: too much waits to be sent");
    return false;
  }
  *connection->unsent_end = unsent;
  connection->unsent_end = &unsent->next;
  connection->unsent_count++;
  connection->unsent_bytes += size;
  if (connection->phase == XPC_PHASE_INTERRUPTED) {
    connection->phase = XPC_PHASE_RESOLVING;
    xpc_connection_wake(connection);
  } else if (connection->phase == XPC_PHASE_ONLINE && !connection->blocked) {
    xpc_connection_flush(connection);
    xpc_connection_watch(connection);
  }
  return true;
}

static void expect_sender(xpc_connection_t connection, const char *function) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, function);
  if (connection->role == XPC_ROLE_SERVICE_LISTENER || connection->role == XPC_ROLE_ANONYMOUS_LISTENER) {
    xpc_misuse("%s: a listener sends nothing", function);
  }
}

/* Takes `pending` over. */
static void send_dictionary(xpc_connection_t connection, xpc_object_t message, struct xpc_pending *pending,
                            const char *function) {
  expect_sender(connection, function);
  struct _xpc_dictionary_s *dictionary = xpc_object_expect(message, XPC_TYPE_DICTIONARY, function);
  struct xpc_unsent *unsent = unsent_make(XPC_PACKET_MESSAGE);
  uint64_t answers = atomic_exchange(&dictionary->answers, 0);
  if (answers && dictionary->remote != connection) {
    xpc_misuse("%s: a reply through the wrong connection", function);
  }
  unsent->header.answers = answers;
  const char *problem = xpc_wire_encode(message, &unsent->capture);
  unsent->header.length = (uint32_t)unsent->capture.length;

  pthread_mutex_lock(&connection->lock);
  if (problem) xpc_connection_fail(connection, problem);
  bool stale = answers && dictionary->incarnation != connection->incarnation;
  if (pending && !connection->cancelled && !stale) {
    pending->request = unsent->header.request = ++connection->next_request;
    struct xpc_pending **bucket = connection->pending + pending->request % XPC_PENDING_BUCKETS;
    pending->next = *bucket;
    *bucket = pending;
  }
  bool sent = !stale && enqueue(connection, unsent);
  pthread_mutex_unlock(&connection->lock);
  if (sent) return;
  uint64_t request = unsent->header.request;
  xpc_unsent_free(unsent);
  /* Registered and then refused: whoever takes it first settles it. */
  if (request) pending = xpc_connection_take_pending(connection, request);
  if (pending) xpc_deliver_reply(connection, pending, XPC_CONST_ERROR(invalid), 0);
}

struct xpc_pending *xpc_connection_take_pending(xpc_connection_t connection, uint64_t request) {
  pthread_mutex_lock(&connection->lock);
  struct xpc_pending **link = connection->pending + request % XPC_PENDING_BUCKETS;
  while (*link && (*link)->request != request) link = &(*link)->next;
  struct xpc_pending *pending = *link;
  if (pending) *link = pending->next;
  pthread_mutex_unlock(&connection->lock);
  return pending;
}

void xpc_connection_send_message(xpc_connection_t connection, xpc_object_t message) {
  send_dictionary(connection, message, NULL, __func__);
}

void xpc_connection_send_message_with_reply(xpc_connection_t connection, xpc_object_t message,
                                            dispatch_queue_t replyq, xpc_handler_t handler) {
  struct xpc_pending *pending = xpc_allocate(sizeof *pending);
  pending->handler = xpc_block_copy((const void *)handler);
  pending->queue = replyq;
  xpc_queue_retain(replyq);
  send_dictionary(connection, message, pending, __func__);
}

xpc_object_t xpc_connection_send_message_with_reply_sync(xpc_connection_t connection, xpc_object_t message) {
  struct xpc_waiter waiter = {.reply = NULL};
  sem_init(&waiter.done, 0, 0);
  struct xpc_pending *pending = xpc_allocate(sizeof *pending);
  pending->waiter = &waiter;
  send_dictionary(connection, message, pending, __func__);
  xpc_io_before_waiting();
  while (sem_wait(&waiter.done) != 0) continue; /* EINTR */
  sem_destroy(&waiter.done);
  return waiter.reply;
}

void xpc_connection_send_barrier(xpc_connection_t connection, dispatch_block_t barrier) {
  expect_sender(connection, __func__);
  struct xpc_unsent *unsent = unsent_make(XPC_PACKET_MESSAGE);
  unsent->barrier = xpc_block_copy((const void *)barrier);
  pthread_mutex_lock(&connection->lock);
  /* While interrupted nothing waits, and a barrier is no reason to start the service. */
  bool queued = connection->phase != XPC_PHASE_INTERRUPTED && enqueue(connection, unsent);
  pthread_mutex_unlock(&connection->lock);
  if (queued) return;
  xpc_deliver_barrier(connection, unsent->barrier);
  unsent->barrier = NULL;
  xpc_unsent_free(unsent);
}

void xpc_connection_drop_reply(xpc_connection_t connection, uint64_t request, uint32_t incarnation) {
  struct xpc_unsent *unsent = unsent_make(XPC_PACKET_NO_REPLY);
  unsent->header.answers = request;
  pthread_mutex_lock(&connection->lock);
  bool queued = connection->phase == XPC_PHASE_ONLINE && connection->incarnation == incarnation &&
                enqueue(connection, unsent);
  pthread_mutex_unlock(&connection->lock);
  if (!queued) xpc_unsent_free(unsent);
}
