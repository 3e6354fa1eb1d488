/*
 * realms.c: regions that several realms of this process use: an app's event loop, and its workers.
 *
 * The realm that opened a region shares it. Another realm takes a seat, and gets mappings of its own of the same pages.
 * So none can unmap what another still reads, however it ends. What the kernel does not see is done here: to tell all
 * seats when the region is closed, to have the one that closes wait for them, and to give back the mutex that a realm
 * held when it died. All realms of a process are one owner of a mutex, so each seat notes whether it is the one.
 *
 * A message between realms is data that anybody could have written. It has a number and a secret, and means something
 * only if both are in the table of this process.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__APPLE__)
#include <mach/mach.h>
#endif

#include "internal.h"

enum { DATA = 0, PARTS = 4 };

struct shim_share {
  shim_share *next; /* in the table */
  uint64_t id;
  uint64_t secret[2];
  shim_share_place place;
  shim_audience *audience; /* a reference */
  char *facts;
  uint32_t facts_length;
  uint32_t references; /* of the owner, and of each seat */
  shim_queue *queue;   /* the owner's; NULL once the owner is gone or has closed it */
  shim_node *node;     /* for the event that tells that all seats are empty */
  shim_seat *seats;
  bool is_closing;
  _Atomic uint32_t ended;  /* an enum shim_share_end: what waits for revisions look at */
  _Atomic uint32_t closed; /* what waits for the mutex look at: a mutex outlives its server */
};

struct shim_seat {
  shim_seat *next; /* of the share */
  shim_share *share;
  shim_queue *queue;
  shim_node *gone;   /* for the event that the server is gone; NULL once it is queued */
  shim_node *closed; /* for the event that the region is closed */
  void *parts[PARTS];
  bool owns_data;
  void *mutex; /* NULL where this end has none */
  void *turns;
  void *revision;
  _Atomic uint32_t holds; /* whether this realm holds the mutex */
};

/* Guards the table and all in it but the atomic words. It is of the process, since that is what realms have in common. */
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static shim_share *table;
static uint64_t last_id;

/* Maps the same pages once more. */
static void *map_again(void *address, uint64_t mapped) {
#if defined(__linux__)
  /* With an old size of 0 the kernel leaves the old mapping as it is. */
  void *again = mremap(address, 0, (size_t)mapped, MREMAP_MAYMOVE);
  return again == MAP_FAILED ? NULL : again;
#else
  vm_address_t again = 0;
  vm_prot_t now, most;
  kern_return_t result =
    vm_remap(mach_task_self(), &again, (vm_size_t)mapped, 0, VM_FLAGS_ANYWHERE, mach_task_self(),
             (vm_address_t)(uintptr_t)address, FALSE, &now, &most, VM_INHERIT_SHARE);
  if (result == KERN_SUCCESS) return (void *)again;
  errno = ENOMEM;
  return NULL;
#endif
}

static void *in_place(void *const parts[PARTS], const uint64_t at[2]) {
  return at[0] < PARTS && parts[at[0]] ? (char *)parts[at[0]] + at[1] : NULL;
}

/* The last reference frees. Under the lock. */
static void drop(shim_share *share) {
  if (--share->references > 0) return;
  for (shim_share **place = &table; *place; place = &(*place)->next) {
    if (*place != share) continue;
    *place = share->next;
    break;
  }
  shim_audience_free_shared(share->audience);
  free(share->node);
  free(share->facts);
  free(share);
}

/* Queues the event of the end, once. */
static void tell(shim_queue *queue, shim_node **node, int32_t value) {
  shim_node *event = *node;
  if (!event) return;
  *node = NULL;
  event->event.value = value;
  shim_queue_push(queue, event);
}

static void tell_when_empty(shim_share *share) {
  if (share->is_closing && !share->seats && share->queue) tell(share->queue, &share->node, 0);
}

/* Ends the share for all seats, and wakes them. Under the lock; the owner has the words mapped still. */
static void end(shim_share *share, uint32_t why) {
  bool is_closed = why == SHIM_SHARE_CLOSED;
  if (atomic_load(&share->ended) != 0 && !is_closed) return;
  atomic_store(&share->ended, why);
  if (is_closed) atomic_store(&share->closed, 1);
  for (shim_seat *seat = share->seats; seat; seat = seat->next) {
    if (is_closed && seat->mutex) shim_mutex_recheck(seat->mutex);
    shim_revision_recheck(seat->revision);
    tell(seat->queue, is_closed ? &seat->closed : &seat->gone, (int32_t)why);
  }
}

