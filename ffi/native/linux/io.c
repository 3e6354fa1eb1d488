/*
 * io.c: one thread at a time watches descriptors. It has the role; there is a second that can take it over.
 *
 * What is received is mostly handled by the thread that read it, at once, for waking another takes longer than
 * most handlers do. Should a handler take its time, or wait for something, the second thread takes the role
 * and the first, once it returns, becomes the second. So a handler holds up others for TICK at most twice.
 *
 * Whoever owns a source frees it with the role only: sources leave epoll in jobs, which run before epoll is
 * asked, or in their own `ready`, so that no answer of epoll names a freed one. Handlers run when all answers
 * were dealt with.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define RETRY_MILLISECONDS 5
#define TICK_NANOSECONDS 2000000
#define QUIET_TICKS 16 /* without handlers, until the second thread sleeps for good */
#define MOST_DISPLACED 32

static struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  int epoll, bell;
  struct xpc_job *first, **end;
  struct xpc_job *later;
  const void *leader;    /* who has the role: the address of a variable of that thread's; NULL: nobody yet */
  bool handling;         /* the leader runs a handler */
  uint64_t handlers;     /* counts them */
  unsigned displaced;    /* threads that lost the role in a handler, and are in it still */
  bool second, watching; /* whether there is a second thread; it looks at the clock */
  pthread_cond_t watch;  /* for the second thread */
} io = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT};

/* Work that this thread is to run itself, once it has dealt with what epoll told. */
static _Thread_local struct {
  bool wanted;
  struct xpc_work *work;
  bool running; /* the work */
} kept;

static struct xpc_job *take_jobs(bool *later) {
  pthread_mutex_lock(&io.lock);
  kept.wanted = io.second && io.displaced < MOST_DISPLACED;
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

bool xpc_io_keep(struct xpc_work *work) {
  if (!kept.wanted || kept.work) return false; /* one: the others can run meanwhile */
  kept.work = work;
  return true;
}

/* Lock held. From the one who is in a handler. */
static void take_role_away(void) {
  io.leader = NULL;
  io.handling = false;
  io.displaced++;
}

void xpc_io_before_waiting(void) {
  if (!kept.running) return;
  pthread_mutex_lock(&io.lock);
  if (io.leader == &kept) {
    take_role_away();
    pthread_cond_signal(&io.watch); /* there is a second: else nothing would have been kept */
  }
  pthread_mutex_unlock(&io.lock);
}

/* Runs the work that was kept; whether this thread still has the role then. */
static bool run_kept(void) {
  struct xpc_work *work = kept.work;
  kept.wanted = false;
  kept.work = NULL;
  if (!work) return true;
  pthread_mutex_lock(&io.lock);
  io.handling = true;
  io.handlers++;
  if (!io.watching) pthread_cond_signal(&io.watch);
  pthread_mutex_unlock(&io.lock);
  kept.running = true;
  work->run(work);
  kept.running = false;
  pthread_mutex_lock(&io.lock);
  bool leads = io.leader == &kept;
  if (leads) io.handling = false;
  else io.displaced--;
  pthread_mutex_unlock(&io.lock);
  return leads;
}

static void handle_events(struct epoll_event *events, int count) {
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

/* With the role; returns without it. */
static void lead(void) {
  struct epoll_event events[64];
  bool later;
  do {
    struct xpc_job *jobs = take_jobs(&later);
    if (jobs) {
      run_jobs(jobs);
      continue; /* they may have left more */
    }
    int count = epoll_wait(io.epoll, events, sizeof events / sizeof *events, later ? RETRY_MILLISECONDS : -1);
    if (later) run_jobs(take_later_jobs()); /* even if it is early: there is always a next time */
    handle_events(events, count);
  } while (run_kept());
}

/* Waits for the role, lock held: until it is given away, or its holder is in one handler for too long. */
static void watch(void) {
  uint64_t seen = 0;
  for (unsigned quiet = 0; io.leader;) {
    if (quiet >= QUIET_TICKS) {
      io.watching = false;
      pthread_cond_wait(&io.watch, &io.lock);
      io.watching = true;
      quiet = 0;
      continue;
    }
    seen = io.handlers;
    bool handling = io.handling;
    struct timespec tick;
    clock_gettime(CLOCK_MONOTONIC, &tick);
    tick.tv_nsec += TICK_NANOSECONDS;
    if (tick.tv_nsec >= 1000000000) {
      tick.tv_nsec -= 1000000000;
      tick.tv_sec++;
    }
    int result = pthread_cond_timedwait(&io.watch, &io.lock, &tick);
    if (result == ETIMEDOUT && handling && io.handling && io.handlers == seen) take_role_away();
    quiet = io.handlers == seen ? quiet + 1 : 0;
  }
}

static void *loop(void *unused) {
  (void)unused;
  pthread_mutex_lock(&io.lock);
  for (;;) {
    io.watching = true;
    watch();
    io.leader = &kept; /* whoever had it finds out */
    io.second = xpc_thread_start(loop, NULL);
    pthread_mutex_unlock(&io.lock);
    lead();
    pthread_mutex_lock(&io.lock);
    if (io.second) break;
    io.second = true;
  }
  pthread_mutex_unlock(&io.lock);
  return NULL;
}

static void start(void) {
  io.end = &io.first;
  io.epoll = epoll_create1(EPOLL_CLOEXEC);
  io.bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&io.watch, &attributes);
  pthread_condattr_destroy(&attributes);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  io.second = true; /* the first to come leads, and starts another */
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
  bool first = !io.first && io.leader != &kept; /* who leads looks anyway before it waits */
  job->next = NULL;
  *io.end = job;
  io.end = &job->next;
  pthread_mutex_unlock(&io.lock);
  if (first) ring();
}

void xpc_io_schedule_later(struct xpc_job *job) {
  pthread_once(&io.once, start);
  pthread_mutex_lock(&io.lock);
  bool first = !io.later && io.leader != &kept;
  job->next = io.later;
  io.later = job;
  pthread_mutex_unlock(&io.lock);
  if (first) ring(); /* so that the thread waits with a limit */
}
