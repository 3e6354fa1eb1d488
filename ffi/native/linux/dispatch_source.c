/*
 * dispatch_source.c: sources that call a handler while a descriptor is readable.
 *
 * The I/O thread learns that the descriptor is readable. It then takes the descriptor out of epoll and puts
 * the handler on the source's queue; when the handler has returned, the descriptor goes into epoll again, and
 * epoll reports it again if it is still readable. So the handler never runs concurrently with itself, also on
 * the global queue, and a handler that is slow, or whose queue is busy, does not make the I/O thread spin.
 *
 * The event handler and the cancel handler are one piece of work: `handling` says that it is on its way, or
 * runs. That is why they exclude each other, and why nothing follows the cancel handler.
 *
 * Memory: dispatch_retain and dispatch_release count the owner's references. When the last of them is gone,
 * the source may still be in epoll, on the I/O thread's list of jobs, or on its queue: each of these counts
 * in `holds`, as do all of the owner's references together.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "internal.h"

struct dispatch_source_type_s {
  const char *name;
};
const struct dispatch_source_type_s _dispatch_source_type_read = {.name = "read"};

struct dispatch_source_s {
  struct dispatch_object_s base;
  _Atomic int32_t holds;
  dispatch_queue_t queue; /* retained; NULL: the global queue */
  struct xpc_source source;
  struct xpc_job job;
  struct xpc_work work;

  pthread_mutex_t lock; /* guards all that follows, and whether `source` is in epoll */
  dispatch_function_t event_handler;
  dispatch_function_t cancel_handler;
  bool active;
  bool scheduled; /* `job` is on the I/O thread's list */
  bool handling;  /* `work` is on the queue, or runs */
  bool cancelled; /* by dispatch_source_cancel */
  bool abandoned; /* the owner released it: no event handler runs any more */
  bool ended;     /* it left epoll for the last time, and the cancel handler is on its way or was run */
};

static void release_hold(dispatch_source_t source) {
  if (atomic_fetch_sub_explicit(&source->holds, 1, memory_order_acq_rel) != 1) return;
  xpc_queue_release(source->queue);
  pthread_mutex_destroy(&source->lock);
  free(source);
}

static void add_hold(dispatch_source_t source) {
  atomic_fetch_add_explicit(&source->holds, 1, memory_order_relaxed);
}

/* Lock held. Has the I/O thread look at the source. */
static void schedule(dispatch_source_t source) {
  if (source->scheduled) return;
  source->scheduled = true;
  add_hold(source);
  xpc_io_schedule(&source->job);
}

/* Lock held. */
static void push_work(dispatch_source_t source) {
  source->handling = true;
  add_hold(source);
  xpc_queue_push(source->queue, &source->work);
}

/* Lock held, on the I/O thread. */
static void watch(dispatch_source_t source) {
  if (xpc_io_watch(&source->source, EPOLLIN)) return;
  int fd = source->source.fd, error = errno;
  switch (error) {
    case EPERM: push_work(source); return; /* a regular file, which epoll refuses: it is always readable */
    case EBADF: xpc_misuse("dispatch_source: descriptor %d is not open", fd);
    case EEXIST: xpc_misuse("dispatch_source: descriptor %d has another source", fd);
    default: /* the system is short of memory or of watches: try again */
      source->scheduled = true;
      add_hold(source);
      xpc_io_schedule_later(&source->job);
  }
}

/* Only the I/O thread takes a source out of epoll: see io.c. */
static void step(struct xpc_job *job) {
  dispatch_source_t source =
    (dispatch_source_t)(void *)((char *)job - offsetof(struct dispatch_source_s, job));
  pthread_mutex_lock(&source->lock);
  source->scheduled = false;
  bool over = source->cancelled || source->abandoned;
  if (source->active && !source->handling && !source->ended) {
    if (!over) {
      watch(source);
    } else {
      (void)xpc_io_watch(&source->source, 0);
      source->ended = true;
      if (source->cancelled) push_work(source);
    }
  }
  pthread_mutex_unlock(&source->lock);
  release_hold(source);
}

static void ready(struct xpc_source *ready_source) {
  dispatch_source_t source =
    (dispatch_source_t)(void *)((char *)ready_source - offsetof(struct dispatch_source_s, source));
  pthread_mutex_lock(&source->lock);
  if (!source->cancelled && !source->abandoned) {
    /* Out of epoll entirely: without interest it would still report that the other side hung up. */
    (void)xpc_io_watch(&source->source, 0);
    push_work(source);
  } /* else its job is scheduled, and takes it out before epoll is asked again */
  pthread_mutex_unlock(&source->lock);
}

static void run(struct xpc_work *work) {
  dispatch_source_t source =
    (dispatch_source_t)(void *)((char *)work - offsetof(struct dispatch_source_s, work));
  pthread_mutex_lock(&source->lock);
  dispatch_function_t handler = NULL;
  if (source->ended) handler = source->cancel_handler;
  else if (!source->cancelled && !source->abandoned) handler = source->event_handler;
  pthread_mutex_unlock(&source->lock);

  if (handler) handler(dispatch_get_context(source));

  pthread_mutex_lock(&source->lock);
  source->handling = false;
  if (!source->ended) schedule(source);
  pthread_mutex_unlock(&source->lock);
  release_hold(source);
}

/* The owner's last reference is gone. */
static void abandon(struct dispatch_object_s *object) {
  dispatch_source_t source = (dispatch_source_t)(void *)object;
  pthread_mutex_lock(&source->lock);
  if (!source->active) xpc_misuse("dispatch_release: the last release of a source that was never activated");
  source->abandoned = true;
  if (!source->ended) schedule(source);
  pthread_mutex_unlock(&source->lock);
  release_hold(source);
}

static bool activate(struct dispatch_object_s *object) {
  dispatch_source_t source = (dispatch_source_t)(void *)object;
  pthread_mutex_lock(&source->lock);
  bool first = !source->active;
  source->active = true;
  if (first) schedule(source);
  pthread_mutex_unlock(&source->lock);
  return first;
}

static const struct xpc_dispatch_kind source_kind = {
  .name = "a source",
  .unreferenced = abandon,
  .activate = activate,
};

dispatch_source_t dispatch_source_create(dispatch_source_type_t type, uintptr_t handle, uintptr_t mask,
                                         dispatch_queue_t queue) {
  dispatch_source_t source = NULL;
  if (type != DISPATCH_SOURCE_TYPE_READ || handle > INT32_MAX || mask) return source;
  source = xpc_allocate(sizeof *source);
  source->base.kind = &source_kind;
  atomic_init(&source->base.references, 1);
  atomic_init(&source->holds, 1);
  source->queue = queue;
  xpc_queue_retain(queue);
  source->source = (struct xpc_source){.fd = (int)handle, .ready = ready};
  source->job.run = step;
  source->work.run = run;
  pthread_mutex_init(&source->lock, NULL);
  return source;
}

void dispatch_source_set_event_handler_f(dispatch_source_t source, dispatch_function_t handler) {
  pthread_mutex_lock(&source->lock);
  source->event_handler = handler;
  pthread_mutex_unlock(&source->lock);
}

void dispatch_source_set_cancel_handler_f(dispatch_source_t source, dispatch_function_t handler) {
  pthread_mutex_lock(&source->lock);
  source->cancel_handler = handler;
  pthread_mutex_unlock(&source->lock);
}

void dispatch_source_cancel(dispatch_source_t source) {
  pthread_mutex_lock(&source->lock);
  bool first = !source->cancelled;
  source->cancelled = true;
  if (first && source->active) schedule(source);
  pthread_mutex_unlock(&source->lock);
}
