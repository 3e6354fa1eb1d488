/* agent_process.c: the process of the agent: transactions, limits, clocks, threads and signals. */
#include "agent_process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include <xpc/xpc.h>

#if defined(__APPLE__)
#include <sys/syslimits.h>
#endif

void agent_transaction_begin(void) { xpc_transaction_begin(); }

void agent_transaction_end(void) { xpc_transaction_end(); }

void agent_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
#if defined(__APPLE__)
  /* The hard limit may be infinite, which setrlimit refuses as a soft one. */
  if (limit.rlim_cur > OPEN_MAX) limit.rlim_cur = OPEN_MAX;
#endif
  /* Without a higher limit the agent still serves, only fewer peers. */
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t clock_in(clockid_t clock, uint64_t units) {
  struct timespec now;
  if (clock_gettime(clock, &now) != 0) return 0; /* does not happen: both systems have these clocks */
  return (uint64_t)now.tv_sec * units + (uint64_t)now.tv_nsec / (1000000000u / units);
}

uint64_t agent_microseconds_since_1970(void) { return clock_in(CLOCK_REALTIME, 1000000); }

uint64_t agent_monotonic_milliseconds(void) { return clock_in(CLOCK_MONOTONIC, 1000); }

int agent_start_thread(void *(*body)(void *context), void *context) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, body, context);
  if (error != 0) return -error;
  return -pthread_detach(thread);
}

/* Fills the set of signals that agent_wait_for_signal waits for; 0 or -errno. */
static int fill_held(sigset_t *set) {
  const int signals[] = {SIGTERM, SIGINT, SIGALRM};
  if (sigemptyset(set) != 0) return -errno;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    if (sigaddset(set, signals[i]) != 0) return -errno;
  }
  return 0;
}

int agent_hold_signals(void) {
  sigset_t set;
  int error = fill_held(&set);
  if (error != 0) return error;
  error = pthread_sigmask(SIG_BLOCK, &set, NULL);
  if (error != 0) return -error;
  return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -errno : 0;
}

int agent_wait_for_signal(void) {
  sigset_t set;
  int which = 0;
  int error = fill_held(&set);
  if (error != 0) return error;
  do error = sigwait(&set, &which);
  while (error == EINTR);
  return error == 0 ? which : -error;
}
