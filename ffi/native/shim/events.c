/*
 * events.c: a queue that native threads fill and one owner drains.
 *
 * A callback into JavaScript blocks the calling thread until JavaScript has run it. So XPC's threads never
 * call it: they append, and a thread of the queue's own calls.
 */
#include <errno.h>
#include <stdlib.h>

#include <xpc/xpc.h>

#include "internal.h"

struct shim_queue {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pthread_t thread;
  void (*wake)(void *context);
  void *context;
  shim_node *first;
  shim_node **end; /* where the next node is hung in */
  shim_wait *waits;
  uint32_t references;
  uint32_t last_id;
  bool announce; /* something was appended since the last wake */
  bool stopping;
  bool finished;
  bool joined;
  bool closed; /* released: what comes now is discarded */
};

static void *run(void *argument) {
  shim_queue *queue = argument;
  pthread_mutex_lock(&queue->lock);
  for (;;) {
    while (!queue->announce && !queue->stopping) pthread_cond_wait(&queue->changed, &queue->lock);
    queue->announce = false;
    queue->finished = queue->stopping;
    bool last = queue->finished;
    pthread_mutex_unlock(&queue->lock);
    queue->wake(queue->context);
    if (last) return NULL;
    pthread_mutex_lock(&queue->lock);
  }
}

shim_queue *shim_queue_create(void (*wake)(void *context), void *context) {
  shim_queue *queue = calloc(1, sizeof *queue);
  if (queue == NULL) return NULL;
  queue->wake = wake;
  queue->context = context;
  queue->end = &queue->first;
  queue->references = 1;
  if (pthread_mutex_init(&queue->lock, NULL) != 0) goto no_lock;
  if (pthread_cond_init(&queue->changed, NULL) != 0) goto no_condition;
  if (pthread_create(&queue->thread, NULL, run, queue) != 0) goto no_thread;
  return queue;
no_thread:
  pthread_cond_destroy(&queue->changed);
no_condition:
  pthread_mutex_destroy(&queue->lock);
no_lock:
  free(queue);
  return NULL;
}

/* Ends a node that nobody will drain. */
static void discard(shim_node *node) {
  if (node->event.object != NULL) xpc_release(node->event.object);
  if (node->event.link != NULL) shim_link_reject(node->event.link);
  if (node->of != NULL) shim_link_drained(node->of);
  free(node);
}

void shim_queue_push(shim_queue *queue, shim_node *node) {
  node->next = NULL;
  pthread_mutex_lock(&queue->lock);
  bool closed = queue->closed;
  if (!closed) {
    *queue->end = node;
    queue->end = &node->next;
    queue->announce = true;
    pthread_cond_signal(&queue->changed);
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
  }
  *end = NULL;
  if (queue->first == NULL) queue->end = &queue->first;
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

void shim_queue_finish(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->stopping = true;
  pthread_cond_signal(&queue->changed);
  pthread_mutex_unlock(&queue->lock);
}

bool shim_queue_finished(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  bool finished = queue->finished;
  pthread_mutex_unlock(&queue->lock);
  return finished;
}

int shim_queue_stop(shim_queue *queue) {
  if (pthread_equal(pthread_self(), queue->thread)) return -EDEADLK;
  shim_queue_finish(queue);
  if (queue->joined) return 0;
  int error = pthread_join(queue->thread, NULL);
  if (error == 0) queue->joined = true;
  return -error;
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
  pthread_cond_destroy(&queue->changed);
  pthread_mutex_destroy(&queue->lock);
  free(queue);
}

void shim_queue_release(shim_queue *queue) {
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
  shim_queue_drop(queue);
}

uint32_t shim_queue_next_id(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  uint32_t id = ++queue->last_id;
  if (id == 0) id = ++queue->last_id; /* 0 means no link */
  pthread_mutex_unlock(&queue->lock);
  return id;
}

pthread_mutex_t *shim_queue_lock(shim_queue *queue) { return &queue->lock; }

shim_wait **shim_queue_waits(shim_queue *queue) { return &queue->waits; }
