/* words.c: the page's sections "Mutex" and "Sleeping in the kernel". Plain atomic operators are seq_cst. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "party.h"

void futex_wait(const _Atomic uint32_t *word, uint32_t expected, long milliseconds) {
  struct timespec time = {.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};
  /* Woken, differs, interrupted or too late: the caller looks again, whichever it was. */
  (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, milliseconds < 0 ? NULL : &time, NULL, 0);
}

int futex_wake(const _Atomic uint32_t *word, int count) {
  return (int)syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
}

_Atomic uint32_t *low_half(_Atomic uint64_t *revision) { return (_Atomic uint32_t *)(void *)revision; }

static long now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* Tries once; `keep` is the contended bit for those who have slept. */
static enum lock_result take(_Atomic uint32_t *word, uint32_t owner, uint32_t keep, uint32_t *seen) {
  uint32_t state = atomic_load(word);
  while ((state & SHMEM_MUTEX_OWNER) == 0) {
    uint32_t next = owner | keep | (state & SHMEM_MUTEX_CONTENDED);
    if (atomic_compare_exchange_strong(word, &state, next)) {
      atomic_thread_fence(memory_order_release); /* before what its holder writes */
      return (state & SHMEM_MUTEX_ABANDONED) != 0 ? LOCK_ABANDONED : LOCK_TAKEN;
    }
  }
  *seen = state;
  return LOCK_BUSY;
}

enum lock_result mutex_try(_Atomic uint32_t *word, uint32_t owner) {
  uint32_t seen;
  return take(word, owner, 0, &seen);
}

enum lock_result mutex_lock(_Atomic uint32_t *word, uint32_t owner, long milliseconds,
                            const atomic_bool *over) {
  const long deadline = milliseconds < 0 ? LONG_MAX : now() + milliseconds;
  uint32_t seen = 0;
  enum lock_result result = take(word, owner, 0, &seen);
  while (result == LOCK_BUSY) {
    if (atomic_load(over)) return LOCK_GONE;
    long left = deadline == LONG_MAX ? -1 : deadline - now();
    if (deadline != LONG_MAX && left <= 0) return LOCK_TIMEOUT;
    uint32_t contended = seen | SHMEM_MUTEX_CONTENDED;
    if (seen == contended || atomic_compare_exchange_strong(word, &seen, contended)) {
      futex_wait(word, contended, left);
    }
    result = take(word, owner, SHMEM_MUTEX_CONTENDED, &seen);
  }
  return result;
}

/* Frees the mutex if it is the owner's. */
static bool leave(_Atomic uint32_t *word, uint32_t owner, uint32_t mark, uint32_t *left) {
  uint32_t state = atomic_load(word);
  do {
    if ((state & SHMEM_MUTEX_OWNER) != owner) return false;
    *left = mark | (state & SHMEM_MUTEX_CONTENDED);
  } while (!atomic_compare_exchange_strong(word, &state, *left));
  return true;
}

bool mutex_unlock(_Atomic uint32_t *word, uint32_t owner) {
  uint32_t left;
  if (!leave(word, owner, 0, &left)) return false;
  if (left == SHMEM_MUTEX_CONTENDED && futex_wake(word, 1) == 0) {
    (void)atomic_compare_exchange_strong(word, &left, 0);
  }
  give_turn((struct shmem_lock_region *)(void *)word); /* which lies in the server's words in the same way */
  return true;
}

bool mutex_drop(_Atomic uint32_t *word, uint32_t owner) {
  uint32_t left;
  return leave(word, owner, 0, &left);
}

void mutex_abandon(_Atomic uint32_t *word, uint32_t owner) {
  uint32_t left;
  (void)leave(word, owner, SHMEM_MUTEX_ABANDONED, &left);
  (void)futex_wake(word, INT_MAX);
}
