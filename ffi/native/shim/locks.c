/*
 * locks.c: read-write locks, semaphores and events between processes.
 *
 * What is held is written as the number of who holds it, in one step with the taking. So there is no instruction at
 * which the death of a holder leaves something that nobody knows of: its survivor looks for its number and puts 0 there.
 *
 * A writer of a read-write lock claims first, and has the lock when it sees that no reader is left. A reader takes a
 * place first, and then looks for a writer. One of the two sees the other. The claim also keeps new readers out, so that
 * writers do not starve, and a claim whose owner dies is no write lock that was abandoned: nothing was written.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <shmem_layout.h>

#include "internal.h"

struct shim_lock {
  shim_lock *next; /* in a list of locks, under its lock */
  void *words;
  void *turns;
  struct shmem_lock *memory;
  uint32_t kind;
  uint32_t limit;
  uint32_t owner;
};

struct shim_locks {
  pthread_mutex_t lock;
  shim_lock *first;
};

static _Atomic uint32_t *word(uint32_t *plain) { return (_Atomic uint32_t *)plain; }

static const _Atomic uint32_t *const_word(const uint32_t *plain) { return (const _Atomic uint32_t *)plain; }

shim_lock *shim_lock_create(void *words, void *turns, void *memory, uint32_t kind, uint32_t limit,
                            uint32_t owner) {
  shim_lock *lock = malloc(sizeof *lock);
  if (!lock) return NULL;
  if (limit > SHMEM_MAX_HOLDERS || kind == SHIM_LOCK_RWLOCK) limit = SHMEM_MAX_HOLDERS;
  *lock = (shim_lock){.words = words,
                      .turns = turns,
                      .memory = memory,
                      .kind = kind,
                      .limit = limit,
                      .owner = owner & SHMEM_LOCK_OWNER};
  return lock;
}

void shim_lock_free(shim_lock *lock) { free(lock); }

/* ----------------------------------------------------------------------------------------- holders ---- */

/* The places of a read-write lock that may be taken: a hint, and a peer's. */
static uint32_t used_places(const shim_lock *lock) {
  if (lock->kind != SHIM_LOCK_RWLOCK) return lock->limit;
  uint32_t used = atomic_load(const_word(&lock->memory->used));
  return used < lock->limit ? used : lock->limit;
}

/* Says that this place may be taken, before it is: a writer looks at no place behind. */
static void use_place(const shim_lock *lock, uint32_t place) {
  if (lock->kind != SHIM_LOCK_RWLOCK) return;
  _Atomic uint32_t *used = word(&lock->memory->used);
  uint32_t seen = atomic_load(used);
  while (seen <= place && !atomic_compare_exchange_weak(used, &seen, place + 1)) continue;
}

/* Takes a free place, or returns SHIM_LOCK_BUSY. */
static int32_t take_place(const shim_lock *lock) {
  for (uint32_t place = 0; place < lock->limit; place++) {
    struct shmem_holder *holder = &lock->memory->holders[place];
    uint32_t nobody = 0;
    if (atomic_load(word(&holder->owner)) != 0) continue;
    use_place(lock, place);
    if (!atomic_compare_exchange_strong(word(&holder->owner), &nobody, lock->owner)) continue;
    atomic_store_explicit(word(&holder->pid), shim_own_pid(), memory_order_relaxed);
    return (int32_t)place;
  }
  return SHIM_LOCK_BUSY;
}

/* Frees a place if it is ours. */
static bool leave_place(const shim_lock *lock, int32_t place) {
  uint32_t ours = lock->owner;
  if (place < 0 || (uint32_t)place >= lock->limit) return false;
  return atomic_compare_exchange_strong(word(&lock->memory->holders[place].owner), &ours, 0);
}

static bool has_readers(const shim_lock *lock) {
  for (uint32_t place = 0, used = used_places(lock); place < used; place++) {
    if (atomic_load(const_word(&lock->memory->holders[place].owner)) != 0) return true;
  }
  return false;
}

/* ------------------------------------------------------------------------------------------- tries ---- */

static int32_t try_read(const shim_lock *lock) {
  _Atomic uint32_t *state = word(&lock->memory->state);
  if ((atomic_load(state) & SHMEM_LOCK_OWNER) != 0) return SHIM_LOCK_BUSY;
  int32_t place = take_place(lock);
  if (place < 0) return place;
  uint32_t seen = atomic_load(state);
  if ((seen & SHMEM_LOCK_OWNER) == 0)
    return (seen & SHMEM_LOCK_ABANDONED) != 0 ? place | SHIM_LOCK_TOLD : place;
  /* A writer came meanwhile, and may have gone to sleep since it saw this place. */
  (void)leave_place(lock, place);
  shim_turn_give(lock->words, lock->turns);
  return SHIM_LOCK_BUSY;
}

