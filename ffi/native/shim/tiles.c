/*
 * tiles.c: which parts of a region changed, and copies of these parts that are never torn.
 *
 * A commit that names its ranges writes its revision into the word of each tile that it touched, and then into
 * `ranged`. What `ranged` says is told: each commit up to that revision is in the words of its tiles, or in `whole`,
 * which stands for all tiles at once. A commit that names no ranges writes none of these words. It shows as a gap,
 * which the next commit with ranges raises `whole` over. So does a commit whose process died half-way.
 *
 * A copy is a reader of a seqlock whose sequence is the mutex and the revision: who writes holds the mutex, and commits
 * before it unlocks.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "internal.h"
#include "shmem_layout.h"

enum {
  MAX_RAISES = 1000,      /* of one word: peers that keep a word from being raised do not keep a commit */
  MAX_TORN = 16,          /* copies of one call that were torn, before it locks */
  MAX_PASSES = 4,         /* over what changed meanwhile, for a consistent copy */
  RUN_BYTES = 65536,      /* what is copied between two checks, where tiles are smaller */
  PATIENCE = 10000000,    /* nanoseconds after the first failure, before a copy locks */
  LOCK_SLICE = 10000000,  /* nanoseconds of a wait for the mutex, between two looks at who holds it */
  SPIN_MICROSECONDS = 20, /* for a holder that is about to unlock */
  TOLD_MICROSECONDS = 1,  /* for a commit that is under way */
  MAX_NAP = 1000000,      /* nanoseconds */
};

static bool has_tiles(const shim_tiles *tiles) { return tiles->tile_bytes != 0; }

static struct shmem_tiles *words_of(const shim_tiles *tiles) {
  uint64_t at = (tiles->length + SHMEM_STRIDE - 1) / SHMEM_STRIDE * SHMEM_STRIDE;
  return (struct shmem_tiles *)(void *)((char *)tiles->data + at);
}

static _Atomic uint64_t *ranged_of(const shim_tiles *tiles) {
  return (_Atomic uint64_t *)&words_of(tiles)->ranged;
}

static _Atomic uint64_t *whole_of(const shim_tiles *tiles) {
  return (_Atomic uint64_t *)&words_of(tiles)->whole;
}

static _Atomic uint64_t *revisions_of(const shim_tiles *tiles) {
  return (_Atomic uint64_t *)(void *)((char *)words_of(tiles) + SHMEM_TILES_HEADER_BYTES);
}

/* How many bytes are looked at together: a tile, or a part of a region that has none. */
static uint64_t step_of(const shim_tiles *tiles) { return has_tiles(tiles) ? tiles->tile_bytes : RUN_BYTES; }

static uint64_t count_of(const shim_tiles *tiles) {
  uint64_t step = step_of(tiles);
  return tiles->length / step + (tiles->length % step != 0);
}

static uint64_t revision_now(const shim_tiles *tiles) {
  return atomic_load((const _Atomic uint64_t *)tiles->revision);
}

/* Makes a word at least `to`. False where others change it all the time, as only a hostile peer does. */
static bool raise_to(_Atomic uint64_t *word, uint64_t to) {
  uint64_t seen = atomic_load(word);
  for (int tries = 0; seen < to; tries++) {
    if (atomic_compare_exchange_strong(word, &seen, to)) return true;
    if (tries == MAX_RAISES) return false;
  }
  return true;
}

static bool raise_range(const shim_tiles *tiles, double offset, double length, uint64_t revision) {
  /* The caller has checked them; a cast of anything else would be undefined. */
  if (!(offset >= 0 && length >= 1 && offset + length <= (double)tiles->length)) return true;
  uint64_t first = (uint64_t)offset / tiles->tile_bytes;
  uint64_t last = ((uint64_t)offset + (uint64_t)length - 1) / tiles->tile_bytes;
  for (uint64_t tile = first; tile <= last; tile++) {
    if (!raise_to(&revisions_of(tiles)[tile], revision)) return false;
  }
  return true;
}

