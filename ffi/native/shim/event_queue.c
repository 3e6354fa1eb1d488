/*
 * event_queue.c: a queue of events that native threads fill and one owner drains on its own thread.
 *
 * No native thread ever calls into JavaScript: a callback whose realm is gone (a terminated worker, an exit under
 * load) would crash the process. Whoever has an event appends it and sends one byte on a socket that the realm's
 * event loop reads.
 *
 * A realm may die without releasing its queue (worker.terminate(), an uncaught error). Its thread ends with it, which
 * runs the destructor of the thread's list of queues. That ends what the realm has left behind: its waits, then its
 * connections, so that its peers learn of the death. A realm that dies with the process needs none of this.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xpc/xpc.h>

#if defined(__APPLE__)
#include <dlfcn.h>
#endif

#include "internal.h"

/* A socket that the realm reads. The runtime of JavaScript leaves it open when a worker dies. */
struct read_end {
  struct read_end *next;
  int fd;
  dev_t device; /* with the inode: whether the descriptor is still that socket */
  ino_t inode;
};

struct shim_queue {
  /* Not under the lock: whoever drops the last reference destroys the lock, so nobody else may be in it any more. */
  _Atomic uint32_t references;
  pthread_mutex_t lock;
  pthread_cond_t changed; /* for shim_queue_wait, and for the end of the waits of a dead realm */
  /* For the thread of the realm only: */
  shim_queue *next_of_thread;
  struct read_end *read_ends;
  /* Under the lock: */
  int bell; /* our end of the socket pair, or -1 where the owner drains by shim_queue_wait */
  shim_node *first;
  shim_node **end; /* where the next node is hung in */
  shim_wait *waits;
  shim_link *links; /* of this queue, so that they can be cancelled when the realm is gone */
  uint32_t last_id;
  bool announced; /* a byte was sent since the queue was last drained empty */
  bool finished;
  bool closed; /* released, or the realm is gone: what comes now is discarded */
};

/* Ends a node that nobody will drain. */
static void discard(shim_node *node) {
  if (node->event.object) xpc_release(node->event.object);
  if (node->event.link) shim_link_reject(node->event.link);
  if (node->of) shim_link_drained(node->of, node->weight);
  free(node);
}

/* Closes the queue for new events and discards those that wait: outside the lock, since a discard calls XPC, which may
 * push to this queue. */
static void close_queue(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  queue->closed = true;
  if (queue->bell >= 0) (void)close(queue->bell);
  queue->bell = -1;
  shim_node *node = queue->first;
  queue->first = NULL;
  queue->end = &queue->first;
  pthread_mutex_unlock(&queue->lock);
  while (node) {
    shim_node *next = node->next;
    discard(node);
    node = next;
  }
}

/* Cancels the waits and returns when all of their threads have left the queue. Once is enough: each sees its flag at
 * its next wake or within SHIM_LOOK_AGAIN, and a dead realm starts no more. Each cancel wakes all who wait for the same
 * word, other processes, too. */
static void end_waits(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  shim_wait_cancel_all(queue->waits);
  while (queue->waits) pthread_cond_wait(&queue->changed, &queue->lock);
  pthread_mutex_unlock(&queue->lock);
}

/* Cancels every link that the realm owned. */
static void end_links(shim_queue *queue) {
  for (;;) {
    pthread_mutex_lock(&queue->lock);
    shim_link *link = shim_links_take_owned(queue->links);
    pthread_mutex_unlock(&queue->lock);
    if (!link) return;
    /* Without the lock, which the last drop of a link takes itself. */
    shim_link_reject(link);
  }
}

/* Closes the sockets that a dead realm read, where nobody did. */
static void close_read_ends(shim_queue *queue) {
  for (struct read_end *end = queue->read_ends; end; end = end->next) {
    struct stat status;
    if (fstat(end->fd, &status) != 0) continue;
    if (status.st_dev == end->device && status.st_ino == end->inode) (void)close(end->fd);
  }
}

static void free_read_ends(shim_queue *queue) {
  while (queue->read_ends) {
    struct read_end *end = queue->read_ends;
    queue->read_ends = end->next;
    free(end);
  }
}

/*
 * The realm is gone without shim_queue_release. The waits end before the links do: when the peers learn that a link
 * is invalid and declare its owner dead, no thread of ours may lock anything for that owner any more.
 */
static void on_realm_gone(shim_queue *queue) {
  close_queue(queue);
  end_waits(queue);
  shim_realms_gone(queue);
  end_links(queue);
  close_read_ends(queue);
  free_read_ends(queue);
  shim_queue_drop(queue); /* the owner's reference */
}

/* The queues of the thread, first the newest: a key of the process, since only a key has a destructor. */
static pthread_key_t queues_of_thread;
static int key_error;

static void on_thread_end(void *queues) {
  for (shim_queue *queue = queues; queue;) {
    shim_queue *next = queue->next_of_thread;
    on_realm_gone(queue);
    queue = next;
  }
}

