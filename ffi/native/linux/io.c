/*
 * io.c: one thread at a time, the leader, watches descriptors and runs jobs; another, the standby, can take over.
 *
 * What the leader receives it mostly hands to a handler itself, at once, for waking another thread takes longer
 * than most handlers do. Should that handler take its time, or wait for something, the standby becomes the leader
 * and starts another standby; the former leader, once its handler returns, becomes the standby or ends. So a
 * handler holds up others for two ticks at most.
 *
 * Whoever owns a source frees it as the leader only: sources leave epoll in jobs, which run before epoll is
 * asked, or in their own `ready`, so that no answer of epoll names a source that was freed. Handlers run when
 * all answers were dealt with.
 *
 * Epoll and the eventfd that wakes the leader are two descriptors. Where the process has none left, the leader
 * waits on a condition variable instead, so that jobs run nevertheless: connections then fail with a reason,
 * and nothing ends the process. Whoever wants to watch a descriptor tries again to get the two.
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
#define QUIET_TICKS 16 /* ticks without a handler, until the standby sleeps without a limit */
#define MAX_FORMER_LEADERS 32

static struct {
  pthread_mutex_t lock;
  pthread_once_t once;
  _Atomic int epoll, wake_fd; /* -1: the process has no descriptor left for them */
  pthread_cond_t job_came;    /* in place of wake_fd, where there is none */
  struct xpc_job *first, **end;
  struct xpc_job *later;
  const void *leader;                /* the address of a variable of that thread's; NULL: nobody leads */
  bool handling;                     /* the leader runs a handler */
  uint64_t handlers;                 /* how many handlers leaders have started: the standby compares */
  unsigned former_leaders;           /* threads that lost the lead in a handler, and are still in it */
  bool has_standby, standby_watches; /* there is a standby; it looks at the clock */
  pthread_cond_t standby_wakes;
} io = {.lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT, .epoll = -1, .wake_fd = -1};

/* A handler that this thread runs itself, once it has dealt with what epoll reported. */
static _Thread_local struct {
  bool accepts; /* it leads, and takes one */
  struct xpc_work *handler;
  bool runs; /* the handler */
} this_thread;

/* -------------------------------------------------------------------------------------------- jobs ---- */

/* Gets the two descriptors, lock held; false and errno. */
static bool open_locked(void) {
  if (atomic_load(&io.wake_fd) >= 0) return true;
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  int wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK); /* set: a job may have come on the other way */
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (epoll < 0 || wake_fd < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, wake_fd, &event) != 0) {
    xpc_close(epoll);
    xpc_close(wake_fd);
    return false;
  }
  atomic_store(&io.epoll, epoll);
  atomic_store(&io.wake_fd, wake_fd);
  pthread_cond_signal(&io.job_came); /* a leader that waits there now waits in epoll */
  return true;
}

/* Whether there are the two descriptors, or can be; else errno. */
static bool open_descriptors(void) {
  if (atomic_load(&io.wake_fd) >= 0) return true;
  pthread_mutex_lock(&io.lock);
  bool opened = open_locked();
  pthread_mutex_unlock(&io.lock);
  return opened;
}

static struct xpc_job *take_jobs(bool *later) {
  pthread_mutex_lock(&io.lock);
  this_thread.accepts = io.has_standby && io.former_leaders < MAX_FORMER_LEADERS;
  struct xpc_job *jobs = io.first;
  io.first = NULL;
  io.end = &io.first;
  *later = io.later;
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

/* A time of the monotonic clock, so many nanoseconds (below a second) from now. */
static struct timespec time_after(long nanoseconds) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_nsec += nanoseconds;
  if (time.tv_nsec >= 1000000000) {
    time.tv_nsec -= 1000000000;
    time.tv_sec++;
  }
  return time;
}

/* Waits for jobs where there is no epoll to wait in. */
static void wait_without_descriptors(bool later) {
  struct timespec deadline = time_after(RETRY_MILLISECONDS * 1000000L);
  pthread_mutex_lock(&io.lock);
  for (int result = 0; !io.first && atomic_load(&io.wake_fd) < 0 && result == 0;) {
    if (later || io.later) result = pthread_cond_timedwait(&io.job_came, &io.lock, &deadline);
    else result = pthread_cond_wait(&io.job_came, &io.lock);
  }
  pthread_mutex_unlock(&io.lock);
}

/* ---------------------------------------------------------------------------------------- handlers ---- */

bool xpc_io_defer(struct xpc_work *handler) {
  if (!this_thread.accepts || this_thread.handler) return false; /* one: the pool runs the others meanwhile */
  this_thread.handler = handler;
  return true;
}

/* Lock held. From a leader that is in a handler. */
static void depose_leader(void) {
  io.leader = NULL;
  io.handling = false;
  io.former_leaders++;
}

void xpc_io_before_waiting(void) {
  if (!this_thread.runs) return;
  pthread_mutex_lock(&io.lock);
  if (io.leader == &this_thread) {
    depose_leader();
    pthread_cond_signal(&io.standby_wakes); /* there is one: else this thread had accepted no handler */
  }
  pthread_mutex_unlock(&io.lock);
}

