/*
 * io.c: the one thread that watches descriptors; started with the first job, never ended.
 *
 * Whoever owns a source frees it on this thread's watch only: sources leave epoll in jobs, which run before
 * epoll is asked, or in their own `ready`, so that no answer of epoll names a freed one.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

#define RETRY_MILLISECONDS 5

static struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  int epoll, bell;
  struct xpc_job *first, **end;
  struct xpc_job *later;
} io = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

static struct xpc_job *take_jobs(bool *later) {
  pthread_mutex_lock(&io.lock);
  struct xpc_job *jobs = io.first;
  io.first = NULL;
  io.end = &io.first;
  *later = io.later != NULL;
  pthread_mutex_unlock(&io.lock);
  return jobs;
}

static struct xpc_job *take_later_jobs(void) {
  pthread_mutex_lock(&io.lock);
  struct xpc_job *jobs = io.later;
  io.later = NULL;
  pthread_mutex_unlock(&io.lock);
  return jobs;
}

static void run_jobs(struct xpc_job *jobs) {
  while (jobs) {
    struct xpc_job *job = jobs;
    jobs = job->next; /* first: running may put the job on a list again */
    job->run(job);
  }
}

static void *loop(void *unused) {
  (void)unused;
  struct epoll_event events[64];
  bool later;
  for (;;) {
    struct xpc_job *jobs = take_jobs(&later);
    if (jobs) {
      run_jobs(jobs);
      continue; /* they may have left more */
    }
    int count = epoll_wait(io.epoll, events, sizeof events / sizeof *events, later ? RETRY_MILLISECONDS : -1);
    if (later) run_jobs(take_later_jobs()); /* even if it is early: there is always a next time */
    for (int i = 0; i < count; i++) {
      struct xpc_source *source = events[i].data.ptr;
      if (source) {
        source->ready(source);
        continue;
      }
      uint64_t rings;
      ssize_t got = read(io.bell, &rings, sizeof rings);
      if (got < 0 && errno != EAGAIN) xpc_misuse("the I/O thread lost its bell");
    }
  }
  return NULL;
}

static void start(void) {
  io.end = &io.first;
  io.epoll = epoll_create1(EPOLL_CLOEXEC);
  io.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (io.epoll < 0 || io.bell < 0 || epoll_ctl(io.epoll, EPOLL_CTL_ADD, io.bell, &event) != 0 ||
      !xpc_thread_start(loop, NULL)) {
    xpc_misuse("no descriptors or no thread for the I/O thread (errno %d)", errno);
  }
}

bool xpc_io_watch(struct xpc_source *source, uint32_t interest) {
  if (interest == source->interest) return true;
  pthread_once(&io.once, start);
  struct epoll_event event = {.events = interest, .data.ptr = source};
  int operation = !interest ? EPOLL_CTL_DEL : source->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(io.epoll, operation, source->fd, &event) != 0) return false;
  source->interest = interest;
  return true;
}

static void ring(void) {
  uint64_t one = 1;
  if (write(io.bell, &one, sizeof one) < 0 && errno != EAGAIN) xpc_misuse("the I/O thread lost its bell");
}

void xpc_io_schedule(struct xpc_job *job) {
  pthread_once(&io.once, start);
  pthread_mutex_lock(&io.lock);
  bool first = !io.first;
  job->next = NULL;
  *io.end = job;
  io.end = &job->next;
  pthread_mutex_unlock(&io.lock);
  if (first) ring();
}

void xpc_io_schedule_later(struct xpc_job *job) {
  pthread_once(&io.once, start);
  pthread_mutex_lock(&io.lock);
  bool first = !io.later;
  job->next = io.later;
  io.later = job;
  pthread_mutex_unlock(&io.lock);
  if (first) ring(); /* so that the thread waits with a limit */
}
