/*
 * revisions.c: words that only grow, and waking those who wait for them to grow.
 *
 * A commit makes no system call when nobody waits. For that, a waiter first writes into its parked word that it waits
 * and then looks at the revision; a commit first adds to the revision and then looks at the parked words. All of it is
 * sequentially consistent, so at least one of the two sees the other, and no wake is lost.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A waiter, in this process or another. It alone writes its parked words, so a hostile one costs us a wake for nothing
 * at each commit, and nobody else anything. */
struct member {
  const _Atomic uint32_t *parked; /* NULL: a free place */
  uint32_t count;
  int32_t bell;
};

struct shim_audience {
  struct member *members;
  uint32_t capacity;
  uint32_t used; /* places below this may be taken */
  /* Several threads use it. One that belongs to one thread takes no lock, which would take longer than a commit. */
  _Atomic bool is_shared;
  _Atomic uint32_t references;
  pthread_mutex_t lock;
};

shim_audience *shim_audience_create(void) {
  shim_audience *audience = calloc(1, sizeof *audience);
  if (!audience) return NULL;
  atomic_init(&audience->references, 1);
  if (pthread_mutex_init(&audience->lock, NULL) == 0) return audience;
  free(audience);
  return NULL;
}

static void enter(shim_audience *audience) {
  if (atomic_load_explicit(&audience->is_shared, memory_order_relaxed)) pthread_mutex_lock(&audience->lock);
}

static void leave(shim_audience *audience) {
  if (atomic_load_explicit(&audience->is_shared, memory_order_relaxed)) pthread_mutex_unlock(&audience->lock);
}

shim_audience *shim_audience_share(shim_audience *audience) {
  /* Whoever gets the other reference gets it by a lock, and so sees this. */
  atomic_store(&audience->is_shared, true);
  atomic_fetch_add(&audience->references, 1);
  return audience;
}

void shim_audience_free_shared(shim_audience *audience) {
  if (atomic_fetch_sub(&audience->references, 1) != 1) return;
  pthread_mutex_destroy(&audience->lock);
  free(audience->members);
  free(audience);
}

void shim_audience_free(shim_audience *audience) {
  if (!audience) return;
  /* Other threads may commit still. The members' words and bells end with the owner. */
  enter(audience);
  audience->used = 0;
  leave(audience);
  shim_audience_free_shared(audience);
}

static int32_t add(shim_audience *audience, const void *parked, uint32_t count, int32_t bell) {
  uint32_t place = 0;
  while (place < audience->used && audience->members[place].parked) place++;
  if (place == audience->capacity) {
    if (audience->capacity >= 65536) return -ENOSPC; /* a bound, which the doubling never overflows */
    uint32_t capacity = audience->capacity == 0 ? 8 : audience->capacity * 2;
    struct member *members = realloc(audience->members, capacity * sizeof *members);
    if (!members) return -ENOMEM;
    audience->members = members;
    audience->capacity = capacity;
  }
  audience->members[place] = (struct member){.parked = parked, .count = count, .bell = bell};
  if (place == audience->used) audience->used++;
  return (int32_t)place;
}

int32_t shim_audience_add(shim_audience *audience, const void *parked, uint32_t count, int32_t bell) {
  enter(audience);
  int32_t member = add(audience, parked, count, bell);
  leave(audience);
  return member;
}

static struct member *find(shim_audience *audience, int32_t member) {
  if (member < 0 || (uint32_t)member >= audience->used) return NULL;
  return &audience->members[member];
}

void shim_audience_set_bell(shim_audience *audience, int32_t member, int32_t bell) {
  enter(audience);
  struct member *found = find(audience, member);
  if (found) found->bell = bell;
  leave(audience);
}

void shim_audience_remove(shim_audience *audience, int32_t member) {
  enter(audience);
  struct member *found = find(audience, member);
  if (found) {
    memset(found, 0, sizeof *found);
    /* Numbers stay what they are, so only the places at the end can go; a commit looks at all that are left. */
    while (audience->used > 0 && !audience->members[audience->used - 1].parked) audience->used--;
  }
  leave(audience);
}