static bool claim(const shim_lock *lock) {
  _Atomic uint32_t *state = word(&lock->memory->state);
  uint32_t seen = atomic_load(state);
  do {
    if ((seen & SHMEM_LOCK_OWNER) != 0) return false;
  } while (!atomic_compare_exchange_weak(state, &seen,
                                         lock->owner | SHMEM_LOCK_CLAIMED | (seen & SHMEM_LOCK_ABANDONED)));
  atomic_store_explicit(word(&lock->memory->pid), shim_own_pid(), memory_order_relaxed);
  return true;
}

static int32_t try_write(const shim_lock *lock, bool claimed) {
  if (!claimed && !claim(lock)) return SHIM_LOCK_BUSY;
  if (has_readers(lock)) return SHIM_LOCK_PENDING;
  _Atomic uint32_t *state = word(&lock->memory->state);
  uint32_t seen = atomic_load(state);
  do {
    /* Not the claim of this side any more: it was declared dead, or a peer writes what it should not. */
    if ((seen & ~SHMEM_LOCK_ABANDONED) != (lock->owner | SHMEM_LOCK_CLAIMED)) return SHIM_LOCK_BUSY;
  } while (!atomic_compare_exchange_weak(state, &seen, lock->owner));
  return (seen & SHMEM_LOCK_ABANDONED) != 0 ? SHIM_LOCK_TOLD : 0;
}

static int32_t try_event(const shim_lock *lock) {
  uint32_t set = 1;
  _Atomic uint32_t *state = word(&lock->memory->state);
  if (lock->kind == SHIM_LOCK_MANUAL) return atomic_load(state) == 1 ? 0 : SHIM_LOCK_BUSY;
  return atomic_load(state) == 1 && atomic_compare_exchange_strong(state, &set, 0) ? 0 : SHIM_LOCK_BUSY;
}

int32_t shim_lock_try(shim_lock *lock, uint32_t mode, bool claimed) {
  switch (lock->kind) {
    case SHIM_LOCK_RWLOCK: return mode == SHIM_LOCK_WRITE ? try_write(lock, claimed) : try_read(lock);
    case SHIM_LOCK_SEMAPHORE: return take_place(lock);
    default: return try_event(lock);
  }
}

void shim_lock_unclaim(shim_lock *lock) {
  _Atomic uint32_t *state = word(&lock->memory->state);
  uint32_t seen = atomic_load(state);
  do {
    if ((seen & ~SHMEM_LOCK_ABANDONED) != (lock->owner | SHMEM_LOCK_CLAIMED)) return;
  } while (!atomic_compare_exchange_weak(state, &seen, seen & SHMEM_LOCK_ABANDONED));
  shim_turn_give(lock->words, lock->turns);
}

/* ----------------------------------------------------------------------------------------- waiting ---- */

int32_t shim_lock_wait(shim_lock *lock, uint32_t mode, const void *gone, uint32_t spin, double milliseconds) {
  const uint64_t deadline = shim_deadline(milliseconds);
  /* The turns lie as shim.h says; the kernel looks at their low half, which comes first. */
  _Atomic uint32_t *turns = (_Atomic uint32_t *)(void *)((char *)lock->words + 24);
  shim_spin spinning = {.spin = spin};
  int32_t result;
  do {
    result = shim_lock_try(lock, mode, false);
    if (result >= 0) return result;
    if (result == SHIM_LOCK_PENDING) break; /* from here on the claim has to be undone */
  } while (shim_spin_on(&spinning, deadline));
  bool claimed = result == SHIM_LOCK_PENDING;
  while (claimed && shim_spin_on(&spinning, deadline)) {
    result = shim_lock_try(lock, mode, true);
    if (result >= 0) return result;
    claimed = result == SHIM_LOCK_PENDING;
  }
  result = SHIM_LOCK_TIMED_OUT;
  while (spin != SHIM_SPIN_ONLY) {
    uint32_t seen = atomic_load(turns);
    if (gone && atomic_load((const _Atomic uint32_t *)gone) != 0) {
      result = SHIM_LOCK_GONE;
      break;
    }
    shim_turn_ask(lock->words, SHIM_WAITING_THREAD);
    int32_t tried = shim_lock_try(lock, mode, claimed);
    if (tried >= 0) return tried;
    claimed = tried == SHIM_LOCK_PENDING;
    uint64_t left = 0;
    if (deadline != UINT64_MAX) {
      uint64_t now = shim_now();
      if (now >= deadline) break;
      left = deadline - now;
    }
    /* The word is not ours alone: a peer could put back what we saw. */
    if (left == 0 || left > SHIM_LOOK_AGAIN) left = SHIM_LOOK_AGAIN;
    (void)shim_wait_on(turns, seen, left); /* the loop tells why it ended */
  }
  if (claimed) shim_lock_unclaim(lock);
  return result;
}

static bool leave_write(const shim_lock *lock) {
  uint32_t ours = lock->owner;
  return atomic_compare_exchange_strong(word(&lock->memory->state), &ours, 0);
}

int32_t shim_lock_release(shim_lock *lock, uint32_t mode, int32_t place) {
  bool left = mode == SHIM_LOCK_WRITE ? leave_write(lock) : leave_place(lock, place & ~SHIM_LOCK_TOLD);
  if (!left) return -EPERM;
  shim_turn_give(lock->words, lock->turns);
  return 0;
}

