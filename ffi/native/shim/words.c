/*
 * words.c: atomics on words in shared memory, and waits between processes on them.
 *
 * JavaScript's own Atomics.wait knows SharedArrayBuffers only, not memory that another process has mapped.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "internal.h"

#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <os/clock.h>

/* Declared here because the SDKs of older Xcodes lack <os/os_sync_wait_on_address.h>; as documented in
 * Apple's header of that name (macOS 14.4). Weak: the address is NULL where the system is older. */
#define SYNC_SHARED 1u
#define SINCE_14_4 __attribute__((weak_import))
extern int os_sync_wait_on_address(void *address, uint64_t value, size_t size, uint32_t flags) SINCE_14_4;
extern int os_sync_wait_on_address_with_timeout(void *address, uint64_t value, size_t size, uint32_t flags,
                                                os_clockid_t clock, uint64_t timeout) SINCE_14_4;
extern int os_sync_wake_by_address_any(void *address, size_t size, uint32_t flags) SINCE_14_4;
extern int os_sync_wake_by_address_all(void *address, size_t size, uint32_t flags) SINCE_14_4;
#endif

uint32_t shim_version(void) { return SHIM_VERSION; }

uint32_t shim_word_load(const void *word) { return atomic_load((const _Atomic uint32_t *)word); }

/* A double, since a BigInt for each look would be garbage to collect. */
double shim_word_load64(const void *word) { return (double)atomic_load((const _Atomic uint64_t *)word); }

uint64_t shim_now(void) {
#if defined(__APPLE__)
  /* CLOCK_MONOTONIC is the wall clock minus the time of boot there, in microseconds. The waits use this one. */
  return clock_gettime_nsec_np(CLOCK_UPTIME_RAW);
#else
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return 0; /* cannot fail for this clock */
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

double shim_clock(void) { return (double)shim_now(); }

uint64_t shim_deadline(double milliseconds) {
  /* Longer than a year, or NaN, means no timeout. */
  if (!(milliseconds >= 0) || milliseconds > 365.0 * 24 * 3600 * 1000) return UINT64_MAX;
  return shim_now() + (uint64_t)(milliseconds * 1e6);
}

/* Lets the other thread of the core run, and keeps the loop from filling the pipeline with loads of one word. */
static void pause_processor(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb"); /* longer than `yield`, which many cores treat as nothing */
#endif
}

bool shim_spin_on(shim_spin *spin, uint64_t deadline) {
  if (spin->spin == 0) return false;
  if (spin->steps++ % 32 == 0) {
    /* The clock costs about as much as the pauses between two looks at it. */
    uint64_t now = shim_now();
    if (spin->steps == 1) {
      spin->end = spin->spin == SHIM_SPIN_ONLY ? UINT64_MAX : now + (uint64_t)spin->spin * 1000u;
      if (spin->end > deadline) spin->end = deadline;
    }
    if (now >= spin->end) return false;
  }
  pause_processor();
  return true;
}

#if defined(__linux__)

bool shim_wait_is_native(void) { return true; }

int shim_wait_on(void *word, uint32_t expected, uint64_t nanoseconds) {
  struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                          .tv_nsec = (long)(nanoseconds % 1000000000u)};
  /* Without FUTEX_PRIVATE_FLAG: the key is the page of the file, so addresses may differ. */
  long result = syscall(SYS_futex, word, FUTEX_WAIT, expected, nanoseconds == 0 ? NULL : &time, NULL, 0);
  if (result == -1 && errno == ETIMEDOUT) return -ETIMEDOUT;
  return 0; /* woken, EAGAIN (differs) or EINTR: the caller looks at the word again */
}

bool shim_wake(void *word, bool all) {
  /* The kernel returns how many it woke; it fails only for a bad address, which a mapped word is not. */
  return syscall(SYS_futex, word, FUTEX_WAKE, all ? INT32_MAX : 1, NULL, NULL, 0) > 0;
}

#elif defined(__APPLE__)

/* os_sync_wait_on_address came with macOS 14.4. Before, a waiter looks at the word again after pauses that
 * grow to a millisecond. */
bool shim_wait_is_native(void) { return os_sync_wait_on_address; }

int shim_wait_on(void *word, uint32_t expected, uint64_t nanoseconds) {
  if (shim_wait_is_native()) {
    int result = nanoseconds == 0
                   ? os_sync_wait_on_address(word, expected, 4, SYNC_SHARED)
                   : os_sync_wait_on_address_with_timeout(word, expected, 4, SYNC_SHARED,
                                                          OS_CLOCK_MACH_ABSOLUTE_TIME, nanoseconds);
    if (result < 0 && errno == ETIMEDOUT) return -ETIMEDOUT;
    return 0; /* EINTR; EFAULT (the page was out): the caller loads the word, which brings it in */
  }
  /* Short pauses first, for a holder that is about to unlock; then long ones, so that a long wait costs little. */
  uint64_t deadline = nanoseconds == 0 ? UINT64_MAX : shim_now() + nanoseconds;
  for (long pause = 20000; shim_word_load(word) == expected; pause = pause < 1000000 ? pause * 2 : pause) {
    if (shim_now() >= deadline) return -ETIMEDOUT;
    struct timespec time = {.tv_sec = 0, .tv_nsec = pause};
    (void)nanosleep(&time, NULL); /* cut short by a signal: looks earlier */
  }
  return 0;
}

bool shim_wake(void *word, bool all) {
  if (shim_wait_is_native()) {
    /* Fails with ENOENT where nobody waits. */
    return (all ? os_sync_wake_by_address_all(word, 4, SYNC_SHARED)
                : os_sync_wake_by_address_any(word, 4, SYNC_SHARED)) == 0;
  }
  return false; /* nobody sleeps on the word itself */
}

#endif