/* The half of a 64-bit word that changes with each commit: what the kernel's waits look at. */
static void *low_half(void *revision) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  return revision;
#else
  return (char *)revision + 4;
#endif
}

void shim_revision_wake(shim_audience *audience, void *revision, uint32_t index) {
  bool threads = false;
  enter(audience);
  for (uint32_t place = 0; place < audience->used; place++) {
    const struct member *member = &audience->members[place];
    if (!member->parked || index >= member->count) continue;
    uint32_t parked = atomic_load(&member->parked[index]);
    if ((parked & SHIM_PARKED_BELL) != 0 && member->bell >= 0) {
      (void)shim_bell_ring(member->bell); /* a bell that is gone: its link will say so */
    }
    if (parked >= SHIM_PARKED_THREAD) threads = true;
  }
  leave(audience);
  /* One wake for all: they sleep on the revision, which they share. Those behind doorbells have one each. */
  if (threads) (void)shim_wake(low_half(revision), true);
}

double shim_revision_commit(shim_audience *audience, void *revision, uint32_t index) {
  uint64_t next = atomic_fetch_add((_Atomic uint64_t *)revision, 1) + 1;
  shim_revision_wake(audience, revision, index);
  return (double)next;
}

void shim_revision_recheck(void *revision) { (void)shim_wake(low_half(revision), true); }

int32_t shim_revision_wait_until(void *revision, void *parked, double after, uint32_t spin, uint64_t deadline,
                                 const _Atomic uint32_t *cancelled) {
  /* Compared as doubles, which is what the caller has seen: a hostile peer may write a number beyond 2^53, which
   * must neither look like a new change at each wait nor be cast out of range. */
  const _Atomic uint64_t *word = revision;
  uint64_t seen;
  shim_spin spinning = {.spin = spin};
  do {
    if ((double)atomic_load(word) != after) return SHIM_WAIT_CHANGED;
    if (spinning.steps % 32 == 31 && cancelled && atomic_load(cancelled) != 0) break;
  } while (shim_spin_on(&spinning, deadline));
  if (spin == SHIM_SPIN_ONLY) return SHIM_WAIT_TIMED_OUT; /* or the peer is gone: its word tells */
  int32_t result = SHIM_WAIT_CHANGED;
  if (parked) shim_revision_count_thread(parked, true);
  /* The order matters: parked first, then the look at the word; a commit does the reverse. */
  while (seen = atomic_load(word), (double)seen == after) {
    if (cancelled && atomic_load(cancelled) != 0) {
      result = SHIM_WAIT_CANCELLED;
      break;
    }
    uint64_t left = 0;
    if (deadline != UINT64_MAX) {
      uint64_t now = shim_now();
      if (now >= deadline) {
        result = SHIM_WAIT_TIMED_OUT;
        break;
      }
      left = deadline - now;
    }
    if (cancelled && (left == 0 || left > SHIM_LOOK_AGAIN)) left = SHIM_LOOK_AGAIN;
    (void)shim_wait_on(low_half(revision), (uint32_t)seen, left); /* the loop tells why it ended */
  }
  if (parked) shim_revision_count_thread(parked, false);
  return result;
}

void shim_revision_count_thread(void *parked, bool sleeps) {
  (void)atomic_fetch_add((_Atomic uint32_t *)parked, sleeps ? SHIM_PARKED_THREAD : -SHIM_PARKED_THREAD);
}

void shim_revision_park(void *parked) { (void)atomic_fetch_or((_Atomic uint32_t *)parked, SHIM_PARKED_BELL); }

void shim_revision_unpark(void *parked) {
  (void)atomic_fetch_and((_Atomic uint32_t *)parked, ~SHIM_PARKED_BELL);
}

/* `gone` serves as the flag of a cancel: both are words that somebody else sets and that end the wait. The result is
 * read anew, since a commit and the death may come together, and news come first. */
double shim_revision_wait(void *revision, void *parked, const void *gone, double after, uint32_t spin,
                          double milliseconds) {
  (void)shim_revision_wait_until(revision, parked, after, spin, shim_deadline(milliseconds), gone);
  return shim_word_load64(revision);
}
