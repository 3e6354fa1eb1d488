/* agent_process.c: what the agent asks of the system. */
#include "agent_process.h"

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
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static uint64_t clock_in(clockid_t clock, uint64_t units) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * units + (uint64_t)now.tv_nsec / (1000000000u / units);
}

uint64_t agent_microseconds_since_1970(void) { return clock_in(CLOCK_REALTIME, 1000000); }

uint64_t agent_monotonic_milliseconds(void) { return clock_in(CLOCK_MONOTONIC, 1000); }

static sigset_t held(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGALRM);
  return set;
}

void agent_hold_signals(void) {
  sigset_t set = held();
  sigprocmask(SIG_BLOCK, &set, NULL);
  signal(SIGPIPE, SIG_IGN);
}

int agent_wait_for_signal(void) {
  sigset_t set = held();
  int which = 0;
  while (sigwait(&set, &which) != 0) continue;
  return which;
}