void shim_lock_set(shim_lock *lock) {
  atomic_store(word(&lock->memory->state), 1);
  shim_turn_give(lock->words, lock->turns);
}

void shim_lock_reset(shim_lock *lock) { atomic_store(word(&lock->memory->state), 0); }

/* ------------------------------------------------------------------------------------ for the user ---- */

uint32_t shim_lock_count(const shim_lock *lock) {
  if (lock->kind == SHIM_LOCK_MANUAL || lock->kind == SHIM_LOCK_AUTO) {
    return atomic_load(const_word(&lock->memory->state)) == 1;
  }
  uint32_t places = used_places(lock), taken = 0;
  for (uint32_t place = 0; place < places; place++) {
    taken += atomic_load(const_word(&lock->memory->holders[place].owner)) != 0;
  }
  return lock->kind == SHIM_LOCK_SEMAPHORE ? places - taken : taken;
}

uint32_t shim_lock_holder(const shim_lock *lock) {
  if (lock->kind == SHIM_LOCK_RWLOCK &&
      (atomic_load(const_word(&lock->memory->state)) & SHMEM_LOCK_OWNER) != 0) {
    return atomic_load(const_word(&lock->memory->pid));
  }
  if (lock->kind != SHIM_LOCK_RWLOCK && lock->kind != SHIM_LOCK_SEMAPHORE) return 0;
  for (uint32_t place = 0, places = used_places(lock); place < places; place++) {
    const struct shmem_holder *holder = &lock->memory->holders[place];
    if (atomic_load(const_word(&holder->owner)) != 0) return atomic_load(const_word(&holder->pid));
  }
  return 0;
}

/* How many places are ours. */
static uint32_t own_places(const shim_lock *lock) {
  uint32_t own = 0;
  for (uint32_t place = 0, places = used_places(lock); place < places; place++) {
    own += atomic_load(const_word(&lock->memory->holders[place].owner)) == lock->owner;
  }
  return own;
}

bool shim_lock_blocks_itself(const shim_lock *lock, uint32_t mode) {
  if (lock->kind == SHIM_LOCK_SEMAPHORE) return own_places(lock) == lock->limit;
  if (lock->kind != SHIM_LOCK_RWLOCK) return false;
  if ((atomic_load(const_word(&lock->memory->state)) & SHMEM_LOCK_OWNER) == lock->owner) return true;
  return mode == SHIM_LOCK_WRITE && own_places(lock) > 0;
}

/* ------------------------------------------------------------------------------------------ deaths ---- */

static void abandon(const shim_lock *lock, uint32_t owner) {
  if (lock->kind == SHIM_LOCK_RWLOCK) {
    _Atomic uint32_t *state = word(&lock->memory->state);
    uint32_t seen = atomic_load(state), next;
    do {
      if ((seen & SHMEM_LOCK_OWNER) != owner) break;
      next = (seen & SHMEM_LOCK_CLAIMED) != 0 ? seen & SHMEM_LOCK_ABANDONED : SHMEM_LOCK_ABANDONED;
    } while (!atomic_compare_exchange_weak(state, &seen, next));
  } else if (lock->kind != SHIM_LOCK_SEMAPHORE) {
    return; /* nobody holds an event */
  }
  /* Not only those that are said to be used: that word is a peer's. */
  for (uint32_t place = 0; place < lock->limit; place++) {
    uint32_t dead = owner;
    if (atomic_load(word(&lock->memory->holders[place].owner)) != owner) continue;
    (void)atomic_compare_exchange_strong(word(&lock->memory->holders[place].owner), &dead, 0);
  }
}

shim_locks *shim_locks_create(void) {
  shim_locks *locks = calloc(1, sizeof *locks);
  if (!locks) return NULL;
  if (pthread_mutex_init(&locks->lock, NULL) == 0) return locks;
  free(locks);
  return NULL;
}

void shim_locks_free(shim_locks *locks) {
  pthread_mutex_destroy(&locks->lock);
  free(locks);
}

void shim_locks_add(shim_locks *locks, shim_lock *lock) {
  pthread_mutex_lock(&locks->lock);
  lock->next = locks->first;
  locks->first = lock;
  pthread_mutex_unlock(&locks->lock);
}

void shim_locks_remove(shim_locks *locks, shim_lock *lock) {
  pthread_mutex_lock(&locks->lock);
  for (shim_lock **place = &locks->first; *place; place = &(*place)->next) {
    if (*place != lock) continue;
    *place = lock->next;
    break;
  }
  pthread_mutex_unlock(&locks->lock);
}

void shim_locks_abandon(shim_locks *locks, uint32_t owner) {
  owner &= SHMEM_LOCK_OWNER;
  if (owner == 0) return;
  pthread_mutex_lock(&locks->lock);
  for (const shim_lock *lock = locks->first; lock; lock = lock->next) abandon(lock, owner);
  pthread_mutex_unlock(&locks->lock);
}