/*
 * Keeps this library in memory as long as the process lives. A worker that dies closes what it opened before its
 * thread ends, and on_thread_end must still be there then. On Linux the library is linked with "nodelete", which
 * Mach-O does not have; a handle that is never closed does the same. Where the code is part of a program instead,
 * there is nothing to keep, so that a failure means nothing.
 */
static void stay_loaded(void) {
#if defined(__APPLE__)
  Dl_info self;
  if (dladdr(&key_error, &self) != 0) (void)dlopen(self.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
#endif
}

static void make_key(void) {
  stay_loaded();
  key_error = pthread_key_create(&queues_of_thread, on_thread_end);
}

/* Adds the queue to the list of this thread. */
static bool watch_thread(shim_queue *queue) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  if (pthread_once(&once, make_key) != 0 || key_error != 0) return false;
  queue->next_of_thread = pthread_getspecific(queues_of_thread);
  return pthread_setspecific(queues_of_thread, queue) == 0;
}

/* Takes the queue off the list of this thread. */
static void unwatch_thread(shim_queue *queue) {
  shim_queue *first = pthread_getspecific(queues_of_thread);
  if (first == queue) {
    /* Cannot fail: the thread has a value for this key already. */
    (void)pthread_setspecific(queues_of_thread, queue->next_of_thread);
    return;
  }
  for (shim_queue *other = first; other; other = other->next_of_thread) {
    if (other->next_of_thread == queue) other->next_of_thread = queue->next_of_thread;
  }
}

int32_t shim_queue_open_bell(shim_queue *queue, int32_t ends[2]) {
  struct read_end *end = malloc(sizeof *end);
  if (!end) return -ENOMEM;
  int32_t error = shim_bell_pair(ends);
  if (error != 0) {
    free(end);
    return error;
  }
  struct stat status = {0};
  (void)fstat(ends[0], &status); /* cannot fail for a descriptor that we have just made */
  *end = (struct read_end){
    .next = queue->read_ends, .fd = ends[0], .device = status.st_dev, .inode = status.st_ino};
  queue->read_ends = end;
  return 0;
}

void shim_queue_forget_bell(shim_queue *queue, int32_t fd) {
  for (struct read_end **place = &queue->read_ends; *place; place = &(*place)->next) {
    struct read_end *end = *place;
    if (end->fd != fd) continue;
    *place = end->next;
    free(end);
    return;
  }
}

shim_queue *shim_queue_create(int32_t *wake) {
  shim_queue *queue = calloc(1, sizeof *queue);
  if (!queue) return NULL;
  queue->end = &queue->first;
  atomic_init(&queue->references, 1); /* the owner's */
  queue->bell = -1;
  if (pthread_mutex_init(&queue->lock, NULL) != 0) goto no_lock;
  if (pthread_cond_init(&queue->changed, NULL) != 0) goto no_condition;
  if (!wake) return queue;
  int32_t ends[2];
  if (shim_queue_open_bell(queue, ends) != 0) goto no_bell;
  queue->bell = ends[1];
  if (!watch_thread(queue)) goto no_key;
  *wake = ends[0];
  return queue;
no_key:
  free_read_ends(queue);
  (void)close(ends[0]);
  (void)close(ends[1]);
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
    /* Under the lock, since the owner may release the queue, and with it the socket, right after. When the byte
     * cannot be sent (macOS may be out of buffers), the next event tries again. */
    if (!queue->announced && queue->bell >= 0) queue->announced = shim_bell_ring(queue->bell) == 0;
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
  while (count < capacity && queue->first) {
    shim_node *node = queue->first;
    queue->first = node->next;
    *end = node;
    end = &node->next;
    events[count++] = node->event;
    if (node->event.link) shim_link_hand_over(node->event.link);
  }
  *end = NULL;
  if (!queue->first) {
    queue->end = &queue->first;
    queue->announced = false;
  }
  pthread_mutex_unlock(&queue->lock);
  /* Outside the lock: a link that was suspended resumes here, and XPC may call us back. */
  while (taken) {
    shim_node *node = taken;
    taken = node->next;
    if (node->of) shim_link_drained(node->of, node->weight);
    free(node);
  }
  return count;
}

bool shim_queue_wait(shim_queue *queue) {
  pthread_mutex_lock(&queue->lock);
  while (!queue->first && !queue->finished) pthread_cond_wait(&queue->changed, &queue->lock);
  bool waiting = queue->first;
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
  bool has_bell = queue->bell >= 0;
  close_queue(queue);
  if (has_bell) unwatch_thread(queue);
  free_read_ends(queue);
  shim_queue_drop(queue);
}

shim_queue *shim_queue_retain(shim_queue *queue) {
  atomic_fetch_add(&queue->references, 1);
  return queue;
}

void shim_queue_drop(shim_queue *queue) {
  if (atomic_fetch_sub(&queue->references, 1) != 1) return;
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
