/*
 * mutex.c: a mutex between processes that belongs to a link, not to a thread.
 *
 * One word says who owns it, so that the survivor of a death can tell what the dead one held. pthread's
 * robust mutexes cannot serve: they belong to threads, of which Deno's come and go, and macOS has none.
 */
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "internal.h"

/* The pid of this process; getpid is a system call, which would take longer than the lock. */
uint32_t shim_own_pid(void) {
  static _Atomic uint32_t known;
  uint32_t pid = atomic_load_explicit(&known, memory_order_relaxed);
  if (pid == 0) {
    pid = (uint32_t)getpid();
    atomic_store_explicit(&known, pid, memory_order_relaxed);
  }
  return pid;
}

/* Tries once to lock. `keep` is the contended bit for callers that know of waiters, or 0. When the mutex is held,
 * `seen` gets its state. */
static int32_t take(_Atomic uint32_t *word, uint32_t owner, uint32_t keep, uint32_t *seen) {
  uint32_t state = atomic_load(word);
  while ((state & SHIM_MUTEX_OWNER) == 0) {
    uint32_t next = owner | keep | (state & SHIM_MUTEX_CONTENDED);
    if (atomic_compare_exchange_weak(word, &state, next)) {
      /* What the holder writes comes after: shim_tiles_copy_wait sees the one or not the other. */
      atomic_thread_fence(memory_order_release);
      atomic_store_explicit(word + 1, shim_own_pid(),
                            memory_order_relaxed); /* for error messages of those who wait */
      return (state & SHIM_MUTEX_ABANDONED) != 0 ? SHIM_MUTEX_LOCKED_ABANDONED : SHIM_MUTEX_LOCKED;
    }
  }
  *seen = state;
  return SHIM_MUTEX_BUSY;
}

int32_t shim_mutex_try(void *word, uint32_t owner) {
  uint32_t seen;
  return take(word, owner & SHIM_MUTEX_OWNER, 0, &seen);
}

int32_t shim_mutex_wait_until(void *word, uint32_t owner, uint32_t spin, uint64_t deadline,
                              const _Atomic uint32_t *cancelled) {
  _Atomic uint32_t *state = word;
  uint32_t seen = 0;
  owner &= SHIM_MUTEX_OWNER;
  shim_spin spinning = {.spin = spin};
  do {
    int32_t taken = take(state, owner, 0, &seen);
    if (taken != SHIM_MUTEX_BUSY) return taken;
  } while (shim_spin_on(&spinning, deadline));
  if (spin == SHIM_SPIN_ONLY) return SHIM_MUTEX_TIMED_OUT;
  for (;;) {
    if (cancelled && atomic_load(cancelled) != 0) return SHIM_MUTEX_CANCELLED;
    uint64_t left = 0;
    if (deadline != UINT64_MAX) {
      uint64_t now = shim_now();
      if (now >= deadline) return SHIM_MUTEX_TIMED_OUT;
      left = deadline - now;
    }
    if (cancelled && (left == 0 || left > SHIM_LOOK_AGAIN)) left = SHIM_LOOK_AGAIN;
    /* Say that somebody waits before sleeping on exactly that state; who takes the mutex after a wait
     * keeps the bit, since others may wait still. */
    if ((seen & SHIM_MUTEX_CONTENDED) != 0 ||
        atomic_compare_exchange_strong(state, &seen, seen | SHIM_MUTEX_CONTENDED)) {
      (void)shim_wait_on(word, seen | SHIM_MUTEX_CONTENDED, left); /* the loop tells why it ended */
    }
    int32_t taken = take(state, owner, SHIM_MUTEX_CONTENDED, &seen);
    if (taken != SHIM_MUTEX_BUSY) return taken;
  }
}

int32_t shim_mutex_wait(void *word, uint32_t owner, uint32_t spin, double milliseconds) {
  return shim_mutex_wait_until(word, owner, spin, shim_deadline(milliseconds), NULL);
}

/*
 * Wakes one waiter of a mutex that was just freed. The contended bit stays until the kernel says that
 * nobody sleeps: a waiter that is killed between its wake and its lock must not leave the others asleep.
 */
static void wake_next(_Atomic uint32_t *state, uint32_t freed) {
  if ((freed & SHIM_MUTEX_CONTENDED) == 0) return;
  if (!shim_wake(state, false)) {
    /* A waiter that falls asleep from now on sets the bit again; an owner that came meanwhile keeps it. */
    (void)atomic_compare_exchange_strong(state, &freed, freed & ~SHIM_MUTEX_CONTENDED);
  }
}

/* Frees the mutex if `owner` holds it; `mark` is SHIM_MUTEX_ABANDONED where the owner died, or 0. */
static bool release_as(void *word, uint32_t owner, uint32_t mark) {
  _Atomic uint32_t *state = word;
  uint32_t seen = atomic_load(state);
  uint32_t next;
  do {
    if ((seen & SHIM_MUTEX_OWNER) != owner) return false;
    next = mark | (seen & SHIM_MUTEX_CONTENDED);
  } while (!atomic_compare_exchange_weak(state, &seen, next));
  wake_next(state, next);
  return true;
}

uint32_t shim_mutex_holder(const void *word) {
  return atomic_load_explicit((const _Atomic uint32_t *)word + 1, memory_order_relaxed);
}

int32_t shim_mutex_unlock(void *word, uint32_t owner) {
  owner &= SHIM_MUTEX_OWNER;
  return owner != 0 && release_as(word, owner, 0) ? 0 : -EPERM;
}

int32_t shim_mutex_abandon(void *word, uint32_t owner) {
  owner &= SHIM_MUTEX_OWNER;
  bool held = owner != 0 && release_as(word, owner, SHIM_MUTEX_ABANDONED);
  /* The dead owner may have been the waiter that was woken last, and the contended bit may have been cleared, since
   * a woken waiter sets it again. So all waiters look, whatever the word says; those that sleep again set the bit. */
  (void)shim_wake(word, true);
  return held ? 1 : 0;
}

void shim_mutex_recheck(void *word) {
  /* A wait sleeps only while the word is what it saw, with the contended bit. Without the bit it looks again, sees
   * the cancel, or sets the bit anew and sleeps. Where another waiter sets the bit before this one falls asleep,
   * this one looks after SHIM_LOOK_AGAIN. */
  (void)atomic_fetch_and((_Atomic uint32_t *)word, ~SHIM_MUTEX_CONTENDED);
  (void)shim_wake(word, true);
}
