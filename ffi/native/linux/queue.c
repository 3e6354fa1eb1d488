/*
 * queue.c: serial queues, the global queue and the main queue.
 *
 * A serial queue with work puts itself, as one piece of work, on its target; there it runs some of what it
 * has and goes to the end of the line again.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <time.h>

#include "internal.h"

#define BATCH 32 /* pieces of work before others get their turn */

enum object_kind { QUEUE_SERIAL = 1, QUEUE_GLOBAL, QUEUE_MAIN, SEMAPHORE };

struct dispatch_object_s {
  enum object_kind kind;
  _Atomic int32_t references;
};

struct dispatch_queue_s {
  struct dispatch_object_s base;
  char *label;
  struct dispatch_queue_s *target; /* NULL: the pool */
  pthread_mutex_t lock;
  struct xpc_work *first, **end;
  struct xpc_work turn; /* the queue itself, as work of its target */
  bool scheduled;       /* `turn` is on its way, or runs; holds a reference */
  unsigned suspensions;
};

struct dispatch_semaphore_s {
  struct dispatch_object_s base;
  pthread_mutex_t lock;
  pthread_cond_t given;
  intptr_t value; /* below 0: that many wait */
  intptr_t wakes;
};

static struct dispatch_queue_s global_queue = {
  .base = {.kind = QUEUE_GLOBAL, .references = XPC_IMMORTAL},
  .label = (char *)(uintptr_t) "global",
};
struct dispatch_queue_s _dispatch_main_q = {
  .base = {.kind = QUEUE_MAIN, .references = XPC_IMMORTAL},
  .label = (char *)(uintptr_t) "main",
  .lock = PTHREAD_MUTEX_INITIALIZER,
  .end = &_dispatch_main_q.first,
};
static pthread_cond_t main_queue_work = PTHREAD_COND_INITIALIZER;

/* ---------------------------------------------------------------------------------------- objects ---- */

static void dispose(struct dispatch_object_s *object) {
  if (object->kind == SEMAPHORE) {
    struct dispatch_semaphore_s *semaphore = (struct dispatch_semaphore_s *)object;
    pthread_cond_destroy(&semaphore->given);
    pthread_mutex_destroy(&semaphore->lock);
  } else {
    struct dispatch_queue_s *queue = (struct dispatch_queue_s *)object;
    if (queue->target) dispatch_release(queue->target);
    pthread_mutex_destroy(&queue->lock);
    free(queue->label);
  }
  free(object);
}

void dispatch_retain(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return;
  if (atomic_fetch_add_explicit(&header->references, 1, memory_order_relaxed) <= 0) {
    xpc_misuse("dispatch_retain: the object was released already");
  }
}

void dispatch_release(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return;
  int32_t before = atomic_fetch_sub_explicit(&header->references, 1, memory_order_acq_rel);
  if (before <= 0) xpc_misuse("dispatch_release: over-release");
  if (before == 1) dispose(header);
}

void xpc_queue_retain(dispatch_queue_t queue) {
  if (queue) dispatch_retain(queue);
}

void xpc_queue_release(dispatch_queue_t queue) {
  if (queue) dispatch_release(queue);
}

/* ----------------------------------------------------------------------------------------- queues ---- */

/* Puts the queue on its target if it has work that may run; lock held. */
static bool schedule(dispatch_queue_t queue) {
  if (queue->scheduled || queue->suspensions || !queue->first) return false;
  queue->scheduled = true;
  dispatch_retain(queue);
  return true;
}

static void take_turn(struct xpc_work *turn) {
  dispatch_queue_t queue = (dispatch_queue_t)(void *)((char *)turn - offsetof(struct dispatch_queue_s, turn));
  pthread_mutex_lock(&queue->lock);
  for (int i = 0; i < BATCH && queue->first && !queue->suspensions; i++) {
    struct xpc_work *work = queue->first;
    queue->first = work->next;
    if (!queue->first) queue->end = &queue->first;
    pthread_mutex_unlock(&queue->lock);
    work->run(work);
    pthread_mutex_lock(&queue->lock);
  }
  bool more = queue->first && !queue->suspensions;
  if (!more) queue->scheduled = false;
  pthread_mutex_unlock(&queue->lock);
  if (more) xpc_queue_push(queue->target, turn);
  else dispatch_release(queue);
}

dispatch_queue_t dispatch_queue_create_with_target(const char *label, dispatch_queue_attr_t attr,
                                                   dispatch_queue_t target) {
  if (attr) xpc_misuse("dispatch_queue_create: only serial queues are there");
  struct dispatch_queue_s *queue = xpc_allocate(sizeof *queue);
  queue->base.kind = QUEUE_SERIAL;
  atomic_init(&queue->base.references, 1);
  queue->label = xpc_copy_string(label ? label : "");
  pthread_mutex_init(&queue->lock, NULL);
  queue->end = &queue->first;
  queue->turn.run = take_turn;
  xpc_queue_set_target(queue, target);
  return queue;
}

dispatch_queue_t dispatch_queue_create(const char *label, dispatch_queue_attr_t attr) {
  return dispatch_queue_create_with_target(label, attr, NULL);
}

const char *dispatch_queue_get_label(dispatch_queue_t queue) {
  if (!queue) xpc_misuse("dispatch_queue_get_label: the queue is NULL");
  return queue->label;
}

dispatch_queue_global_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags) {
  (void)identifier;
  (void)flags;
  return &global_queue;
}

void xpc_queue_set_target(dispatch_queue_t queue, dispatch_queue_t target) {
  if (target) dispatch_retain(target);
  dispatch_queue_t old = queue->target;
  queue->target = target;
  if (old) dispatch_release(old);
}

