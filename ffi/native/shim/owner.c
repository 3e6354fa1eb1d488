/*
 * owner.c: what the death of an owner of locks means for the words that it shared.
 *
 * An owner is a link's other end. XPC's thread calls abandon_all when the link becomes invalid, also while the
 * event loop of this process sits in a synchronous wait for a lock that the dead one held.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "internal.h"

struct shim_owner {
  char *mutexes;
  char *revisions;
  uint32_t stride;
  uint32_t count;
  uint32_t owner;
  _Atomic uint32_t *gone;
  _Atomic uint32_t dead;
  void *turns;
  shim_locks *locks;
};

shim_owner *shim_owner_create(void *mutexes, void *revisions, uint32_t stride, uint32_t count, uint32_t owner,
                              void *gone, void *turns, shim_locks *locks) {
  shim_owner *made = malloc(sizeof *made);
  if (!made) return NULL;
  *made = (shim_owner){.mutexes = mutexes,
                       .revisions = revisions,
                       .stride = stride,
                       .count = count,
                       .owner = owner,
                       .gone = gone,
                       .turns = turns,
                       .locks = locks};
  return made;
}

static void abandon_all(void *context) {
  shim_owner *dead = context;
  atomic_store(&dead->dead, 1);
  if (dead->gone) atomic_store(dead->gone, 1);
  if (dead->locks) shim_locks_abandon(dead->locks, dead->owner);
  for (uint32_t i = 0; i < dead->count; i++) {
    size_t offset = (size_t)i * dead->stride;
    (void)shim_mutex_abandon(dead->mutexes + offset, dead->owner); /* most of them it did not hold */
    /* It may have died between the new revision and the wake of those who wait for it. */
    if (dead->revisions) shim_revision_recheck(dead->revisions + offset);
    /* Likewise between giving a lock back and giving a turn. */
    if (dead->turns) shim_turn_force(dead->mutexes + offset);
  }
  if (dead->turns) shim_turn_force_all(dead->turns);
}

shim_death_call shim_owner_death_call(void) { return abandon_all; }

const void *shim_owner_dead(const shim_owner *owner) { return (const void *)&owner->dead; }

void shim_owner_free(shim_owner *owner) { free(owner); }