/* Runs the handler that was deferred; whether this thread still leads then. */
static bool run_deferred(void) {
  struct xpc_work *handler = this_thread.handler;
  this_thread.accepts = false;
  this_thread.handler = NULL;
  if (!handler) return true;
  pthread_mutex_lock(&io.lock);
  io.handling = true;
  io.handlers++;
  if (!io.standby_watches) pthread_cond_signal(&io.standby_wakes);
  pthread_mutex_unlock(&io.lock);
  this_thread.runs = true;
  handler->run(handler);
  this_thread.runs = false;
  pthread_mutex_lock(&io.lock);
  bool leads = io.leader == &this_thread;
  if (leads) io.handling = false;
  else io.former_leaders--;
  pthread_mutex_unlock(&io.lock);
  return leads;
}

/* ----------------------------------------------------------------------------------------- threads ---- */

static void handle_events(struct epoll_event *events, int count) {
  for (int i = 0; i < count; i++) {
    struct xpc_source *source = events[i].data.ptr;
    if (source) {
      source->ready(source);
      continue;
    }
    uint64_t wakes;
    ssize_t got = read(atomic_load(&io.wake_fd), &wakes, sizeof wakes);
    if (got < 0 && errno != EAGAIN) xpc_misuse("somebody closed a descriptor of the library's (eventfd)");
  }
}

/* As the leader; returns when it no longer is. */
static void lead(void) {
  struct epoll_event events[64];
  bool later;
  do {
    struct xpc_job *jobs = take_jobs(&later);
    if (jobs) {
      run_jobs(jobs);
      continue; /* they may have left more */
    }
    int count = 0;
    if (atomic_load(&io.wake_fd) >= 0) {
      int patience = later ? RETRY_MILLISECONDS : -1;
      count = epoll_wait(atomic_load(&io.epoll), events, sizeof events / sizeof *events, patience);
    } else {
      wait_without_descriptors(later);
    }
    if (later) run_jobs(take_later_jobs()); /* even if it is early: there is always a next time */
    handle_events(events, count);
  } while (run_deferred());
}

/* As the standby, lock held: until nobody leads, which it sees to where a leader is in one handler for a tick. */
static void stand_by(void) {
  for (unsigned quiet = 0; io.leader;) {
    if (quiet >= QUIET_TICKS) {
      io.standby_watches = false;
      pthread_cond_wait(&io.standby_wakes, &io.lock);
      io.standby_watches = true;
      quiet = 0;
      continue;
    }
    uint64_t seen = io.handlers;
    bool handling = io.handling;
    struct timespec tick = time_after(TICK_NANOSECONDS);
    int result = pthread_cond_timedwait(&io.standby_wakes, &io.lock, &tick);
    if (result == ETIMEDOUT && handling && io.handling && io.handlers == seen) depose_leader();
    quiet = io.handlers == seen ? quiet + 1 : 0;
  }
}

static void *run_thread(void *unused) {
  (void)unused;
  pthread_mutex_lock(&io.lock);
  for (;;) {
    io.standby_watches = true;
    stand_by();
    io.leader = &this_thread; /* a former leader finds out when its handler returns */
    io.has_standby = xpc_thread_start(run_thread, NULL);
    pthread_mutex_unlock(&io.lock);
    lead();
    pthread_mutex_lock(&io.lock);
    if (io.has_standby) break;
    io.has_standby = true; /* this thread */
  }
  pthread_mutex_unlock(&io.lock);
  return NULL;
}

static void start(void) {
  io.end = &io.first;
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&io.standby_wakes, &attributes);
  pthread_cond_init(&io.job_came, &attributes);
  pthread_condattr_destroy(&attributes);
  io.has_standby = true; /* the first thread finds no leader, leads, and starts the standby */
  if (!xpc_thread_start(run_thread, NULL)) xpc_misuse("no thread can be started for the library's I/O");
}

/* ------------------------------------------------------------------------------ for the other files ---- */

bool xpc_io_watch(struct xpc_source *source, uint32_t interest) {
  if (interest == source->interest) return true;
  pthread_once(&io.once, start);
  if (!open_descriptors()) return false;
  int epoll = atomic_load(&io.epoll);
  struct epoll_event event = {.events = interest, .data.ptr = source};
  int operation = !interest ? EPOLL_CTL_DEL : source->interest ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
  if (epoll_ctl(epoll, operation, source->fd, &event) != 0) return false;
  source->interest = interest;
  return true;
}

static void wake_leader(void) {
  int wake_fd = atomic_load(&io.wake_fd);
  uint64_t one = 1;
  if (wake_fd < 0) {
    pthread_mutex_lock(&io.lock);
    pthread_cond_signal(&io.job_came);
    pthread_mutex_unlock(&io.lock);
  } else if (write(wake_fd, &one, sizeof one) < 0 && errno != EAGAIN) {
    xpc_misuse("somebody closed a descriptor of the library's (eventfd)");
  }
}

void xpc_io_schedule(struct xpc_job *job) {
  pthread_once(&io.once, start);
  pthread_mutex_lock(&io.lock);
  bool wakes = !io.first && io.leader != &this_thread; /* a leader looks anyway before it waits */
  job->next = NULL;
  *io.end = job;
  io.end = &job->next;
  pthread_mutex_unlock(&io.lock);
  if (wakes) wake_leader();
}

void xpc_io_schedule_later(struct xpc_job *job) {
  pthread_once(&io.once, start);
  pthread_mutex_lock(&io.lock);
  bool wakes = !io.later && io.leader != &this_thread;
  job->next = io.later;
  io.later = job;
  pthread_mutex_unlock(&io.lock);
  if (wakes) wake_leader(); /* so that it waits with a limit */
}
