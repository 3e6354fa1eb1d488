/*
 * turns.c: waiting for locks of all kinds, and for several things at a time.
 *
 * Who waits asks first and tries second; who gives back frees first and looks for those who asked second. All of it is
 * sequentially consistent, so one of the two sees the other, and no wake is lost. Who takes the waiting word away has
 * to give the turn; where that one dies in between, the survivors of its death give it.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "internal.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

struct lock_words {
  uint32_t mutex;
  uint32_t holder;
  uint64_t others; /* in the locks: a revision */
  _Atomic uint32_t waiting;
  uint32_t unused;
  _Atomic uint64_t turns;
};

/* Counts a turn, and wakes all who sleep on it. */
static void count(_Atomic uint64_t *turns) {
  (void)atomic_fetch_add(turns, 1);
  shim_revision_recheck(turns);
}

void shim_turn_ask(void *words, uint32_t who) {
  (void)atomic_fetch_or(&((struct lock_words *)words)->waiting,
                        who & (SHIM_WAITING_THREAD | SHIM_WAITING_REALM));
}

void shim_turn_give(void *words, void *turns) {
  struct lock_words *lock = words;
  if (atomic_load(&lock->waiting) == 0) return;
  uint32_t waiting = atomic_exchange(&lock->waiting, 0);
  if ((waiting & SHIM_WAITING_THREAD) != 0) count(&lock->turns);
  if ((waiting & SHIM_WAITING_REALM) != 0) count(turns);
}

int32_t shim_turn_unlock(void *words, void *turns, uint32_t owner) {
  int32_t result = shim_mutex_unlock(words, owner);
  if (result == 0) shim_turn_give(words, turns);
  return result;
}

void shim_turn_force(void *words) { count(&((struct lock_words *)words)->turns); }

void shim_turn_force_all(void *turns) { count(turns); }

/* ------------------------------------------------------------------------ sleeping on several words ---- */

#if defined(__linux__)

/* As in <linux/futex.h> of Linux 5.16, which older systems lack. */
#define FUTEX_WAITV_NUMBER 449
#define FUTEX_32_BITS 2u /* and not private: other processes wake it */

struct futex_waiter {
  uint64_t value;
  uint64_t address;
  uint32_t flags;
  uint32_t reserved;
};

/* Whether the kernel can do it; then it has slept. */
static bool sleep_in_kernel(const shim_sleep *sleeps, uint32_t number, uint64_t deadline) {
  struct futex_waiter waiters[SHIM_MAX_SLEEPS];
  for (uint32_t i = 0; i < number; i++) {
    waiters[i] = (struct futex_waiter){
      .value = sleeps[i].expected, .address = (uintptr_t)sleeps[i].word, .flags = FUTEX_32_BITS};
  }
  struct timespec until = {.tv_sec = (time_t)(deadline / 1000000000u),
                           .tv_nsec = (long)(deadline % 1000000000u)};
  /* Longs throughout: the C library passes the arguments on as they are. */
  long result = syscall(FUTEX_WAITV_NUMBER, waiters, (long)number, 0L, deadline == UINT64_MAX ? NULL : &until,
                        (long)CLOCK_MONOTONIC);
  /* EAGAIN, EINTR and ETIMEDOUT are what the caller looks for itself. ENOSYS and EPERM (a sandbox) are not. */
  return result >= 0 || (errno != ENOSYS && errno != EPERM && errno != EINVAL);
}

#else

static bool sleep_in_kernel(const shim_sleep *sleeps, uint32_t number, uint64_t deadline) {
  (void)sleeps;
  (void)number;
  (void)deadline;
  return false;
}

#endif

static void pause_for(long nanoseconds) {
  struct timespec time = {.tv_sec = 0, .tv_nsec = nanoseconds};
  (void)nanosleep(&time, NULL); /* cut short by a signal: looks earlier */
}

/* Where the kernel sleeps on one word only: a thread for each. */
struct sleepers {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint32_t running; /* under the lock */
  bool woken;       /* under the lock */
  uint64_t deadline;
  _Atomic bool over;
};

struct sleeper {
  struct sleepers *all;
  shim_sleep sleep;
};

