/* tiles.c: the page's section "Tiles". */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "party.h"

static uint64_t tiles_at(uint64_t bytes) { return (bytes + SHMEM_STRIDE - 1) / SHMEM_STRIDE * SHMEM_STRIDE; }

uint64_t tile_count(uint64_t bytes, uint64_t tile_bytes) { return (bytes + tile_bytes - 1) / tile_bytes; }

uint64_t bytes_with_tiles(uint64_t bytes, uint64_t tile_bytes) {
  return tiles_at(bytes) + SHMEM_TILES_HEADER_BYTES + tile_count(bytes, tile_bytes) * 8;
}

static struct shmem_tiles *header(const struct region *region) {
  return (struct shmem_tiles *)(void *)((char *)region->memory.address + tiles_at(region->bytes));
}

static _Atomic uint64_t *ranged(const struct region *region) {
  return (_Atomic uint64_t *)&header(region)->ranged;
}

static _Atomic uint64_t *whole(const struct region *region) {
  return (_Atomic uint64_t *)&header(region)->whole;
}

static _Atomic uint64_t *tile(const struct region *region, uint64_t index) {
  return (_Atomic uint64_t *)(void *)((char *)header(region) + SHMEM_TILES_HEADER_BYTES) + index;
}

static void raise_to(_Atomic uint64_t *word, uint64_t to) {
  uint64_t seen = atomic_load(word);
  while (seen < to && !atomic_compare_exchange_strong(word, &seen, to)) continue;
}

uint64_t commit_range(const struct region *region, uint64_t offset, uint64_t length, bool dies) {
  uint64_t revision = atomic_fetch_add(region->revision, 1) + 1;
  for (uint64_t at = offset / region->tile_bytes; length > 0 && at * region->tile_bytes < offset + length;
       at++) {
    raise_to(tile(region, at), revision);
  }
  if (dies) return revision;
  if (atomic_load(ranged(region)) < revision - 1) raise_to(whole(region), revision - 1);
  raise_to(ranged(region), revision);
  return revision;
}

static bool is_quiet(const struct region *region) {
  uint32_t word = atomic_load(region->guard), owner = word & SHMEM_MUTEX_OWNER;
  return owner == 0 ? (word & SHMEM_MUTEX_ABANDONED) == 0 : region->mutex != NULL && owner == side->owner;
}

/* Whether the words tell that the tile did not change after a revision. */
static bool is_unchanged(const struct region *region, uint64_t index, uint64_t since) {
  uint64_t now = atomic_load(region->revision);
  return now == since || (region->tile_bytes != 0 && atomic_load(ranged(region)) >= now &&
                          atomic_load(whole(region)) <= since && atomic_load(tile(region, index)) <= since);
}

static bool copy_tile(const struct region *region, uint64_t index, uint64_t from, uint64_t bytes) {
  if (!is_quiet(region)) return false;
  uint64_t before = atomic_load(region->revision);
  memcpy(region->copy + from, (const char *)region->memory.address + from, bytes);
  atomic_thread_fence(memory_order_acquire);
  return is_quiet(region) && is_unchanged(region, index, before);
}

bool copy_changes(struct region *region, uint64_t since, struct copied *copied) {
  const struct timespec pause = {.tv_nsec = 100000};
  uint64_t step = region->tile_bytes == 0 ? region->bytes : region->tile_bytes;
  if (region->copy == NULL && (region->copy = calloc(1, region->bytes)) == NULL) abort();
  uint64_t revision = atomic_load(region->revision);
  bool all = since == 0 || since > revision || region->tile_bytes == 0;
  for (int look = 0; !all && since != revision && atomic_load(ranged(region)) < revision; look++) {
    all = look == 100;
  }
  if (!all && since != revision) all = atomic_load(whole(region)) > since;
  *copied = (struct copied){.revision = revision};
  for (uint64_t index = 0; index < tile_count(region->bytes, step) && (all || since != revision); index++) {
    uint64_t from = index * step, bytes = region->bytes - from < step ? region->bytes - from : step;
    if (!all && atomic_load(tile(region, index)) <= since) continue;
    for (int tries = 0; !copy_tile(region, index, from, bytes); tries++) {
      if (tries == 10000) return false; /* a second */
      (void)nanosleep(&pause, NULL);
    }
    copied->bytes += bytes;
  }
  copied->consistent = atomic_load(region->revision) == revision;
  return true;
}