static shim_node *make_node(uint32_t request) {
  shim_node *node = calloc(1, sizeof *node);
  if (node) node->event = (shim_event){.kind = SHIM_EVENT_WAIT, .request = request};
  return node;
}

shim_share *shim_share_create(shim_queue *queue, const shim_share_place *place, shim_audience *audience,
                              const char *facts, uint32_t length, const uint64_t secret[2]) {
  shim_share *share = calloc(1, sizeof *share);
  if (!share) return NULL;
  share->node = make_node(0);
  share->facts = malloc(length > 0 ? length : 1);
  if (!share->node || !share->facts) {
    free(share->node);
    free(share->facts);
    free(share);
    return NULL;
  }
  memcpy(share->facts, facts, length);
  share->facts_length = length;
  share->place = *place;
  memcpy(share->secret, secret, sizeof share->secret);
  share->audience = shim_audience_share(audience);
  share->references = 1;
  share->queue = queue; /* not retained: its end is the end of the share */
  pthread_mutex_lock(&table_lock);
  share->id = ++last_id;
  share->next = table;
  table = share;
  pthread_mutex_unlock(&table_lock);
  return share;
}

double shim_share_id(const shim_share *share) { return (double)share->id; }

uint32_t shim_share_close(shim_share *share, uint32_t request) {
  pthread_mutex_lock(&table_lock);
  share->node->event.request = request;
  share->is_closing = true;
  end(share, SHIM_SHARE_CLOSED);
  uint32_t count = 0;
  for (shim_seat *seat = share->seats; seat; seat = seat->next) count++;
  tell_when_empty(share);
  pthread_mutex_unlock(&table_lock);
  return count;
}

void shim_share_free(shim_share *share) {
  pthread_mutex_lock(&table_lock);
  end(share, SHIM_SHARE_CLOSED);
  share->queue = NULL;
  drop(share);
  pthread_mutex_unlock(&table_lock);
}

static void on_server_gone(void *context) {
  pthread_mutex_lock(&table_lock);
  end(context, SHIM_SHARE_SERVER_GONE);
  pthread_mutex_unlock(&table_lock);
}

shim_death_call shim_share_death_call(void) { return on_server_gone; }

/* Ends the mappings that a seat has still. */
static void unmap(shim_seat *seat) {
  const uint64_t *mapped = seat->share->place.mapped;
  for (uint32_t part = 0; part < PARTS; part++) {
    if (!seat->parts[part]) continue;
    if (part != DATA) {
      (void)munmap(seat->parts[part], (size_t)mapped[part]);
    } else if (seat->owns_data) {
      /* An asynchronous operation of a dead realm may write there still: its range stays. */
      (void)shim_memory_retire(seat->parts[part], mapped[part]);
    }
  }
}

static int map_parts(shim_seat *seat) {
  const shim_share_place *place = &seat->share->place;
  for (uint32_t part = 0; part < PARTS; part++) {
    if (place->address[part] == 0) continue;
    seat->parts[part] = map_again((void *)(uintptr_t)place->address[part], place->mapped[part]);
    if (!seat->parts[part]) return -errno;
  }
  seat->mutex = in_place(seat->parts, place->mutex);
  seat->turns = in_place(seat->parts, place->turns);
  seat->revision = in_place(seat->parts, place->revision);
  return 0;
}

static shim_share *find(const uint64_t key[3], int64_t *error) {
  shim_share *share = table;
  while (share && share->id != key[0]) share = share->next;
  bool was_here = !share && key[0] != 0 && key[0] <= last_id;
  *error = was_here ? -EPIPE : -ENOENT;
  /* Both halves, whether or not the first differs. */
  if (share && ((share->secret[0] ^ key[1]) | (share->secret[1] ^ key[2])) != 0) return NULL;
  if (share && atomic_load(&share->ended) != 0) {
    *error = -EPIPE;
    return NULL;
  }
  return share;
}

