/*
 * pool.c: the threads that run queues.
 *
 * A thread is added when there is more work than idle threads, up to a limit, so that handlers that block
 * each other's progress still run; a thread that idles for some seconds leaves.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "internal.h"

#define POOL_LIMIT 64
#define POOL_IDLE_SECONDS 5

static struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  pthread_cond_t work_came;
  struct xpc_work *first, **end;
  unsigned waiting; /* pieces of work on the list */
  unsigned idle, threads;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static void initialise(void) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&pool.work_came, &attributes);
  pthread_condattr_destroy(&attributes);
  pool.end = &pool.first;
}

bool xpc_thread_start(void *(*run)(void *), void *context) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before); /* inherited: signals go to the program's own threads */
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  int result = pthread_create(&thread, &attributes, run, context);
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return result == 0;
}

/* Waits for work, lock held; NULL when the thread may leave. */
static struct xpc_work *next_work(void) {
  struct timespec deadline;
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  deadline.tv_sec += POOL_IDLE_SECONDS;
  while (!pool.first) {
    pool.idle++;
    int result = pthread_cond_timedwait(&pool.work_came, &pool.lock, &deadline);
    pool.idle--;
    if (result == ETIMEDOUT && !pool.first) return NULL;
  }
  struct xpc_work *work = pool.first;
  pool.first = work->next;
  if (!pool.first) pool.end = &pool.first;
  pool.waiting--;
  return work;
}

static void *worker(void *unused) {
  (void)unused;
  pthread_mutex_lock(&pool.lock);
  for (struct xpc_work *work; (work = next_work());) {
    pthread_mutex_unlock(&pool.lock);
    work->run(work);
    pthread_mutex_lock(&pool.lock);
  }
  pool.threads--;
  pthread_mutex_unlock(&pool.lock);
  return NULL;
}

void xpc_pool_push(struct xpc_work *work) {
  if (xpc_io_defer(work)) return;
  pthread_once(&pool.once, initialise);
  pthread_mutex_lock(&pool.lock);
  work->next = NULL;
  *pool.end = work;
  pool.end = &work->next;
  pool.waiting++;
  bool grow = pool.waiting > pool.idle && pool.threads < POOL_LIMIT;
  if (grow) pool.threads++;
  else pthread_cond_signal(&pool.work_came);
  pthread_mutex_unlock(&pool.lock);
  if (!grow || xpc_thread_start(worker, NULL)) return;
  pthread_mutex_lock(&pool.lock);
  bool stuck = --pool.threads == 0;
  pthread_mutex_unlock(&pool.lock);
  if (stuck) xpc_misuse("no thread can be started");
}
