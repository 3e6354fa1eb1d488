/*
 * waiter.c: waits for a realm whose thread must not block, each on a thread of its own.
 *
 * A mutex belongs to a link and not to a thread, so a thread of ours may wait for it and take it. The
 * threads exist only while somebody waits: an uncontended mutex needs none.
 *
 * The threads are detached. The queue counts them by its list of waits: a wait that is on the list may touch the word,
 * one that has left it does not any more. Who unmaps the word, or dies, waits for that and not for the thread's end.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"

/* More waits than this at once in a realm are a fault of the program, not a load. */
#define MAX_WAITS 256

struct shim_wait {
  shim_wait *next;
  shim_queue *queue;
  shim_node *node;
  void *word;      /* the mutex, or the revision */
  void *parked;    /* of a revision; may be NULL */
  shim_seat *seat; /* of a mutex that several realms have in common; else NULL */
  bool is_mutex;
  uint32_t request;
  uint32_t owner;
  double after;
  uint64_t deadline;
  _Atomic uint32_t cancelled;
};

static void *run(void *argument) {
  shim_wait *wait = argument;
  shim_node *node = wait->node;
  if (wait->seat) {
    node->event.value = shim_seat_wait_until(wait->seat, 0, wait->deadline, &wait->cancelled);
  } else if (wait->is_mutex) {
    node->event.value = shim_mutex_wait_until(wait->word, wait->owner, 0, wait->deadline, &wait->cancelled);
  } else {
    node->event.value =
      shim_revision_wait_until(wait->word, wait->parked, wait->after, 0, wait->deadline, &wait->cancelled);
  }
  node->event.kind = SHIM_EVENT_WAIT;
  node->event.request = wait->request;
  shim_queue *queue = wait->queue;
  /* The wait leaves the list before its event is queued: from then on the owner may unmap the word, so that no
   * cancel may touch it any more. */
  pthread_mutex_lock(shim_queue_lock(queue));
  shim_wait **place = shim_queue_waits(queue);
  while (*place != wait) place = &(*place)->next;
  *place = wait->next;
  pthread_cond_broadcast(shim_queue_changed(queue));
  pthread_mutex_unlock(shim_queue_lock(queue));
  free(wait);
  shim_queue_push(queue, node);
  shim_queue_drop(queue);
  return NULL;
}

static int start(shim_queue *queue, const shim_wait *like) {
  /* All that the end of the wait needs is had now: the thread has nobody to tell that it has no memory. */
  shim_wait *wait = malloc(sizeof *wait);
  shim_node *node = calloc(1, sizeof *node);
  pthread_attr_t attributes;
  if (!wait || !node || pthread_attr_init(&attributes) != 0) {
    free(wait);
    free(node);
    return -ENOMEM;
  }
  wait->word = like->word;
  wait->parked = like->parked;
  wait->seat = like->seat;
  wait->is_mutex = like->is_mutex;
  wait->request = like->request;
  wait->owner = like->owner;
  wait->after = like->after;
  wait->deadline = like->deadline;
  atomic_init(&wait->cancelled, 0);
  wait->node = node;
  wait->queue = shim_queue_retain(queue);
  /* Put on the list before the thread runs, since the thread takes it off. The lock is held until it is certain that
   * there is a thread, so that nobody cancels or waits for a wait that has none. */
  pthread_mutex_lock(shim_queue_lock(queue));
  uint32_t count = 0;
  for (shim_wait *other = *shim_queue_waits(queue); other; other = other->next) count++;
  wait->next = *shim_queue_waits(queue);
  *shim_queue_waits(queue) = wait;
  pthread_t thread;
  int error = count >= MAX_WAITS ? EAGAIN : pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (error == 0) error = pthread_create(&thread, &attributes, run, wait);
  if (error != 0) *shim_queue_waits(queue) = wait->next;
  pthread_mutex_unlock(shim_queue_lock(queue));
  pthread_attr_destroy(&attributes);
  if (error != 0) {
    free(wait);
    free(node);
    shim_queue_drop(queue);
  }
  return -error;
}

int shim_mutex_wait_async(shim_queue *queue, uint32_t request, void *word, uint32_t owner,
                          double milliseconds) {
  shim_wait like = {.word = word,
                    .is_mutex = true,
                    .request = request,
                    .owner = owner,
                    .deadline = shim_deadline(milliseconds)};
  return start(queue, &like);
}

int32_t shim_seat_wait_async(shim_queue *queue, uint32_t request, shim_seat *seat, double milliseconds) {
  shim_wait like = {.word = shim_seat_mutex(seat),
                    .seat = seat,
                    .is_mutex = true,
                    .request = request,
                    .deadline = shim_deadline(milliseconds)};
  return start(queue, &like);
}

int shim_revision_wait_async(shim_queue *queue, uint32_t request, void *revision, void *parked, double after,
                             double milliseconds) {
  shim_wait like = {.word = revision,
                    .parked = parked,
                    .request = request,
                    .after = after,
                    .deadline = shim_deadline(milliseconds)};
  return start(queue, &like);
}

/* Under the lock of the queue, as long as the wait is on the list: the word is still mapped. A wake is a system call
 * that does not block. */
static void cancel(shim_wait *wait) {
  atomic_store(&wait->cancelled, 1);
  if (wait->is_mutex) {
    shim_mutex_recheck(wait->word);
  } else {
    shim_revision_recheck(wait->word);
  }
}

void shim_wait_cancel(shim_queue *queue, uint32_t request) {
  pthread_mutex_lock(shim_queue_lock(queue));
  /* To the end of the list, also behind a match: nothing here keeps a caller from giving one number twice. */
  for (shim_wait *wait = *shim_queue_waits(queue); wait; wait = wait->next) {
    if (wait->request == request) cancel(wait);
  }
  pthread_mutex_unlock(shim_queue_lock(queue));
}

void shim_wait_cancel_all(shim_wait *waits) {
  for (shim_wait *wait = waits; wait; wait = wait->next) cancel(wait);
}
