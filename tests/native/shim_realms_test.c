/*
 * shim_realms_test.c: regions that several realms of a process use. Here a realm is a thread with a queue.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

enum { OWNER = 7, GONE = 1, CLOSED = 2, EMPTY = 3, TURNS_AT = 1024, PARTS = 4 };
static const char FACTS[] = "what it is";
static const uint64_t SECRET[2] = {0x1234567890abcdefu, 42};

/* Started again for nothing. */
int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

/* What a realm shares: data, and the words of a mutex and a revision. */
struct owner {
  struct inbox *inbox;
  shim_mapping data;
  shim_mapping words;
  shim_audience *audience;
  shim_share *share;
  uint64_t key[3];
};

static uint64_t number_of(const void *address) { return (uint64_t)(uintptr_t)address; }

static void share(struct owner *owner) {
  shim_share_place place = {.address = {number_of(owner->data.address), 0, number_of(owner->words.address)},
                            .mapped = {owner->data.mapped, 0, owner->words.mapped},
                            .mutex = {2, 0},
                            .revision = {2, 8},
                            .turns = {2, TURNS_AT},
                            .owner = OWNER};
  owner->share = shim_share_create(owner->inbox->queue, &place, owner->audience, FACTS, sizeof FACTS, SECRET);
  if (owner->share == NULL) abort();
  owner->key[0] = (uint64_t)shim_share_id(owner->share);
  memcpy(&owner->key[1], SECRET, sizeof SECRET);
}

static void begin(struct owner *owner) {
  memset(owner, 0, sizeof *owner);
  owner->inbox = open_inbox();
  owner->audience = shim_audience_create();
  if (owner->audience == NULL || shim_memory_create(65536, &owner->data) != 0 ||
      shim_memory_create(4096, &owner->words) != 0) {
    abort();
  }
  share(owner);
}

static void unmap_owner(struct owner *owner) {
  CHECK(shim_memory_close(owner->data.address, owner->data.mapped) == 0);
  CHECK(shim_memory_close(owner->words.address, owner->words.mapped) == 0);
  shim_audience_free(owner->audience);
}

/* Closes, and waits until all seats are empty. */
static void close_share(struct owner *owner) {
  shim_event event;
  (void)shim_share_close(owner->share, EMPTY);
  if (next_event(owner->inbox, &event)) CHECK(event.kind == SHIM_EVENT_WAIT && event.request == EMPTY);
  shim_share_free(owner->share);
}

static void end(struct owner *owner) {
  close_share(owner);
  unmap_owner(owner);
  close_inbox(owner->inbox);
}

static shim_seat *take(shim_queue *queue, const struct owner *owner, int64_t out[5]) {
  return shim_seat_take(queue, GONE, CLOSED, owner->key, out);
}

/* -------------------------------------------------------------------------------------------- keys ---- */

static bool is_refused(struct owner *owner, uint64_t id, uint64_t first, uint64_t second, int64_t error) {
  uint64_t key[3] = {id, first, second};
  int64_t out[5] = {0};
  return shim_seat_take(owner->inbox->queue, GONE, CLOSED, key, out) == NULL && out[4] == error;
}

static void keys(void) {
  struct owner owner;
  begin(&owner);
  uint64_t id = owner.key[0];
  CHECK(is_refused(&owner, id, SECRET[0] ^ 1, SECRET[1], -ENOENT));
  CHECK(is_refused(&owner, id, SECRET[0], SECRET[1] ^ 1, -ENOENT));
  CHECK(is_refused(&owner, id + 1, SECRET[0], SECRET[1], -ENOENT));
  CHECK(is_refused(&owner, 0, SECRET[0], SECRET[1], -ENOENT));
  CHECK(is_refused(&owner, UINT64_MAX, SECRET[0], SECRET[1], -ENOENT));
  int64_t out[5];
  shim_seat *seat = take(owner.inbox->queue, &owner, out);
  REQUIRE(CHECK(seat != NULL && out[4] == 0));
  uint32_t length;
  CHECK(memcmp(shim_seat_facts(seat, &length), FACTS, sizeof FACTS) == 0 && length == sizeof FACTS);
  char *theirs = (char *)(uintptr_t)out[0];
  CHECK(theirs != owner.data.address && out[1] == 0 && out[3] == 0);
  theirs[100] = 9;
  CHECK(((char *)owner.data.address)[100] == 9);
  shim_seat_leave(seat);
  end(&owner);
  struct owner next;
  begin(&next);
  CHECK(is_refused(&next, id, SECRET[0], SECRET[1], -EPIPE));
  end(&next);
}

/* ------------------------------------------------------------------------------------------- the end ---- */

struct sleeper {
  shim_seat *seat;
  int64_t *out;
  _Atomic int32_t result;
};

static void *sleep_for_mutex(void *argument) {
  struct sleeper *sleeper = argument;
  atomic_store(&sleeper->result, shim_seat_wait(sleeper->seat, 0, -1));
  return NULL;
}

