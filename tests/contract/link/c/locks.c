/* locks.c: the page's section "Locks". Plain atomic operators are seq_cst. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "party.h"

_Atomic uint64_t *all_turns;

static struct lock locks[SHMEM_MAX_REGIONS];
static uint32_t lock_count;
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic uint32_t *atomic32(uint32_t *word) { return (_Atomic uint32_t *)word; }
static _Atomic uint64_t *turns_of(struct shmem_lock_region *words) {
  return (_Atomic uint64_t *)&words->turns;
}

struct lock *lock_add(const struct lock *like) {
  pthread_mutex_lock(&table_lock);
  if (lock_count == SHMEM_MAX_REGIONS) abort(); /* no test has as many */
  struct lock *added = &locks[lock_count++];
  *added = *like;
  pthread_mutex_unlock(&table_lock);
  return added;
}

struct lock *lock_find(const char *name) {
  struct lock *found = NULL;
  pthread_mutex_lock(&table_lock);
  for (uint32_t i = 0; i < lock_count && found == NULL; i++) {
    if (strcmp(locks[i].name, name) == 0) found = &locks[i];
  }
  pthread_mutex_unlock(&table_lock);
  return found;
}

/* ------------------------------------------------------------------------------------------- turns ---- */

static void count_turn(_Atomic uint64_t *turns) {
  (void)atomic_fetch_add(turns, 1);
  (void)futex_wake(low_half(turns), INT_MAX);
}

void give_turn(struct shmem_lock_region *words) {
  _Atomic uint32_t *waiting = atomic32(&words->waiting);
  if (atomic_load(waiting) == 0) return;
  uint32_t who = atomic_exchange(waiting, 0);
  if ((who & SHMEM_WAITING_THREAD) != 0) count_turn(turns_of(words));
  if ((who & SHMEM_WAITING_REALM) != 0) count_turn(all_turns);
}

void force_turns(struct shmem_locks *all) {
  for (uint32_t i = 0; i < SHMEM_MAX_REGIONS; i++) count_turn(turns_of(&all->regions[i]));
  count_turn((_Atomic uint64_t *)&all->turns);
}

void wake_lock_sleepers(void) {
  pthread_mutex_lock(&table_lock);
  for (uint32_t i = 0; i < lock_count; i++) {
    (void)futex_wake(low_half(turns_of(locks[i].words)), INT_MAX);
    (void)futex_wake(atomic32(&locks[i].words->mutex), INT_MAX);
  }
  pthread_mutex_unlock(&table_lock);
}

/* ------------------------------------------------------------------------------------------- tries ---- */

enum { BUSY = -1, CLAIMED = -2 };

static int take_place(struct lock *lock, uint32_t owner) {
  uint32_t places = lock->kind == KIND_SEMAPHORE ? lock->limit : SHMEM_MAX_HOLDERS;
  for (uint32_t place = 0; place < places; place++) {
    uint32_t nobody = 0;
    _Atomic uint32_t *holder = atomic32(&lock->memory->holders[place].owner);
    if (atomic_load(holder) != 0) continue;
    if (lock->kind == KIND_RWLOCK) {
      uint32_t used = atomic_load(atomic32(&lock->memory->used));
      while (used <= place &&
             !atomic_compare_exchange_strong(atomic32(&lock->memory->used), &used, place + 1)) {
        continue;
      }
    }
    if (atomic_compare_exchange_strong(holder, &nobody, owner)) return (int)place;
  }
  return BUSY;
}

static bool leave_place(struct lock *lock, int place, uint32_t owner) {
  return atomic_compare_exchange_strong(atomic32(&lock->memory->holders[place].owner), &owner, 0);
}

static int try_read(struct lock *lock, uint32_t owner, bool *told) {
  _Atomic uint32_t *state = atomic32(&lock->memory->state);
  if ((atomic_load(state) & SHMEM_LOCK_OWNER) != 0) return BUSY;
  int place = take_place(lock, owner);
  if (place < 0) return BUSY;
  uint32_t seen = atomic_load(state);
  *told = (seen & SHMEM_LOCK_ABANDONED) != 0;
  if ((seen & SHMEM_LOCK_OWNER) == 0) return place;
  (void)leave_place(lock, place, owner);
  give_turn(lock->words);
  return BUSY;
}

static int try_write(struct lock *lock, uint32_t owner, bool claimed, bool *told) {
  _Atomic uint32_t *state = atomic32(&lock->memory->state);
  uint32_t seen = atomic_load(state);
  while (!claimed) {
    if ((seen & SHMEM_LOCK_OWNER) != 0) return BUSY;
    uint32_t claim = owner | SHMEM_LOCK_CLAIMED | (seen & SHMEM_LOCK_ABANDONED);
    claimed = atomic_compare_exchange_strong(state, &seen, claim);
  }
  uint32_t used = atomic_load(atomic32(&lock->memory->used));
  for (uint32_t i = 0; i < used && i < SHMEM_MAX_HOLDERS; i++) {
    if (atomic_load(atomic32(&lock->memory->holders[i].owner)) != 0) return CLAIMED;
  }
  seen = atomic_load(state);
  *told = (seen & SHMEM_LOCK_ABANDONED) != 0;
  return atomic_compare_exchange_strong(state, &seen, owner) ? 0 : CLAIMED;
}

