/* internal.h: what the shim's files share among themselves. */
#ifndef XPC_SHMEM_INTERNAL_H
#define XPC_SHMEM_INTERNAL_H

#include <pthread.h>

#include "shim.h"

/* event_queue.c: a place for an event, allocated before the event is certain, so that no event is ever lost. */
typedef struct shim_node {
  struct shim_node *next;
  shim_event event;
  shim_link *of;   /* retained; told by shim_link_drained when the event is taken, or NULL */
  uint64_t weight; /* of the event's message: the bytes that it counts for in `of` */
} shim_node;

/* Appends the node; the queue owns it, and what its event holds, from now on. */
void shim_queue_push(shim_queue *queue, shim_node *node);

shim_queue *shim_queue_retain(shim_queue *queue);
void shim_queue_drop(shim_queue *queue);
uint32_t shim_queue_next_id(shim_queue *queue);

/* The lock of a queue guards its list of waits and its list of links, too. */
typedef struct shim_wait shim_wait;
pthread_mutex_t *shim_queue_lock(shim_queue *queue);
pthread_cond_t *shim_queue_changed(shim_queue *queue); /* broadcast when a wait leaves the list */
shim_wait **shim_queue_waits(shim_queue *queue);
shim_link **shim_queue_links(shim_queue *queue);

/* waiter.c: cancels the waits of a list. Under the lock of their queue. */
void shim_wait_cancel_all(shim_wait *waits);

/* doorbell.c: makes a pair of connected stream sockets. 0 or a negative errno. */
int32_t shim_bell_pair(int32_t ends[2]);

/* weight.c: roughly the bytes of memory that a message holds. */
uint64_t shim_message_weight(void *message);

/* links.c and link_teardown.c */
void shim_link_drained(shim_link *link,
                       uint64_t weight); /* an event that counted was taken; drops its reference */
void shim_link_reject(shim_link *link); /* cancels a link that nobody took, and drops its owner's reference */
void shim_link_hand_over(shim_link *link); /* the owner of the queue owns the link from now on */
/* Takes the ownership of a link of this list that the owner of the queue has, or returns NULL. Under the lock of
 * their queue. */
shim_link *shim_links_take_owned(shim_link *links);

/* words.c: waits between processes on a 32-bit word in shared memory. */

/* Sleeps while *word is `expected`, for at most `nanoseconds` (0: no limit). 0 when woken (perhaps for
 * nothing) or when the word differs, -ETIMEDOUT when the time is over. */
int shim_wait_on(void *word, uint32_t expected, uint64_t nanoseconds);
/* Wakes one or all of those; whether there was one. */
bool shim_wake(void *word, bool all);

uint64_t shim_now(void); /* monotonic nanoseconds */
/* A point in time from milliseconds (below 0, or too far to matter: UINT64_MAX, never). */
uint64_t shim_deadline(double milliseconds);

/* A cancel that comes between the look at its flag and the sleep is seen after this many nanoseconds. */
#define SHIM_LOOK_AGAIN 200000000u

/* mutex.c: the wait behind both forms of it. `cancelled` (may be NULL) is looked at after each wake. */
int32_t shim_mutex_wait_until(void *word, uint32_t owner, uint32_t spin, uint64_t deadline,
                              const _Atomic uint32_t *cancelled);

/* Wakes the waits for the mutex so that they see a cancel; those that are just falling asleep see it within
 * SHIM_LOOK_AGAIN. */
void shim_mutex_recheck(void *word);

/* revisions.c: the same for revisions, compared as doubles. Returns an enum shim_wait_result. */
int32_t shim_revision_wait_until(void *revision, void *parked, double after, uint32_t spin, uint64_t deadline,
                                 const _Atomic uint32_t *cancelled);
/* Wakes the waits on a revision so that they see a cancel; those that are just falling asleep see it within
 * SHIM_LOOK_AGAIN, since the word is not ours to change. */
void shim_revision_recheck(void *revision);

/* turns.c: has all who wait for the lock look again, whatever its words say: for the survivors of a death. */
void shim_turn_force(void *words);
/* The same for those who wait for any lock. */
void shim_turn_force_all(void *turns);

/* revisions.c: another reference to an audience, which several threads use from now on; called by the thread that used
 * it so far. And its end. */
shim_audience *shim_audience_share(shim_audience *audience);
void shim_audience_free_shared(shim_audience *audience);

/* realms.c: the realm of the queue died: ends its seats, and what it shared. Its waits must have ended. */
void shim_realms_gone(shim_queue *queue);
/* The wait behind both forms of it, for the mutex of a seat; and the mutex. */
int32_t shim_seat_wait_until(shim_seat *seat, uint32_t spin, uint64_t deadline,
                             const _Atomic uint32_t *cancelled);
void *shim_seat_mutex(const shim_seat *seat);

/* The ways of shim_wait_any where the kernel cannot sleep on several words, and where it can sleep on none. */
int32_t shim_sleep_on_threads(const shim_sleep *sleeps, uint32_t number, uint64_t deadline);
void shim_sleep_by_pauses(const shim_sleep *sleeps, uint32_t number, uint64_t deadline);

/* locks.c: releases what a dead owner held, and wakes nobody. */
void shim_locks_abandon(shim_locks *locks, uint32_t owner);

/* mutex.c: the pid of this process. */
uint32_t shim_own_pid(void);

/* Spinning for `spin` microseconds, or until the deadline for SHIM_SPIN_ONLY. Starts as {.spin = …}. */
typedef struct shim_spin {
  uint32_t spin;
  uint32_t steps;
  uint64_t end;
} shim_spin;
/* Pauses; false when the time of the spin is over. Looks at the clock now and then only. */
bool shim_spin_on(shim_spin *spin, uint64_t deadline);

#if defined(__linux__)
/* cgroup.c: the bytes that the control group of this process may still take; UINT64_MAX for no limit. */
uint64_t shim_cgroup_available(void);
#endif

#endif