static void *sleep_for_revision(void *argument) {
  struct sleeper *sleeper = argument;
  char *words = (char *)(uintptr_t)sleeper->out[2];
  double revision = shim_revision_wait(words + 8, words + 512, shim_seat_ended(sleeper->seat), 0, 0, -1);
  atomic_store(&sleeper->result, revision == 0 ? 1 : 0);
  return NULL;
}

static void closing(void) {
  struct owner owner;
  begin(&owner);
  struct inbox *inbox = open_inbox();
  int64_t out[5];
  shim_seat *seat = take(inbox->queue, &owner, out);
  REQUIRE(CHECK(seat != NULL));
  CHECK(shim_mutex_try(owner.words.address, OWNER) == SHIM_MUTEX_LOCKED);
  struct sleeper sleepers[2] = {{.seat = seat, .out = out}, {.seat = seat, .out = out}};
  pthread_t threads[2];
  REQUIRE(CHECK(pthread_create(&threads[0], NULL, sleep_for_mutex, &sleepers[0]) == 0));
  REQUIRE(CHECK(pthread_create(&threads[1], NULL, sleep_for_revision, &sleepers[1]) == 0));
  CHECK(shim_share_close(owner.share, EMPTY) == 1);
  CHECK(is_refused(&owner, owner.key[0], SECRET[0], SECRET[1], -EPIPE));
  for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(atomic_load(&sleepers[0].result) == SHIM_MUTEX_CANCELLED && atomic_load(&sleepers[1].result) == 1);
  shim_event event;
  CHECK(next_event(inbox, &event) && event.request == CLOSED && event.value == SHIM_SHARE_CLOSED);
  CHECK(shim_queue_drain(owner.inbox->queue, &event, 1) == 0);
  /* The owner may unmap its own: the seat has mappings of its own. */
  unmap_owner(&owner);
  ((char *)(uintptr_t)out[0])[0] = 1;
  shim_seat_leave(seat);
  CHECK(next_event(owner.inbox, &event) && event.request == EMPTY);
  shim_share_free(owner.share);
  close_inbox(owner.inbox);
  close_inbox(inbox);
}

static void server_gone(void) {
  struct owner owner;
  begin(&owner);
  int64_t out[5];
  struct inbox *inbox = open_inbox();
  shim_seat *seat = take(inbox->queue, &owner, out);
  REQUIRE(CHECK(seat != NULL));
  for (int i = 0; i < 2; i++) shim_share_death_call()(owner.share); /* once is told */
  shim_event event;
  CHECK(next_event(inbox, &event) && event.request == GONE && event.value == SHIM_SHARE_SERVER_GONE);
  CHECK(shim_queue_drain(inbox->queue, &event, 1) == 0);
  CHECK(shim_word_load(shim_seat_ended(seat)) == SHIM_SHARE_SERVER_GONE);
  /* The mutex outlives the server. */
  CHECK(shim_seat_try(seat) == SHIM_MUTEX_LOCKED && shim_seat_unlock(seat) == 0);
  CHECK(shim_seat_unlock(seat) == -EPERM);
  CHECK(shim_share_close(owner.share, EMPTY) == 1);
  CHECK(next_event(inbox, &event) && event.request == CLOSED);
  shim_seat_leave(seat);
  CHECK(next_event(owner.inbox, &event) && event.request == EMPTY);
  shim_share_free(owner.share);
  unmap_owner(&owner);
  close_inbox(owner.inbox);
  close_inbox(inbox);
}

/* ------------------------------------------------------------------------------------------- deaths ---- */

struct mortal {
  struct owner *owner;
  int64_t out[5];
  bool waits;
};

/* Ends without a release of anything, as a worker that is terminated. */
static void *live_and_die(void *argument) {
  struct mortal *mortal = argument;
  struct inbox *inbox = open_inbox();
  shim_seat *seat = take(inbox->queue, mortal->owner, mortal->out);
  if (!CHECK(seat != NULL)) return NULL;
  if (mortal->waits) CHECK(shim_seat_wait_async(inbox->queue, 9, seat, -1) == 0);
  else CHECK(shim_seat_wait(seat, 0, 20000) != SHIM_MUTEX_TIMED_OUT);
  free(inbox);
  return NULL;
}

static bool is_mapped(int64_t address) {
  unsigned char resident;
  return mincore((void *)(uintptr_t)address, 1, &resident) == 0;
}

static void run_and_die(struct mortal *mortal) {
  pthread_t thread;
  REQUIRE(CHECK(pthread_create(&thread, NULL, live_and_die, mortal) == 0));
  CHECK(pthread_join(thread, NULL) == 0);
}