static void unclaim(struct lock *lock, uint32_t owner) {
  uint32_t seen = atomic_load(atomic32(&lock->memory->state));
  if ((seen & ~(uint32_t)SHMEM_LOCK_ABANDONED) != (owner | SHMEM_LOCK_CLAIMED)) return;
  if (atomic_compare_exchange_strong(atomic32(&lock->memory->state), &seen, seen & SHMEM_LOCK_ABANDONED)) {
    give_turn(lock->words);
  }
}

static int try_once(struct lock *lock, uint32_t owner, bool write, bool claimed, bool *told) {
  uint32_t set = 1;
  *told = false;
  switch (lock->kind) {
    case KIND_RWLOCK: return write ? try_write(lock, owner, claimed, told) : try_read(lock, owner, told);
    case KIND_SEMAPHORE: return take_place(lock, owner);
    case KIND_MANUAL: return atomic_load(atomic32(&lock->memory->state)) == 1 ? 0 : BUSY;
    default: return atomic_compare_exchange_strong(atomic32(&lock->memory->state), &set, 0) ? 0 : BUSY;
  }
}

/* ----------------------------------------------------------------------------------------- commands ---- */

static enum lock_result keep(struct lock *lock, bool write, int place, bool told) {
  if (lock->kind == KIND_RWLOCK || lock->kind == KIND_SEMAPHORE) {
    if (lock->held == MAX_HELD) abort(); /* no test holds as much */
    lock->holds[lock->held++] = (struct hold){.write = write, .place = place};
  }
  return told ? LOCK_ABANDONED : LOCK_TAKEN;
}

static long now(void) {
  struct timespec time;
  (void)clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

enum lock_result lock_try(struct lock *lock, uint32_t owner, bool write) {
  bool told;
  if (lock->kind == KIND_MUTEX) return mutex_try(atomic32(&lock->words->mutex), owner);
  int place = try_once(lock, owner, write, false, &told);
  if (place >= 0) return keep(lock, write, place, told);
  if (place == CLAIMED) unclaim(lock, owner);
  return LOCK_BUSY;
}

enum lock_result lock_take(struct lock *lock, uint32_t owner, bool write, long milliseconds) {
  if (lock->kind == KIND_MUTEX) {
    return mutex_lock(atomic32(&lock->words->mutex), owner, milliseconds, &ended);
  }
  const long deadline = milliseconds < 0 ? LONG_MAX : now() + milliseconds;
  enum lock_result result = LOCK_TIMEOUT;
  bool claimed = false, told;
  for (;;) {
    uint32_t seen = atomic_load(low_half(turns_of(lock->words)));
    if (atomic_load(&ended)) {
      result = LOCK_GONE;
      break;
    }
    (void)atomic_fetch_or(atomic32(&lock->words->waiting), SHMEM_WAITING_THREAD);
    int place = try_once(lock, owner, write, claimed, &told);
    if (place >= 0) return keep(lock, write, place, told);
    claimed = place == CLAIMED;
    long left = deadline == LONG_MAX ? -1 : deadline - now();
    if (deadline != LONG_MAX && left <= 0) break;
    futex_wait(low_half(turns_of(lock->words)), seen, left);
  }
  if (claimed) unclaim(lock, owner);
  return result;
}

bool lock_give(struct lock *lock, uint32_t owner, bool quietly) {
  if (lock->kind == KIND_MUTEX) {
    _Atomic uint32_t *mutex = atomic32(&lock->words->mutex);
    return quietly ? mutex_drop(mutex, owner) : mutex_unlock(mutex, owner);
  }
  if (lock->held == 0) return false;
  struct hold hold = lock->holds[--lock->held];
  bool was = hold.write ? atomic_compare_exchange_strong(atomic32(&lock->memory->state), &owner, 0)
                        : leave_place(lock, hold.place, owner);
  if (was && !quietly) give_turn(lock->words);
  return was;
}

void lock_set(struct lock *lock, bool set) {
  atomic_store(atomic32(&lock->memory->state), set ? 1 : 0);
  if (set) give_turn(lock->words);
}

/* For a dead owner; the caller forces the turns. */
static void abandon(struct lock *lock, uint32_t dead) {
  if (lock->kind != KIND_RWLOCK && lock->kind != KIND_SEMAPHORE) return;
  uint32_t seen = atomic_load(atomic32(&lock->memory->state));
  while (lock->kind == KIND_RWLOCK && (seen & SHMEM_LOCK_OWNER) == dead) {
    uint32_t left = (seen & SHMEM_LOCK_CLAIMED) != 0 ? seen & SHMEM_LOCK_ABANDONED : SHMEM_LOCK_ABANDONED;
    if (atomic_compare_exchange_strong(atomic32(&lock->memory->state), &seen, left)) break;
  }
  for (int place = 0; place < SHMEM_MAX_HOLDERS; place++) (void)leave_place(lock, place, dead);
}

void locks_abandon(uint32_t dead) {
  pthread_mutex_lock(&table_lock);
  for (uint32_t i = 0; i < lock_count; i++) abandon(&locks[i], dead);
  pthread_mutex_unlock(&table_lock);
}

void locks_give_all(uint32_t owner) {
  for (uint32_t i = 0; i < lock_count; i++) {
    while (lock_give(&locks[i], owner, false)) continue;
  }
}

static const char *const kinds[] = {"mutex", "rwlock", "semaphore", "manual", "auto"};

bool kind_of(const char *name, enum kind *kind) {
  for (int i = 0; i < 5; i++) {
    if (strcmp(kinds[i], name) != 0) continue;
    *kind = (enum kind)i;
    return true;
  }
  return false;
}

const char *kind_name(enum kind kind) { return kinds[kind]; }