static void *run_sleeper(void *argument) {
  struct sleeper *sleeper = argument;
  struct sleepers *all = sleeper->all;
  if (!atomic_load(&all->over)) {
    uint64_t now = shim_now(), left = SHIM_LOOK_AGAIN;
    if (all->deadline <= now) left = 1;
    else if (all->deadline - now < left) left = all->deadline - now;
    (void)shim_wait_on(sleeper->sleep.word, sleeper->sleep.expected,
                       left); /* the caller looks why it ended */
  }
  pthread_mutex_lock(&all->lock);
  all->woken = true;
  all->running--;
  pthread_cond_signal(&all->changed);
  pthread_mutex_unlock(&all->lock);
  return NULL;
}

/* Ends when the first of them does. All threads have ended when it returns: the words may be unmapped. */
int32_t shim_sleep_on_threads(const shim_sleep *sleeps, uint32_t number, uint64_t deadline) {
  struct sleepers all = {.deadline = deadline};
  struct sleeper sleepers[SHIM_MAX_SLEEPS];
  pthread_t threads[SHIM_MAX_SLEEPS];
  uint32_t started = 0;
  if (pthread_mutex_init(&all.lock, NULL) != 0) return -EAGAIN;
  if (pthread_cond_init(&all.changed, NULL) != 0) {
    pthread_mutex_destroy(&all.lock);
    return -EAGAIN;
  }
  pthread_mutex_lock(&all.lock);
  int error = 0;
  while (started < number && error == 0) {
    sleepers[started] = (struct sleeper){.all = &all, .sleep = sleeps[started]};
    error = pthread_create(&threads[started], NULL, run_sleeper, &sleepers[started]);
    if (error == 0) started++;
  }
  all.running = started;
  while (error == 0 && !all.woken) pthread_cond_wait(&all.changed, &all.lock);
  atomic_store(&all.over, true);
  while (all.running > 0) {
    /* One that is about to sleep misses a wake: so again, until all have left. */
    pthread_mutex_unlock(&all.lock);
    for (uint32_t i = 0; i < started; i++) (void)shim_wake(sleeps[i].word, true);
    pause_for(100000);
    pthread_mutex_lock(&all.lock);
  }
  pthread_mutex_unlock(&all.lock);
  for (uint32_t i = 0; i < started; i++) (void)pthread_join(threads[i], NULL);
  pthread_cond_destroy(&all.changed);
  pthread_mutex_destroy(&all.lock);
  return error == 0 ? 0 : -EAGAIN;
}

/* Where the kernel sleeps on no word: looks again after pauses that grow to a millisecond, as shim_wait_on does. */
void shim_sleep_by_pauses(const shim_sleep *sleeps, uint32_t number, uint64_t deadline) {
  /* Not for longer, since a wake that changes no word is not seen. */
  const uint64_t end = shim_now() + SHIM_LOOK_AGAIN;
  if (deadline > end) deadline = end;
  for (long pause = 20000; shim_now() < deadline; pause = pause < 1000000 ? pause * 2 : pause) {
    for (uint32_t i = 0; i < number; i++) {
      if (shim_word_load(sleeps[i].word) != sleeps[i].expected) return;
    }
    pause_for(pause);
  }
}

int32_t shim_wait_any(const shim_sleep *sleeps, uint32_t count, double milliseconds) {
  if (count == 0 || count > SHIM_MAX_SLEEPS) return -EINVAL;
  uint64_t deadline = shim_deadline(milliseconds), now = shim_now();
  if (deadline <= now) return 0;
  if (!shim_wait_is_native()) {
    shim_sleep_by_pauses(sleeps, count, deadline);
    return 0;
  }
  if (count == 1) {
    (void)shim_wait_on(sleeps[0].word, sleeps[0].expected, deadline == UINT64_MAX ? 0 : deadline - now);
    return 0;
  }
  static _Atomic bool is_old; /* the kernel, which is asked once */
  if (!atomic_load(&is_old)) {
    if (sleep_in_kernel(sleeps, count, deadline)) return 0;
    atomic_store(&is_old, true);
  }
  return shim_sleep_on_threads(sleeps, count, deadline);
}