/* The order matters: `ranged` comes last, since it says that all before it is told. Where this ends early, by a death
 * or a peer, the commit looks like one that named no ranges. */
static void tell(const shim_tiles *tiles, uint64_t revision, const double *ranges, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    if (!raise_range(tiles, ranges[2 * (size_t)i], ranges[2 * (size_t)i + 1], revision)) return;
  }
  if (atomic_load(ranged_of(tiles)) < revision - 1 && !raise_to(whole_of(tiles), revision - 1)) return;
  (void)raise_to(ranged_of(tiles), revision); /* a gap, where it fails: safe */
}

double shim_tiles_commit(const shim_tiles *tiles, shim_audience *audience, uint32_t index,
                         const double *ranges, uint32_t count) {
  uint64_t next = atomic_fetch_add((_Atomic uint64_t *)tiles->revision, 1) + 1;
  if (has_tiles(tiles)) tell(tiles, next, ranges, count);
  shim_revision_wake(audience, tiles->revision, index);
  return (double)next;
}

/* A revision that the caller knows; 0, after which everything counts as changed, for what is none. */
static uint64_t known(double since) { return since >= 1 && since < 9e15 ? (uint64_t)since : 0; }

/* Whether the words tell of all commits up to a revision. A commit under way is waited for, for a moment. */
static bool is_told(const shim_tiles *tiles, uint64_t revision) {
  shim_spin spinning = {.spin = TOLD_MICROSECONDS};
  do {
    if (atomic_load(ranged_of(tiles)) >= revision) return true;
  } while (shim_spin_on(&spinning, UINT64_MAX));
  return false;
}

/* Whether everything counts as changed between two revisions. */
static bool all_changed(const shim_tiles *tiles, uint64_t since, uint64_t revision) {
  if (since == revision && since != 0) return false;
  if (since == 0 || since > revision || !has_tiles(tiles)) return true;
  return !is_told(tiles, revision) || atomic_load(whole_of(tiles)) > since;
}

/* ------------------------------------------------------------------------------------ what changed ---- */

uint32_t shim_tiles_changed(const shim_tiles *tiles, double since, double revision, double *runs,
                            uint32_t capacity) {
  uint64_t after = known(since);
  if (all_changed(tiles, after, known(revision))) {
    if (capacity > 0) {
      runs[0] = 0;
      runs[1] = (double)tiles->length;
    }
    return 1;
  }
  if (!has_tiles(tiles)) return 0;
  uint32_t found = 0;
  uint64_t count = count_of(tiles);
  for (uint64_t tile = 0; tile < count; tile++) {
    uint64_t first = tile;
    while (tile < count && atomic_load(&revisions_of(tiles)[tile]) > after) tile++;
    if (tile == first) continue;
    uint64_t end = tile == count ? tiles->length : tile * tiles->tile_bytes;
    if (found < capacity) {
      runs[2 * (size_t)found] = (double)(first * tiles->tile_bytes);
      runs[2 * (size_t)found + 1] = (double)(end - first * tiles->tile_bytes);
    }
    if (found < UINT32_MAX) found++;
  }
  return found;
}

/* ------------------------------------------------------------------------------------ copying it ---- */

struct copy {
  const shim_tiles *tiles;
  char *target;
  uint64_t since;    /* the target has what was committed up to here */
  bool all;          /* everything counts as changed since then */
  bool safe;         /* nobody else writes: this end holds the mutex */
  bool locked;       /* and it was this call that locked it */
  uint64_t copied;   /* bytes */
  uint64_t deadline; /* nanoseconds */
  uint64_t patience; /* when to lock: 0 before the first failure */
  uint32_t torn;     /* copies that were */
  long nap;          /* nanoseconds */
};

/* Copies what a writer may be writing at the same time, which the language calls a race: what comes of it is used only
 * after it turned out that nobody did. Word by word and atomically it would take several times as long. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define COPY_BY_WORDS 1 /* the sanitizer's own memcpy reports, whoever calls it */