static void deaths(void) {
  struct owner owner;
  begin(&owner);
  void *mutex = owner.words.address;
  struct mortal mortal = {.owner = &owner};
  ((char *)owner.data.address)[0] = 5;
  run_and_die(&mortal);
  CHECK(shim_mutex_try(mutex, OWNER) == SHIM_MUTEX_LOCKED_ABANDONED);
  /* The range of the data stays, without the data. */
  CHECK(!is_mapped(mortal.out[2]) && is_mapped(mortal.out[0]) && *(char *)(uintptr_t)mortal.out[0] == 0);
  /* One that dies while it waits takes nothing from the realm that holds the mutex, which is the same owner. */
  mortal.waits = true;
  run_and_die(&mortal);
  CHECK((shim_word_load(mutex) & SHIM_MUTEX_OWNER) == OWNER);
  CHECK(shim_mutex_unlock(mutex, OWNER) == 0);
  CHECK(shim_mutex_try(mutex, OWNER) == SHIM_MUTEX_LOCKED);
  CHECK(shim_mutex_unlock(mutex, OWNER) == 0);
  end(&owner);
}

/* A realm that shares, and dies when it is told to. */
static void *share_and_die(void *argument) {
  struct owner *owner = argument;
  owner->inbox = open_inbox();
  share(owner);
  return NULL;
}

static void death_of_the_owner(void) {
  struct owner owner;
  begin(&owner);
  struct owner first = owner;
  pthread_t thread;
  REQUIRE(CHECK(pthread_create(&thread, NULL, share_and_die, &owner) == 0));
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(is_refused(&first, owner.key[0], SECRET[0], SECRET[1], -EPIPE));
  free(owner.inbox);
  shim_share_free(owner.share); /* which a dead realm cannot */
  end(&first);
}

/* -------------------------------------------------------------------------------------------- stress ---- */

enum { REALMS = 4, ROUNDS = 2000 / FEWER };

struct realm {
  struct owner *owner;
  _Atomic uint32_t parked;
  uint64_t counted;
};

static void count(struct realm *realm, shim_seat *seat, const int64_t out[5]) {
  uint64_t *number = (uint64_t *)(uintptr_t)out[0];
  char *revision = (char *)(uintptr_t)out[2] + 8;
  for (int i = 0; i < 20; i++) {
    int32_t locked = shim_seat_wait(seat, 0, 20000);
    if (locked == SHIM_MUTEX_CANCELLED) return;
    if (!CHECK(locked == SHIM_MUTEX_LOCKED)) return;
    number[0] = number[0] + 1;
    realm->counted++;
    (void)shim_revision_commit(shim_seat_audience(seat), revision, 0);
    CHECK(shim_seat_unlock(seat) == 0);
  }
}

static void *come_and_go(void *argument) {
  struct realm *realm = argument;
  struct inbox *inbox = open_inbox();
  for (int round = 0; round < ROUNDS / 20; round++) {
    int64_t out[5];
    shim_seat *seat = take(inbox->queue, realm->owner, out);
    if (seat == NULL) {
      CHECK(out[4] == -EPIPE);
      break;
    }
    count(realm, seat, out);
    shim_seat_leave(seat);
  }
  if (realm->counted % 40 == 0) {
    close_inbox(inbox);
  } else {
    free(inbox); /* its thread ends, and so does its queue */
  }
  return NULL;
}

/* Realms come and go while the owner changes its audience, counts too, and perhaps closes in between. */
static void run_stress(bool closes) {
  struct owner owner;
  begin(&owner);
  struct realm realms[REALMS];
  pthread_t threads[REALMS];
  memset(realms, 0, sizeof realms);
  for (int i = 0; i < REALMS; i++) {
    realms[i].owner = &owner;
    REQUIRE(CHECK(pthread_create(&threads[i], NULL, come_and_go, &realms[i]) == 0));
  }
  _Atomic uint32_t parked = SHIM_PARKED_THREAD;
  uint64_t counted = 0, *number = owner.data.address;
  for (int round = 0; round < ROUNDS / (closes ? 8 : 1); round++) {
    int32_t member = shim_audience_add(owner.audience, &parked, 1, -1);
    CHECK(member >= 0);
    if (shim_mutex_wait(owner.words.address, OWNER, 0, 20000) == SHIM_MUTEX_LOCKED) {
      number[0] = number[0] + 1;
      counted++;
      CHECK(shim_mutex_unlock(owner.words.address, OWNER) == 0);
    }
    (void)shim_revision_commit(owner.audience, (char *)owner.words.address + 8, 0);
    shim_audience_remove(owner.audience, member);
  }
  if (closes) close_share(&owner);
  for (int i = 0; i < REALMS; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    counted += realms[i].counted;
  }
  CHECK(number[0] == counted);
  CHECK(closes || counted == (uint64_t)ROUNDS * (REALMS + 1));
  if (!closes) close_share(&owner);
  unmap_owner(&owner);
  close_inbox(owner.inbox);
}

static void stress(void) { run_stress(false); }

static void stress_and_close(void) {
  for (int round = 0; round < 10; round++) run_stress(true);
}

const struct test tests[] = {
  {"realms: a seat is taken by number and secret only", keys},
  {"realms: closing ends the waits in all seats, and waits for them", closing},
  {"realms: a server that is gone", server_gone},
  {"realms: a realm that dies in its seat gives back the mutex, and its mappings end", deaths},
  {"realms: a realm that dies has shared nothing any more", death_of_the_owner},
  {"realms: many at once", stress},
  {"realms: many at once, while the owner closes", stress_and_close},
  {NULL, NULL},
};
