/*
 * deliver.c: what runs on a connection's queue: the event handler, reply handlers, barriers.
 *
 * What was received and not yet handled is counted; above a limit the I/O thread stops reading.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>

#include "internal.h"

enum event { EVENT_MESSAGE, EVENT_PEER, EVENT_ERROR, EVENT_FINAL };

struct delivery {
  struct xpc_work work;
  xpc_connection_t connection; /* retained */
  enum event event;
  xpc_object_t object; /* retained */
  struct xpc_pending *pending;
  void *barrier;
  size_t size;
  bool counted;
};

static struct delivery *make(xpc_connection_t connection, void (*run)(struct xpc_work *)) {
  struct delivery *delivery = xpc_allocate(sizeof *delivery);
  delivery->work.run = run;
  delivery->connection = xpc_retain(connection);
  return delivery;
}

static void push_counted(struct delivery *delivery, size_t size) {
  xpc_connection_t connection = delivery->connection;
  delivery->counted = true;
  delivery->size = size;
  pthread_mutex_lock(&connection->lock);
  connection->undelivered++;
  connection->undelivered_bytes += size;
  if (connection->undelivered >= XPC_UNDELIVERED_COUNT ||
      connection->undelivered_bytes >= XPC_UNDELIVERED_BYTES) {
    connection->throttled = true;
  }
  pthread_mutex_unlock(&connection->lock);
  xpc_queue_push(connection->queue, &delivery->work);
}

static void finish(struct delivery *delivery) {
  xpc_connection_t connection = delivery->connection;
  if (delivery->object) xpc_release(delivery->object);
  if (delivery->counted) {
    pthread_mutex_lock(&connection->lock);
    connection->undelivered--;
    connection->undelivered_bytes -= delivery->size;
    if (connection->throttled && connection->undelivered <= XPC_UNDELIVERED_COUNT / 2 &&
        connection->undelivered_bytes <= XPC_UNDELIVERED_BYTES / 2) {
      connection->throttled = false;
      xpc_connection_watch(connection);
    }
    pthread_mutex_unlock(&connection->lock);
  }
  free(delivery);
  xpc_release(connection);
}

/* ----------------------------------------------------------------------------------------- events ---- */

/* A peer that the handler neither activated nor kept can never be activated: nobody knows it any more. */
static void drop_unwanted(xpc_connection_t peer) {
  pthread_mutex_lock(&peer->lock);
  bool unwanted = peer->phase == XPC_PHASE_INACTIVE && atomic_load(&peer->base.references) == 2;
  pthread_mutex_unlock(&peer->lock);
  if (unwanted) xpc_connection_cancel(peer);
}

static void forget(xpc_connection_t connection) {
  pthread_mutex_lock(&connection->lock);
  void *handler = connection->handler;
  connection->handler = NULL;
  connection->self = false;
  pthread_mutex_unlock(&connection->lock);
  xpc_block_release(handler);
  xpc_release(connection);
}

static void run_event(struct xpc_work *work) {
  struct delivery *delivery = (struct delivery *)work;
  xpc_connection_t connection = delivery->connection;
  pthread_mutex_lock(&connection->lock);
  bool over = connection->cancelled && delivery->event != EVENT_FINAL;
  void *handler = over ? NULL : xpc_block_copy(connection->handler);
  connection->handling = true;
  pthread_mutex_unlock(&connection->lock);

  if (handler) {
    ((xpc_handler_t)handler)(delivery->object);
  } else if (!over && delivery->event == EVENT_MESSAGE) {
    xpc_misuse("a message on a connection without a handler");
  } else if (!over && delivery->event == EVENT_PEER) {
    xpc_misuse("a peer of a listener without a handler");
  }

  pthread_mutex_lock(&connection->lock);
  connection->handling = false;
  pthread_mutex_unlock(&connection->lock);
  xpc_block_release(handler);
  if (delivery->event == EVENT_PEER) {
    if (over) xpc_connection_cancel(delivery->object);
    else drop_unwanted(delivery->object);
  }
  if (delivery->event == EVENT_FINAL) forget(connection);
  finish(delivery);
}

static struct delivery *make_event(xpc_connection_t connection, enum event event, xpc_object_t object) {
  struct delivery *delivery = make(connection, run_event);
  delivery->event = event;
  delivery->object = object;
  return delivery;
}

void xpc_deliver_message(xpc_connection_t connection, xpc_object_t message, size_t size) {
  push_counted(make_event(connection, EVENT_MESSAGE, message), size);
}

void xpc_deliver_peer(xpc_connection_t connection, xpc_connection_t peer) {
  push_counted(make_event(connection, EVENT_PEER, xpc_retain(peer)), 0);
}

void xpc_deliver_error(xpc_connection_t connection, xpc_object_t error) {
  xpc_queue_push(connection->queue, &make_event(connection, EVENT_ERROR, error)->work);
}

void xpc_deliver_final(xpc_connection_t connection) {
  xpc_queue_push(connection->queue, &make_event(connection, EVENT_FINAL, XPC_CONST_ERROR(invalid))->work);
}

/* ---------------------------------------------------------------------------- replies and barriers ---- */

static void answer(struct xpc_waiter *waiter, xpc_object_t reply) {
  waiter->reply = reply;
  sem_post(&waiter->done);
}

static void run_reply(struct xpc_work *work) {
  struct delivery *delivery = (struct delivery *)work;
  struct xpc_pending *pending = delivery->pending;
  if (pending->queue) { /* to the handler's own queue, now that the event handler is not running */
    dispatch_queue_t queue = pending->queue;
    pending->queue = NULL;
    xpc_queue_push(queue, work);
    xpc_queue_release(queue);
    return;
  }
  if (pending->waiter) {
    answer(pending->waiter, delivery->object);
    delivery->object = NULL;
  } else {
    ((xpc_handler_t)pending->handler)(delivery->object);
  }
  xpc_block_release(pending->handler);
  free(pending);
  finish(delivery);
}

void xpc_deliver_reply(xpc_connection_t connection, struct xpc_pending *pending, xpc_object_t reply,
                       size_t size) {
  if (pending->waiter) {
    pthread_mutex_lock(&connection->lock);
    bool handling = connection->handling;
    pthread_mutex_unlock(&connection->lock);
    /* The event handler holds replies back, even from itself; errors have nothing to wait for. */
    if (!handling || xpc_get_type(reply) == XPC_TYPE_ERROR) {
      answer(pending->waiter, reply);
      free(pending);
      return;
    }
  }
  struct delivery *delivery = make(connection, run_reply);
  delivery->pending = pending;
  delivery->object = reply;
  push_counted(delivery, size);
}

static void run_barrier(struct xpc_work *work) {
  struct delivery *delivery = (struct delivery *)work;
  ((dispatch_block_t)delivery->barrier)();
  xpc_block_release(delivery->barrier);
  finish(delivery);
}

void xpc_deliver_barrier(xpc_connection_t connection, void *barrier) {
  struct delivery *delivery = make(connection, run_barrier);
  delivery->barrier = barrier;
  xpc_queue_push(connection->queue, &delivery->work);
}
