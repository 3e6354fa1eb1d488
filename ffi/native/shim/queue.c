/*
 * queue.c: a queue of events that native threads fill and one owner drains on its own thread.
 *
 * No native thread ever calls into JavaScript: a callback whose realm is gone (a terminated worker, an exit under
 * load) would crash the process. Whoever has an event appends it and sends one byte on a socket that the realm's
 * event loop reads. When the realm dies, the system closes its end of that socket. The queue notices, and ends what
 * the realm has left behind: its waits, then its connections, so that its peers learn of the death.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dispatch/dispatch.h>
#include <xpc/xpc.h>

#include "internal.h"

struct shim_queue {
  pthread_mutex_t lock;
  pthread_cond_t changed; /* for shim_queue_wait, and for the end of the waits of a dead realm */
  int bell;               /* our end of the socket pair, or -1 where the owner drains by shim_queue_wait */
  dispatch_source_t watch; /* fires when the other end was closed; NULL without a bell */
  /* Under the lock: */
  shim_node *first;
  shim_node **end; /* where the next node is hung in */
  shim_wait *waits;
  shim_link *links; /* of this queue, so that they can be cancelled when the realm is gone */
  uint32_t references;
  uint32_t last_id;
  bool announced; /* a byte was sent since the queue was last drained empty */
  bool finished;
  bool closed; /* released, or the realm is gone: what comes now is discarded */
};

/* Ends a node that nobody will drain. */
static void discard(shim_node *node) {
  if (node->event.object != NULL) xpc_release(node->event.object);
  if (node->event.link != NULL) shim_link_reject(node->event.link);
  if (node->of != NULL) shim_link_drained(node->of);
  free(node);
}

/* Closes the queue for new events and discards those that wait. */
static void close_queue(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->closed = true;
  shim_node *node = queue->first;
  queue->first = NULL;
  queue->end = &queue->first;
  pthread_mutex_unlock(&queue->lock);
  while (node != NULL) {
    shim_node *next = node->next;
    discard(node);
    node = next;
  }
}

/* Cancels the waits and returns when all of their threads have left the queue. */
static void end_waits(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  while (queue->waits != NULL) {
    shim_wait_cancel_all(queue->waits);
    pthread_cond_wait(&queue->changed, &queue->lock);
  }
  pthread_mutex_unlock(&queue->lock);
}

/* Cancels every link that the realm owned. */
static void end_links(shim_queue *queue) {
  for (;;) {
    pthread_mutex_lock(&queue->lock);
    shim_link *link = shim_links_take_owned(queue->links);
    pthread_mutex_unlock(&queue->lock);
    if (link == NULL) return;
    shim_link_reject(link);
  }
}

/*
 * The realm is gone without shim_queue_release. The waits end before the links do: when the peers learn that a link
 * is invalid and declare its owner dead, no thread of ours may lock anything for that owner any more.
 */
static void on_realm_gone(shim_queue *queue) {
  close_queue(queue);
  end_waits(queue);
  end_links(queue);
}

/* The owner of the queue never writes, so there is something to read only when its end was closed. */
static void on_readable(void *context) {
  shim_queue *queue = context;
  char byte;
  ssize_t length = recv(queue->bell, &byte, 1, MSG_DONTWAIT);
  if (length > 0 || (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))) return;
  pthread_mutex_lock(&queue->lock);
  bool first = !queue->closed;
  pthread_mutex_unlock(&queue->lock);
  dispatch_source_cancel(queue->watch);
  if (!first) return; /* released in order; its source is about to be cancelled by that */
  on_realm_gone(queue);
  shim_queue_drop(queue); /* the owner's reference */
}

/* The source uses the socket until this is called. */
static void on_watch_cancelled(void *context) {
  shim_queue *queue = context;
  (void)close(queue->bell);
  shim_queue_drop(queue); /* the source's reference */
}

/* Makes the socket pair and the source that watches it; the owner's end goes to `wake`. */
static bool make_bell(shim_queue *queue, int32_t *wake) {
  int32_t ends[2];
  if (shim_bell_pair(ends) != 0) return false;
  dispatch_queue_t target = dispatch_queue_create("io.jsr.xpc.shmem.realm", NULL);
  dispatch_source_t watch =
      target == NULL ? NULL : dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)ends[0], 0, target);
  if (target != NULL) dispatch_release(target); /* the source has its own reference */
  if (watch == NULL) {
    (void)close(ends[0]);
    (void)close(ends[1]);
    return false;
  }
  queue->bell = ends[0];
  queue->watch = watch;
  queue->references++;
  dispatch_set_context(watch, queue);
  dispatch_source_set_event_handler_f(watch, on_readable);
  dispatch_source_set_cancel_handler_f(watch, on_watch_cancelled);
  dispatch_activate(watch);
  *wake = ends[1];
  return true;
}