#endif
#endif
__attribute__((no_sanitize("thread"))) static void copy_bytes(char *target, const char *source,
                                                              uint64_t bytes) {
#ifdef COPY_BY_WORDS
  for (uint64_t i = 0; i < bytes; i++) target[i] = ((const volatile char *)source)[i];
#else
  memcpy(target, source, bytes);
#endif
}

/* Whether nobody writes, or this end alone. Who died while it wrote may have left half of it: until the next holder
 * has learned that. */
static bool is_quiet(const shim_tiles *tiles) {
  uint32_t state = atomic_load((const _Atomic uint32_t *)tiles->mutex);
  uint32_t owner = state & SHIM_MUTEX_OWNER;
  if (owner == 0) return (state & SHIM_MUTEX_ABANDONED) == 0;
  return owner == (uint32_t)tiles->owner && (tiles->owner & SHIM_TILES_OTHER_REALM) == 0;
}

static bool is_held_here(const shim_tiles *tiles) {
  uint32_t state = atomic_load((const _Atomic uint32_t *)tiles->mutex);
  return tiles->owner != 0 && (tiles->owner & SHIM_TILES_OTHER_REALM) == 0 &&
         (state & SHIM_MUTEX_OWNER) == (uint32_t)tiles->owner;
}

/* Whether no commit after `before` touched the tiles. Of a writer that was at work during the copy and has unlocked
 * by now, the words of the tiles are written: it committed before. */
static bool is_unchanged(const shim_tiles *tiles, uint64_t before, uint64_t first, uint64_t end) {
  uint64_t now = revision_now(tiles);
  if (now == before) return true;
  if (!has_tiles(tiles) || atomic_load(ranged_of(tiles)) < now) return false;
  if (atomic_load(whole_of(tiles)) > before) return false;
  for (uint64_t tile = first; tile < end; tile++) {
    if (atomic_load(&revisions_of(tiles)[tile]) > before) return false;
  }
  return true;
}

/* Copies the tiles from `first` to before `end`; false where they may be torn. */
static bool try_copy(struct copy *copy, uint64_t first, uint64_t end) {
  const shim_tiles *tiles = copy->tiles;
  uint64_t from = first * step_of(tiles);
  uint64_t bytes = (end == count_of(tiles) ? tiles->length : end * step_of(tiles)) - from;
  if (!copy->safe && !is_quiet(tiles)) return false;
  uint64_t before = revision_now(tiles);
  copy_bytes(copy->target + from, (const char *)tiles->data + from, bytes);
  if (!copy->safe) {
    /* The bytes before the words. The writer's half of it: a fence between locking and writing. */
    atomic_thread_fence(memory_order_acquire);
    if (!is_quiet(tiles) || !is_unchanged(tiles, before, first, end)) {
      copy->torn++;
      return false;
    }
  }
  copy->copied += bytes;
  return true;
}

static void take_nap(struct copy *copy) {
  copy->nap = copy->nap == 0 ? 20000 : copy->nap < MAX_NAP / 2 ? copy->nap * 2 : MAX_NAP;
  struct timespec time = {.tv_sec = 0, .tv_nsec = copy->nap};
  (void)nanosleep(&time, NULL); /* cut short by a signal: looks earlier */
}

/* Locks the mutex, or comes back after a while to look again. */
static void lock_for(struct copy *copy, uint64_t now) {
  const shim_tiles *tiles = copy->tiles;
  uint32_t state = atomic_load((const _Atomic uint32_t *)tiles->mutex);
  /* The mutex of who died waits for somebody who mends what it guards. */
  if ((state & SHIM_MUTEX_OWNER) == 0 && (state & SHIM_MUTEX_ABANDONED) != 0) return take_nap(copy);
  uint64_t slice = now + LOCK_SLICE < copy->deadline ? now + LOCK_SLICE : copy->deadline;
  int32_t result =
    shim_mutex_wait_until(tiles->mutex, (uint32_t)tiles->owner, SPIN_MICROSECONDS, slice, NULL);
  if (result == SHIM_MUTEX_LOCKED) copy->safe = copy->locked = true;
  if (result != SHIM_MUTEX_LOCKED_ABANDONED) return;
  (void)shim_mutex_abandon(tiles->mutex, (uint32_t)tiles->owner); /* the next holder is to learn it */
  take_nap(copy);
}

