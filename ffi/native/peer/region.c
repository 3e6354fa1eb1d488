/* region.c: what clients and servers do with regions. */
#include <stdlib.h>
#include <sys/mman.h>

#include "peer.h"

/* How long a lock spins before it sleeps, in microseconds. */
#define LOCK_SPIN 20

static uint64_t load64(const void *word) { return atomic_load((const _Atomic uint64_t *)word); }

static bool is_gone(const struct end *end) { return end->gone && shim_word_load(end->gone) != 0; }

/* ------------------------------------------------------------------------------- of an end as a whole ---- */

void end_watch(struct end *end, uint32_t index) {
  if (end->is_watching) shim_revision_park(&end->parked[index]);
}

void end_watch_all(struct end *end) {
  end->is_watching = true;
  for (struct xshm_region *region = end->regions; region; region = region->next)
    end_watch(end, region->index);
  for (struct xshm_stream *stream = end->streams; stream; stream = stream->next)
    end_watch(end, stream->index);
}

void end_unlock_all(struct end *end) {
  for (struct xshm_region *region = end->regions; region; region = region->next) {
    if (region->mutex && atomic_exchange(&region->holds, 0) != 0) {
      (void)shim_turn_unlock(region->mutex, &end->locks->turns, end->owner); /* or it was taken from us */
    }
  }
}

void region_add(struct end *end, struct xshm_region *region) {
  const uint32_t index = region->index;
  region->end = end;
  region->revision =
    region->is_shared ? &end->locks->regions[index].revision : &end->server->regions[index].revision;
  if (region->is_shared) region->mutex = &end->locks->regions[index].mutex;
  else if (region->is_writable) region->mutex = &end->server->regions[index].mutex;
  struct xshm_region **place = &end->regions;
  while (*place) place = &(*place)->next; /* in the order of their index at a server */
  *place = region;
  end_watch(end, index);
}

void region_free(struct xshm_region *region) {
  if (region->memory.address) (void)shim_memory_close(region->memory.address, region->memory.mapped);
  if (region->memory.fd >= 0) (void)shim_descriptor_close((int32_t)region->memory.fd);
  free(region->name);
  free(region);
}

/* ------------------------------------------------------------------------------------- what is public ---- */

void *xshm_region_data(const xshm_region *region) { return region->memory.address; }

size_t xshm_region_length(const xshm_region *region) { return (size_t)region->length; }

uint64_t xshm_region_generation(const xshm_region *region) { return region->generation; }

int xshm_lock(xshm_region *region, int milliseconds) {
  const struct end *end = region->end;
  if (!region->mutex) return XSHM_READ_ONLY;
  if (is_gone(end)) return XSHM_GONE;
  int32_t result =
    shim_mutex_wait_until(region->mutex, end->owner, LOCK_SPIN, shim_deadline(milliseconds), end->gone);
  if (result == SHIM_MUTEX_CANCELLED) return XSHM_GONE;
  if (result != SHIM_MUTEX_LOCKED && result != SHIM_MUTEX_LOCKED_ABANDONED) return XSHM_TIMEOUT;
  if (is_gone(end)) {
    (void)shim_mutex_unlock(region->mutex, end->owner); /* the locks of a server that is gone are of no use */
    return XSHM_GONE;
  }
  atomic_store(&region->holds, 1);
  return result == SHIM_MUTEX_LOCKED ? XSHM_OK : XSHM_ABANDONED;
}

int xshm_unlock(xshm_region *region) {
  if (!region->mutex) return XSHM_READ_ONLY;
  if (atomic_exchange(&region->holds, 0) == 0) return XSHM_INVALID;
  int32_t result = shim_turn_unlock(region->mutex, &region->end->locks->turns, region->end->owner);
  return result == 0 ? XSHM_OK : XSHM_INVALID;
}

uint64_t xshm_commit(xshm_region *region) {
  struct end *end = region->end;
  if (!region->is_writable) return 0;
  pthread_mutex_lock(&end->lock);
  double revision = shim_revision_commit(end->audience, region->revision, region->index);
  if (end->committed) end->committed(end, region->index);
  pthread_mutex_unlock(&end->lock);
  return (uint64_t)revision;
}

uint64_t xshm_revision(const xshm_region *region) { return load64(region->revision); }

int xshm_wait(xshm_region *region, uint64_t after, int milliseconds, unsigned microseconds,
              uint64_t *revision) {
  struct end *end = region->end;
  const void *generation = &end->server->regions[region->index].generation;
  if (load64(generation) == region->generation) {
    /* The most is a spin without a sleep. */
    uint32_t spin = microseconds < SHIM_SPIN_ONLY ? microseconds : SHIM_SPIN_ONLY - 1;
    (void)shim_revision_wait(region->revision, &end->parked[region->index], end->gone, (double)after, spin,
                             milliseconds);
  }
  uint64_t now = load64(region->revision);
  if (revision) *revision = now;
  if (load64(generation) != region->generation) return XSHM_REPLACED;
  if (now != after) return XSHM_OK;
  return is_gone(end) ? XSHM_GONE : XSHM_TIMEOUT;
}