shim_seat *shim_seat_take(shim_queue *queue, uint32_t gone, uint32_t closed, const uint64_t key[3],
                          int64_t out[5]) {
  shim_seat *seat = calloc(1, sizeof *seat);
  shim_node *gone_node = make_node(gone), *closed_node = make_node(closed);
  bool has_memory = seat && gone_node && closed_node;
  pthread_mutex_lock(&table_lock);
  shim_share *share = find(key, &out[4]);
  if (!has_memory) out[4] = -ENOMEM;
  if (has_memory && share) {
    *seat = (shim_seat){.share = share, .gone = gone_node, .closed = closed_node, .owns_data = true};
    out[4] = map_parts(seat);
    if (out[4] == 0) {
      seat->queue = shim_queue_retain(queue);
      seat->next = share->seats;
      share->seats = seat;
      share->references++;
      for (uint32_t part = 0; part < PARTS; part++) out[part] = (int64_t)(uintptr_t)seat->parts[part];
      pthread_mutex_unlock(&table_lock);
      return seat;
    }
    unmap(seat);
  }
  pthread_mutex_unlock(&table_lock);
  free(seat);
  free(gone_node);
  free(closed_node);
  return NULL;
}

const char *shim_seat_facts(const shim_seat *seat, uint32_t *length) {
  *length = seat->share->facts_length;
  return seat->share->facts;
}

shim_audience *shim_seat_audience(shim_seat *seat) { return seat->share->audience; }

const void *shim_seat_ended(const shim_seat *seat) { return (const void *)&seat->share->ended; }

void shim_seat_disown_data(shim_seat *seat) { seat->owns_data = false; }

/* Takes a seat out of its share. Under the lock. */
static void leave(shim_seat *seat) {
  shim_share *share = seat->share;
  for (shim_seat **place = &share->seats; *place; place = &(*place)->next) {
    if (*place != seat) continue;
    *place = seat->next;
    break;
  }
  unmap(seat);
  tell_when_empty(share);
  shim_queue_drop(seat->queue);
  drop(share);
  free(seat->gone);
  free(seat->closed);
  free(seat);
}

void shim_seat_leave(shim_seat *seat) {
  pthread_mutex_lock(&table_lock);
  leave(seat);
  pthread_mutex_unlock(&table_lock);
}

static int32_t note(shim_seat *seat, int32_t result) {
  bool is_locked = result == SHIM_MUTEX_LOCKED || result == SHIM_MUTEX_LOCKED_ABANDONED;
  if (is_locked) atomic_store(&seat->holds, 1);
  return result;
}

static uint32_t owner_of(const shim_seat *seat) { return (uint32_t)seat->share->place.owner; }

int32_t shim_seat_try(shim_seat *seat) { return note(seat, shim_mutex_try(seat->mutex, owner_of(seat))); }

int32_t shim_seat_wait_until(shim_seat *seat, uint32_t spin, uint64_t deadline,
                             const _Atomic uint32_t *cancelled) {
  return note(seat, shim_mutex_wait_until(seat->mutex, owner_of(seat), spin, deadline, cancelled));
}

int32_t shim_seat_wait(shim_seat *seat, uint32_t spin, double milliseconds) {
  return shim_seat_wait_until(seat, spin, shim_deadline(milliseconds), &seat->share->closed);
}

void *shim_seat_mutex(const shim_seat *seat) { return seat->mutex; }

int32_t shim_seat_unlock(shim_seat *seat) {
  if (atomic_exchange(&seat->holds, 0) == 0) return -EPERM;
  return shim_turn_unlock(seat->mutex, seat->turns, owner_of(seat));
}

int32_t shim_seat_abandon(shim_seat *seat) {
  if (atomic_exchange(&seat->holds, 0) == 0) return 0;
  int32_t held = shim_mutex_abandon(seat->mutex, owner_of(seat));
  shim_turn_give(seat->mutex, seat->turns);
  return held;
}

/* A realm died in a seat. */
static void on_death(shim_seat *seat) {
  if (seat->mutex) {
    bool held = shim_seat_abandon(seat) != 0;
    /* It may have been the waiter that was woken last: the others look. */
    if (!held) shim_mutex_recheck(seat->mutex);
  }
  leave(seat);
}

static shim_seat *seat_of(const shim_share *share, const shim_queue *queue) {
  shim_seat *seat = share->seats;
  while (seat && seat->queue != queue) seat = seat->next;
  return seat;
}

void shim_realms_gone(shim_queue *queue) {
  pthread_mutex_lock(&table_lock);
  for (shim_share *share = table, *next; share; share = next) {
    next = share->next;
    share->references++;
    for (shim_seat *seat; (seat = seat_of(share, queue));) on_death(seat);
    if (share->queue == queue) {
      /* The owner's reference stays: a link of the dead realm may still call on_server_gone. */
      end(share, SHIM_SHARE_SERVER_GONE);
      share->queue = NULL;
    }
    drop(share);
  }
  pthread_mutex_unlock(&table_lock);
}