/* After a failure: waits a little for the writer, or for the mutex. 0 or -ETIMEDOUT. */
static int await_turn(struct copy *copy) {
  shim_spin spinning = {.spin = SPIN_MICROSECONDS};
  while (!is_quiet(copy->tiles) && shim_spin_on(&spinning, copy->deadline)) continue;
  uint64_t now = shim_now();
  if (now >= copy->deadline) return -ETIMEDOUT;
  if (copy->patience == 0) copy->patience = now + PATIENCE;
  bool is_patient = now < copy->patience && copy->torn < MAX_TORN;
  if (is_held_here(copy->tiles))
    copy->safe = !is_patient; /* whoever commits without it does not hold us up */
  else if ((uint32_t)copy->tiles->owner != 0 && !is_patient) lock_for(copy, now);
  else if (!is_quiet(copy->tiles)) take_nap(copy);
  return 0;
}

static int copy_run(struct copy *copy, uint64_t first, uint64_t end) {
  int result = 0;
  while (result == 0 && !try_copy(copy, first, end)) result = await_turn(copy);
  return result;
}

static bool is_wanted(const struct copy *copy, uint64_t tile) {
  return copy->all || atomic_load(&revisions_of(copy->tiles)[tile]) > copy->since;
}

/* Copies what changed since `copy->since`: neighbours together, up to RUN_BYTES. */
static int copy_pass(struct copy *copy) {
  uint64_t count = count_of(copy->tiles), step = step_of(copy->tiles);
  uint64_t most = step < RUN_BYTES ? RUN_BYTES / step : 1;
  int result = 0;
  for (uint64_t tile = 0; tile < count && result == 0;) {
    uint64_t first = tile;
    while (tile < count && tile - first < most && is_wanted(copy, tile)) tile++;
    if (tile == first) tile++;
    else result = copy_run(copy, first, tile);
  }
  return result;
}

static int copy_all_passes(struct copy *copy) {
  int result = 0;
  for (int pass = 0; pass < MAX_PASSES && result == 0; pass++) {
    /* The revision first: whatever is committed from now on is for the next pass, or for the next call. */
    uint64_t now = revision_now(copy->tiles);
    if (pass > 0 && now == copy->since) break;
    copy->all =
      (pass == 0 && copy->since == 0) || (now != copy->since && all_changed(copy->tiles, copy->since, now));
    if (now != copy->since || copy->all) result = copy_pass(copy);
    copy->since = now;
  }
  return result;
}

/* Unlocks the mutex, and gives those who wait for it their turn. */
static int32_t unlock(const shim_tiles *tiles) {
  uint32_t owner = (uint32_t)tiles->owner;
  return tiles->turns ? shim_turn_unlock(tiles->mutex, tiles->turns, owner)
                      : shim_mutex_unlock(tiles->mutex, owner);
}

int32_t shim_tiles_copy_wait(const shim_tiles *tiles, void *target, double since, double milliseconds,
                             double result[4]) {
  struct copy copy = {
    .tiles = tiles, .target = target, .since = known(since), .deadline = shim_deadline(milliseconds)};
  int32_t failed = copy_all_passes(&copy);
  bool consistent = revision_now(tiles) == copy.since;
  if (copy.locked && unlock(tiles) != 0 && failed == 0) {
    failed = -EPERM; /* this end was declared dead meanwhile, and others may have written */
  }
  result[0] = (double)copy.since;
  result[1] = (double)copy.copied;
  result[2] = consistent;
  result[3] = copy.locked;
  return failed;
}