shim_queue *shim_queue_create(int32_t *wake) {
  shim_queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) return NULL;
  queue->end = &queue->first;
  queue->references = 1;
  queue->bell = -1;
  if (pthread_mutex_init(&queue->lock, NULL) != 0) goto no_lock;
  if (pthread_cond_init(&queue->changed, NULL) != 0) goto no_condition;
  if (wake != NULL && !make_bell(queue, wake)) goto no_bell;
  return queue;
no_bell:
  pthread_cond_destroy(&queue->changed);
no_condition:
  pthread_mutex_destroy(&queue->lock);
no_lock:
  free(queue);
  return NULL;
}

void shim_queue_push(shim_queue *queue, shim_node *node) {
  node->next = NULL;
  pthread_mutex_lock(&queue->lock);
  bool closed = queue->closed;
  if (!closed) {
    *queue->end = node;
    queue->end = &node->next;
    /* Under the lock, since the owner may release the queue, and with it the socket, right after. A byte that
     * cannot be sent is not needed: the owner has closed its end. */
    if (!queue->announced && queue->bell >= 0) (void)shim_bell_ring(queue->bell);
    queue->announced = true;
    pthread_cond_broadcast(&queue->changed);
  }
  pthread_mutex_unlock(&queue->lock);
  if (closed) discard(node);
}

uint32_t shim_queue_drain(shim_queue *queue, shim_event *events, uint32_t capacity) {
  uint32_t count = 0;
  shim_node *taken = NULL;
  shim_node **end = &taken;
  pthread_mutex_lock(&queue->lock);
  while (count < capacity && queue->first != NULL) {
    shim_node *node = queue->first;
    queue->first = node->next;
    *end = node;
    end = &node->next;
    events[count++] = node->event;
    if (node->event.link != NULL) shim_link_hand_over(node->event.link);
  }
  *end = NULL;
  if (queue->first == NULL) {
    queue->end = &queue->first;
    queue->announced = false;
  }
  pthread_mutex_unlock(&queue->lock);
  /* Outside the lock: a link that was suspended resumes here, and XPC may call us back. */
  while (taken != NULL) {
    shim_node *node = taken;
    taken = node->next;
    if (node->of != NULL) shim_link_drained(node->of);
    free(node);
  }
  return count;
}

bool shim_queue_wait(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  while (queue->first == NULL && !queue->finished) pthread_cond_wait(&queue->changed, &queue->lock);
  bool waiting = queue->first != NULL;
  pthread_mutex_unlock(&queue->lock);
  return waiting;
}

void shim_queue_finish(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->finished = true;
  pthread_cond_broadcast(&queue->changed);
  pthread_mutex_unlock(&queue->lock);
}

void shim_queue_release(shim_queue *queue) {
  close_queue(queue);
  if (queue->watch != NULL) dispatch_source_cancel(queue->watch);
  shim_queue_drop(queue);
}

shim_queue *shim_queue_retain(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->references++;
  pthread_mutex_unlock(&queue->lock);
  return queue;
}

void shim_queue_drop(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  bool last = --queue->references == 0;
  pthread_mutex_unlock(&queue->lock);
  if (!last) return;
  if (queue->watch != NULL) dispatch_release(queue->watch);
  pthread_cond_destroy(&queue->changed);
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

uint32_t shim_queue_next_id(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  uint32_t id = ++queue->last_id;
  if (id == 0) id = ++queue->last_id; /* 0 means no link */
  pthread_mutex_unlock(&queue->lock);
  return id;
}

pthread_mutex_t *shim_queue_lock(shim_queue *queue) { return &queue->lock; }

pthread_cond_t *shim_queue_changed(shim_queue *queue) { return &queue->changed; }

shim_wait **shim_queue_waits(shim_queue *queue) { return &queue->waits; }

shim_link **shim_queue_links(shim_queue *queue) { return &queue->links; }