void xpc_queue_push(dispatch_queue_t queue, struct xpc_work *work) {
  if (!queue || queue->base.kind == QUEUE_GLOBAL) {
    xpc_pool_push(work);
    return;
  }
  pthread_mutex_lock(&queue->lock);
  work->next = NULL;
  *queue->end = work;
  queue->end = &work->next;
  if (queue->base.kind == QUEUE_MAIN) pthread_cond_signal(&main_queue_work);
  bool due = queue->base.kind == QUEUE_SERIAL && schedule(queue);
  pthread_mutex_unlock(&queue->lock);
  if (due) xpc_queue_push(queue->target, &queue->turn);
}

void xpc_queue_suspend(dispatch_queue_t queue) {
  pthread_mutex_lock(&queue->lock);
  queue->suspensions++;
  pthread_mutex_unlock(&queue->lock);
}

void xpc_queue_resume(dispatch_queue_t queue) {
  pthread_mutex_lock(&queue->lock);
  queue->suspensions--;
  bool due = schedule(queue);
  pthread_mutex_unlock(&queue->lock);
  if (due) xpc_queue_push(queue->target, &queue->turn);
}

void dispatch_main(void) {
  dispatch_queue_t queue = &_dispatch_main_q;
  pthread_mutex_lock(&queue->lock);
  for (;;) {
    while (!queue->first) pthread_cond_wait(&main_queue_work, &queue->lock);
    struct xpc_work *work = queue->first;
    queue->first = work->next;
    if (!queue->first) queue->end = &queue->first;
    pthread_mutex_unlock(&queue->lock);
    work->run(work);
    pthread_mutex_lock(&queue->lock);
  }
}

/* ------------------------------------------------------------------------------------------- work ---- */

struct call {
  struct xpc_work work;
  dispatch_function_t function;
  void *context;
  dispatch_semaphore_t done; /* of dispatch_sync */
};

static void run_call(struct xpc_work *work) {
  struct call *call = (struct call *)work;
  call->function(call->context);
  if (call->done) dispatch_semaphore_signal(call->done); /* the caller owns a synchronous call */
  else free(call);
}

void dispatch_async_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
  struct call *call = xpc_allocate(sizeof *call);
  *call = (struct call){.work.run = run_call, .function = work, .context = context};
  xpc_queue_push(queue, &call->work);
}

void dispatch_sync_f(dispatch_queue_t queue, void *context, dispatch_function_t work) {
  struct call call = {.work.run = run_call, .function = work, .context = context};
  call.done = dispatch_semaphore_create(0);
  xpc_queue_push(queue, &call.work);
  (void)dispatch_semaphore_wait(call.done, DISPATCH_TIME_FOREVER);
  dispatch_release(call.done);
}

static void run_block(void *block) {
  ((dispatch_block_t)block)();
  xpc_block_release(block);
}

void dispatch_async(dispatch_queue_t queue, dispatch_block_t block) {
  dispatch_async_f(queue, xpc_block_copy((const void *)block), run_block);
}

static void run_borrowed_block(void *block) { ((dispatch_block_t)block)(); }

void dispatch_sync(dispatch_queue_t queue, dispatch_block_t block) {
  dispatch_sync_f(queue, (void *)block, run_borrowed_block);
}

/* ------------------------------------------------------------------------------------- semaphores ---- */

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
  if (when == DISPATCH_TIME_FOREVER) return when;
  if (when == DISPATCH_TIME_NOW) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    when = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
  }
  int64_t sum;
  if (__builtin_add_overflow((int64_t)when, delta, &sum)) return delta > 0 ? DISPATCH_TIME_FOREVER : 1;
  return sum > 0 ? (dispatch_time_t)sum : 1; /* 0 means now */
}

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
  struct dispatch_semaphore_s *semaphore = NULL;
  if (value < 0) return semaphore;
  semaphore = xpc_allocate(sizeof *semaphore);
  semaphore->base.kind = SEMAPHORE;
  atomic_init(&semaphore->base.references, 1);
  semaphore->value = value;
  pthread_mutex_init(&semaphore->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&semaphore->given, &attributes);
  pthread_condattr_destroy(&attributes);
  return semaphore;
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t dsema, dispatch_time_t timeout) {
  struct timespec deadline = {
    .tv_sec = (time_t)(timeout / NSEC_PER_SEC),
    .tv_nsec = (long)(timeout % NSEC_PER_SEC),
  };
  intptr_t result = 0;
  if (timeout != DISPATCH_TIME_NOW) xpc_io_before_waiting();
  dispatch_retain(dsema); /* the one who signals may release it at once */
  pthread_mutex_lock(&dsema->lock);
  if (--dsema->value < 0) {
    while (dsema->wakes == 0 && result == 0) {
      if (timeout == DISPATCH_TIME_FOREVER) pthread_cond_wait(&dsema->given, &dsema->lock);
      else result = pthread_cond_timedwait(&dsema->given, &dsema->lock, &deadline);
    }
    if (dsema->wakes > 0) {
      dsema->wakes--;
      result = 0;
    } else {
      dsema->value++;
    }
  }
  pthread_mutex_unlock(&dsema->lock);
  dispatch_release(dsema);
  return result;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t dsema) {
  dispatch_retain(dsema); /* the one who waits may release it at once */
  pthread_mutex_lock(&dsema->lock);
  bool waited = dsema->value++ < 0;
  if (waited) {
    dsema->wakes++;
    pthread_cond_signal(&dsema->given);
  }
  pthread_mutex_unlock(&dsema->lock);
  dispatch_release(dsema);
  return waited;
}
