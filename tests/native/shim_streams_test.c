/*
 * shim_streams_test.c: frames in slots: no reader sees another frame than it leased, and no writer waits.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "shim.h"
#include "shmem_layout.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

#define READERS 4
#define WORDS 512 /* of a frame */

/* All that a stream's sides share, as in the mappings of a service. */
struct shared {
  _Alignas(128) struct shmem_stream_header header;
  struct shmem_stream_leases leases[READERS];
  _Alignas(128) _Atomic uint64_t revision;
  _Alignas(128) _Atomic uint32_t parked; /* of the readers, together */
  _Alignas(128) _Atomic uint32_t writer_parked;
  _Atomic uint32_t gone[READERS];
  _Atomic uint32_t over;
  _Alignas(128) _Atomic uint64_t taken[READERS];
  _Atomic uint64_t dropped[READERS];
  _Atomic uint64_t torn; /* frames that a reader trusts, and that are not what was published */
  _Alignas(4096) uint64_t data[SHMEM_STREAM_MAX_SLOTS][WORDS];
};

static struct shared *map(int fd) {
  void *address = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) abort();
  return address;
}

static struct shared *share(int *fd) {
  *fd = memfd_create("stream", 0);
  if (*fd < 0 || ftruncate(*fd, sizeof(struct shared)) != 0) abort();
  return map(*fd);
}

static void let_go(struct shared *shared, int fd) {
  CHECK(munmap(shared, sizeof *shared) == 0 && close(fd) == 0);
}

static shim_stream_writer *write_to(struct shared *shared, uint32_t slots, shim_audience *audience) {
  return shim_stream_writer_create(&shared->header, slots, 0, audience, &shared->revision, 0);
}

static shim_stream_reader *read_from(struct shared *shared, uint32_t slots, int which, double last,
                                     shim_audience *audience) {
  return shim_stream_reader_create(&shared->header, slots, &shared->leases[which], last, audience,
                                   &shared->revision, 0);
}

static double publish_next(shim_stream_writer *writer) {
  int32_t slot = shim_stream_loan(writer, 0);
  return slot < 0 ? slot : shim_stream_publish(writer, (uint32_t)slot, 8, 0.5, NULL);
}

/* ------------------------------------------------------------------------------------ one after the other ---- */

static void arguments(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  const uint32_t wrong[] = {0, 1, SHMEM_STREAM_MAX_SLOTS + 1, UINT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(write_to(shared, wrong[i], audience) == NULL);
    CHECK(read_from(shared, wrong[i], 0, -1, audience) == NULL);
  }
  const double lasts[] = {-1, NAN, INFINITY, -INFINITY, 9007199254740992.0, 1e300};
  for (size_t i = 0; i < sizeof lasts / sizeof *lasts; i++) {
    CHECK(shim_stream_writer_create(&shared->header, 2, lasts[i], audience, &shared->revision, 0) == NULL);
    shim_stream_reader *reader = read_from(shared, 2, 0, lasts[i], audience); /* as one that begins */
    REQUIRE(reader != NULL);
    CHECK(shim_stream_reader_last(reader) == 0);
    shim_stream_reader_free(reader);
  }
  shim_stream_writer_free(NULL);
  shim_stream_reader_free(NULL);

  shim_stream_writer *writer = write_to(shared, 3, audience);
  const double lengths[] = {-1, NAN, INFINITY, 9007199254740992.0};
  CHECK(shim_stream_publish(writer, 0, 1, 0, NULL) == -1); /* not loaned */
  REQUIRE(shim_stream_loan(writer, 0) == 0);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    CHECK(shim_stream_publish(writer, 0, lengths[i], 0, NULL) == -1);
  }
  const uint32_t slots[] = {1, 3, 63, 64, UINT32_MAX};
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    CHECK(shim_stream_publish(writer, slots[i], 1, 0, NULL) == -1);
    shim_stream_drop(writer, slots[i]);
  }
  CHECK(shim_stream_publish(writer, 0, 0, NAN, NULL) == 1);
  CHECK(shim_stream_publish(writer, 0, 0, 0, NULL) == -1); /* once */
  shim_stream_reader_remove(writer, -1);
  shim_stream_reader_remove(writer, 0);
  shim_stream_reader_remove(writer, INT32_MAX);
  shim_stream_writer_free(writer);

  shim_stream_reader *reader = read_from(shared, 3, 0, -1, audience);
  shim_frame frame;
  CHECK(shim_stream_take(reader, false, NAN, &frame) == 0 && isnan(frame.timestamp));
  const double afters[] = {INFINITY, 9007199254740992.0, 1e300, 1};
  for (size_t i = 0; i < sizeof afters / sizeof *afters; i++) {
    CHECK(shim_stream_take(reader, false, afters[i], &frame) == -EAGAIN);
    CHECK(shim_stream_take(reader, true, afters[i], &frame) == -EAGAIN);
  }
  for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
    shim_stream_release(reader, slots[i], 1);
    CHECK(!shim_stream_holds(reader, slots[i], 1));
  }
  shim_stream_release(reader, 0, 2);
  shim_stream_release(reader, 0, NAN);
  CHECK(shared->leases[0].leased[0] == 1); /* it holds still */
  shim_stream_release(reader, 0, 1);
  shim_stream_release(reader, 0, 1);
  CHECK(shared->leases[0].leased[0] == 0);
  shim_stream_reader_free(reader);

  /* The numbers end where a double does not tell them apart. */
  writer = shim_stream_writer_create(&shared->header, 3, 9007199254740990.0, audience, &shared->revision, 0);
  CHECK(publish_next(writer) == 9007199254740991.0);
  CHECK(publish_next(writer) == -1);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

static void frames(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_stream_writer *writer = write_to(shared, 4, audience);
  shim_stream_reader *reader = read_from(shared, 4, 0, -1, audience);
  CHECK(shim_stream_reader_add(writer, &shared->leases[0], NULL) == 0);
  shim_frame frame;
  CHECK(shim_stream_take(reader, false, 0, &frame) == -EAGAIN);
  const uint64_t record[SHMEM_STREAM_RECORD_BYTES / 8] = {1, 2, 3, 4, 5, 6, 7, 8};
  int32_t slot = shim_stream_loan(writer, 0);
  CHECK(shim_stream_publish(writer, (uint32_t)slot, 100, 2.5, record) == 1);
  CHECK(shared->revision == 1 && memcmp(shared->header.slots[slot].record, record, sizeof record) == 0);
  CHECK(shared->header.newest == 1 * SHMEM_STREAM_SEQUENCE_UNIT + (uint64_t)slot);
  CHECK(shim_stream_take(reader, false, 0, &frame) == slot);
  CHECK(frame.sequence == 1 && frame.dropped == 0 && frame.length == 100 && frame.timestamp == 2.5);
  CHECK(shim_stream_take(reader, false, 0, &frame) == slot && frame.dropped == 0); /* a second lease of it */
  CHECK(shim_stream_take(reader, false, 1, &frame) == -EAGAIN);
  shim_stream_release(reader, (uint32_t)slot, 1);
  for (int i = 2; i <= 20; i++) CHECK(publish_next(writer) == i);
  CHECK(shim_stream_holds(reader, (uint32_t)slot, 1)); /* one lease is left, so the frame is */
  shim_frame newest;
  int32_t other = shim_stream_take(reader, false, 1, &newest);
  CHECK(other >= 0 && other != slot && newest.sequence == 20 && newest.dropped == 18);
  CHECK(shim_stream_reader_last(reader) == 20);
  shim_stream_release(reader, (uint32_t)slot, 1);
  for (int i = 21; i <= 23; i++) CHECK(publish_next(writer) == i);
  CHECK(!shim_stream_holds(reader, (uint32_t)slot, 1));
  CHECK(shim_stream_holds(reader, (uint32_t)other, 20));
  shim_stream_reader_free(reader);
  for (int i = 0; i < 4; i++) CHECK(shared->leases[0].leased[i] == 0);

  /* One that begins sees the newest first, and one that goes on counts what it missed. */
  reader = read_from(shared, 4, 1, -1, audience);
  CHECK(shim_stream_take(reader, false, 0, &frame) >= 0 && frame.sequence == 23 && frame.dropped == 0);
  shim_stream_reader_free(reader);
  reader = read_from(shared, 4, 1, 15, audience);
  CHECK(shim_stream_take(reader, false, 15, &frame) >= 0 && frame.sequence == 23 && frame.dropped == 7);
  shim_stream_reader_free(reader);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

static void loans(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_stream_writer *writer = write_to(shared, 3, audience);
  CHECK(shim_stream_loan(writer, 0) == 0 && shim_stream_loan(writer, 0) == 1);
  CHECK(shim_stream_loan(writer, SHIM_LOAN_UNWANTED) == 2);
  CHECK(shim_stream_loan(writer, 0) == -EBUSY && shim_stream_loan(writer, SHIM_LOAN_REVOKE) == -EBUSY);
  int32_t holders[READERS];
  CHECK(shim_stream_holders(writer, holders, READERS) == 0); /* it has them all itself */
  shim_stream_drop(writer, 1);
  shim_stream_drop(writer, 1);
  CHECK(shim_stream_loan(writer, 0) == 1);
  CHECK(shim_stream_publish(writer, 1, 0, 0, NULL) == 1 && shim_stream_publish(writer, 0, 0, 0, NULL) == 2);
  CHECK(shim_stream_publish(writer, 2, 0, 0, NULL) == 3);
  /* Frames 1, 2, 3 are in slots 1, 0, 2: the oldest goes first, the newest never. */
  CHECK(shim_stream_loan(writer, 0) == 1 && shim_stream_loan(writer, 0) == 0);
  CHECK(shim_stream_loan(writer, SHIM_LOAN_REVOKE) == -EBUSY);
  shim_stream_drop(writer, 1);
  shim_stream_drop(writer, 0);

  shim_stream_reader *first = read_from(shared, 3, 0, -1, audience);
  shim_stream_reader *second = read_from(shared, 3, 1, -1, audience);
  _Atomic uint32_t gone = 0;
  CHECK(shim_stream_reader_add(writer, &shared->leases[0], &gone) == 0);
  CHECK(shim_stream_reader_add(writer, &shared->leases[1], NULL) == 1);
  shim_frame frame, next;
  int32_t slot = shim_stream_take(first, false, 0, &frame);
  CHECK(frame.sequence == 3 && publish_next(writer) == 4);
  int32_t other = shim_stream_take(second, false, 0, &next);
  CHECK(next.sequence == 4 && publish_next(writer) == 5);
  CHECK(shim_stream_loan(writer, 0) == -EBUSY);
  CHECK(shim_stream_holders(writer, holders, READERS) == 2 && holders[0] == 0 && holders[1] == 1);
  CHECK(shim_stream_holders(writer, holders, 1) == 1);
  CHECK(shim_stream_holds(first, (uint32_t)slot, 3) && shim_stream_holds(second, (uint32_t)other, 4));
  /* The oldest lease is taken back. Its reader learns that, and its word does not keep the next frame. */
  CHECK(shim_stream_loan(writer, SHIM_LOAN_REVOKE) == slot);
  CHECK(!shim_stream_holds(first, (uint32_t)slot, 3) && shim_stream_holds(second, (uint32_t)other, 4));
  CHECK(shim_stream_publish(writer, (uint32_t)slot, 0, 0, NULL) == 6 && publish_next(writer) == 7);
  /* The slot comes to the reader again, while the old lease is still open. */
  CHECK(shim_stream_loan(writer, 0) == slot && shim_stream_publish(writer, (uint32_t)slot, 0, 0, NULL) == 8);
  CHECK(shim_stream_take(first, false, 0, &frame) == slot && frame.sequence == 8);
  shim_stream_release(first, (uint32_t)slot, 3);
  CHECK(shim_stream_holds(first, (uint32_t)slot, 8) && shared->leases[0].leased[slot] == 8);
  CHECK(publish_next(writer) == 9);
  CHECK(shim_stream_loan(writer, 0) == -EBUSY);
  /* Whoever is dead holds nothing. */
  atomic_store(&gone, 1);
  CHECK(shim_stream_holders(writer, holders, READERS) == 1 && holders[0] == 1);
  CHECK(shim_stream_loan(writer, 0) == slot);
  shim_stream_drop(writer, (uint32_t)slot);
  CHECK(shim_stream_publish(writer, (uint32_t)slot, 0, 0, NULL) == -1);
  CHECK(shim_stream_loan(writer, 0) == slot && shim_stream_loan(writer, 0) == -EBUSY);
  shim_stream_reader_remove(writer, 1);
  CHECK(shim_stream_loan(writer, 0) == other);
  /* Places are used again. */
  shim_stream_reader_remove(writer, 0);
  for (int i = 0; i < 100; i++) CHECK(shim_stream_reader_add(writer, &shared->leases[2], NULL) == i);
  shim_stream_reader_remove(writer, 50);
  CHECK(shim_stream_reader_add(writer, &shared->leases[2], NULL) == 50);
  shim_stream_reader_free(first);
  shim_stream_reader_free(second);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

static void every_frame(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_stream_writer *writer = write_to(shared, 4, audience);
  for (int i = 1; i <= 6; i++) CHECK(publish_next(writer) == i);
  shim_stream_reader *reader = read_from(shared, 4, 0, -1, audience);
  CHECK(shim_stream_reader_add(writer, &shared->leases[0], NULL) == 0);
  shim_stream_reader_want_every(reader);
  CHECK(shared->leases[0].cursor == 6); /* the newest is the first to see */
  CHECK(publish_next(writer) == 7 && publish_next(writer) == 8);
  CHECK(shim_stream_loan(writer, SHIM_LOAN_UNWANTED) == 0); /* frame 5's, which nobody wants */
  CHECK(shim_stream_loan(writer, SHIM_LOAN_UNWANTED) == -EBUSY);
  int32_t holders[READERS];
  CHECK(shim_stream_holders(writer, holders, READERS) == 0); /* it leases nothing */
  shim_stream_drop(writer, 0);
  shim_frame frame;
  for (int number = 6; number <= 8; number++) {
    int32_t slot = shim_stream_take(reader, true, shim_stream_reader_last(reader), &frame);
    CHECK(slot >= 0 && frame.sequence == number && frame.dropped == 0);
    CHECK(shared->leases[0].cursor == (uint64_t)number + 1);
    shim_stream_release(reader, (uint32_t)slot, number);
  }
  CHECK(shim_stream_take(reader, true, 8, &frame) == -EAGAIN);
  /* One that is taken once more does not take the cursor back. */
  int32_t slot = shim_stream_take(reader, true, 6, &frame);
  CHECK(frame.sequence == 7 && shared->leases[0].cursor == 9 && shim_stream_reader_last(reader) == 8);
  shim_stream_release(reader, (uint32_t)slot, 7);
  /* Whoever waits for a later one says that it does not want those before. */
  CHECK(shim_stream_take(reader, true, 11, &frame) == -EAGAIN && shared->leases[0].cursor == 12);
  for (int i = 9; i <= 12; i++) {
    slot = shim_stream_loan(writer, SHIM_LOAN_UNWANTED);
    CHECK(slot >= 0 && shim_stream_publish(writer, (uint32_t)slot, 0, 0, NULL) == i);
  }
  slot = shim_stream_take(reader, true, 11, &frame);
  CHECK(slot >= 0 && frame.sequence == 12 && frame.dropped == 3);
  /* A writer that is not patient overtakes it, and it sees how far. */
  for (int i = 13; i <= 22; i++) CHECK(publish_next(writer) == i);
  CHECK(shim_stream_holds(reader, (uint32_t)slot, 12));
  CHECK(shim_stream_take(reader, true, 12, &frame) >= 0 && frame.sequence == 20 && frame.dropped == 7);
  /* One that goes on from an earlier generation begins after the frame that it had. */
  shim_stream_reader *next = read_from(shared, 4, 1, 20, audience);
  shim_stream_reader_want_every(next);
  CHECK(shared->leases[1].cursor == 21);
  CHECK(shim_stream_take(next, true, 20, &frame) >= 0 && frame.sequence == 21 && frame.dropped == 0);
  shim_stream_reader_free(next);
  shim_stream_reader_free(reader);
  CHECK(shared->leases[0].cursor == 0 && shared->leases[1].cursor == 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

static uint32_t random_state = 1;
static uint64_t random_word(void) {
  uint64_t word = 0;
  for (int i = 0; i < 4; i++) {
    random_state = random_state * 1664525u + 1013904223u;
    word = word << 16 | random_state >> 16;
  }
  switch (word % 7) {
    case 0: return word % 8;
    case 1: return (word % 8) * SHMEM_STREAM_SEQUENCE_UNIT + word % 256;
    case 2: return UINT64_MAX - word % 4;
    case 3: return (UINT64_C(1) << 53) - word % 3;
    case 4: return SHMEM_STREAM_TAKING | word % 8;
    default: return word;
  }
}

/* A server that writes what it likes: whatever is taken is in range, and nothing takes for ever. */
static void hostile_header(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_stream_reader *reader = read_from(shared, 5, 0, -1, audience);
  shim_stream_reader_want_every(reader);
  for (int round = 0; round < 200000 / FEWER; round++) {
    uint64_t *words = (uint64_t *)(void *)&shared->header;
    shared->header.newest = random_word();
    for (int i = 0; i < 8; i++) {
      shared->header.slots[i].sequence = random_word();
      shared->header.slots[i].length = random_word();
    }
    words[(uint64_t)round % (sizeof shared->header / 8)] = random_word();
    shim_frame frame;
    double after = shim_stream_reader_last(reader);
    int32_t slot = shim_stream_take(reader, round % 2, round % 3 ? after : 0, &frame);
    CHECK(slot == -EAGAIN || (slot >= 0 && slot < 5));
    if (slot < 0) continue;
    CHECK(frame.sequence >= 1 && frame.sequence < 9007199254740992.0);
    CHECK(frame.length >= 0 && frame.dropped >= 0);
    (void)shim_stream_holds(reader, (uint32_t)slot, frame.sequence);
    if (round % 5) shim_stream_release(reader, (uint32_t)slot, frame.sequence);
  }
  for (size_t i = 5; i < SHMEM_STREAM_MAX_SLOTS; i++) CHECK(shared->leases[0].leased[i] == 0);
  shim_stream_reader_free(reader);
  shim_audience_free(audience);
  let_go(shared, fd);
}

/* A reader that writes what it likes keeps slots from the writer, and nothing else. */
static void hostile_leases(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_stream_writer *writer = write_to(shared, 4, audience);
  CHECK(shim_stream_reader_add(writer, &shared->leases[0], NULL) == 0);
  uint64_t last = 0;
  for (int round = 0; round < 200000 / FEWER; round++) {
    shared->leases[0].cursor = random_word();
    for (int i = 0; i < 6; i++) {
      shared->leases[0].leased[i] = round % 2 ? random_word() : shared->header.slots[i].sequence;
    }
    uint32_t flags = (uint32_t)round % 4;
    int32_t slot = shim_stream_loan(writer, flags);
    if ((flags & SHIM_LOAN_REVOKE) != 0) CHECK(slot >= 0);
    CHECK(slot == -EBUSY || (slot >= 0 && slot < 4));
    int32_t holders[READERS];
    CHECK(shim_stream_holders(writer, holders, READERS) <= 1);
    if (slot < 0) continue;
    CHECK(shim_stream_publish(writer, (uint32_t)slot, 1, 1, NULL) == (double)++last);
  }
  CHECK(last > 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

/* -------------------------------------------------------------------------------------- at the same time ---- */

static void fill(uint64_t *words, uint64_t stamp) {
  for (int i = 0; i < WORDS; i++) words[i] = stamp;
}

static bool is_whole(const uint64_t *words, uint64_t stamp) {
  bool whole = true;
  for (int i = 0; i < WORDS; i++) whole &= words[i] == stamp;
  return whole;
}

/* Where leases can be revoked, data is read while it is written, and not trusted then: to the sanitizer that is a
 * race like any other, so both sides announce it. */
static void fill_revocable(uint64_t *words, uint64_t stamp) {
  for (int i = 0; i < WORDS; i++) {
    atomic_store_explicit((_Atomic uint64_t *)&words[i], stamp, memory_order_relaxed);
  }
}

static bool is_whole_revocable(const uint64_t *words, uint64_t stamp) {
  bool whole = true;
  for (int i = 0; i < WORDS; i++) {
    whole &= atomic_load_explicit((const _Atomic uint64_t *)&words[i], memory_order_relaxed) == stamp;
  }
  return whole;
}

struct play {
  struct shared *shared;
  uint32_t slots;
  int which;
  bool every, revocable;
};

/* Reads frames until it is over, holding each for a while; counts those that are not what they should be. */
static void read_all(const struct play *play) {
  struct shared *shared = play->shared;
  shim_audience *audience = shim_audience_create();
  if (!audience || shim_audience_add(audience, &shared->writer_parked, 1, -1) != 0) abort();
  shim_stream_reader *reader = read_from(shared, play->slots, play->which, -1, audience);
  if (!reader) abort();
  if (play->every) shim_stream_reader_want_every(reader);
  uint32_t state = (uint32_t)play->which * 7919u + 1;
  double last = shim_stream_reader_last(reader);
  for (;;) {
    /* First whether it is over, then the last look: what was published before that is seen. */
    bool over = atomic_load(&shared->over) != 0;
    double revision = (double)atomic_load(&shared->revision);
    shim_frame frame;
    int32_t slot = shim_stream_take(reader, play->every, shim_stream_reader_last(reader), &frame);
    if (slot < 0) {
      if (over) break;
      (void)shim_revision_wait(&shared->revision, &shared->parked, &shared->over, revision, 0, 20);
      continue;
    }
    if (frame.sequence != last + 1 + frame.dropped) atomic_fetch_add(&shared->torn, 1);
    last = frame.sequence;
    state = state * 1664525u + 1013904223u;
    for (volatile uint32_t pause = 0; pause < state >> 22; pause++) continue;
    const uint64_t *words = shared->data[slot];
    bool whole =
      (play->revocable ? is_whole_revocable : is_whole)(words, (uint64_t)frame.sequence) && frame.length == 8;
    bool holds = shim_stream_holds(reader, (uint32_t)slot, frame.sequence);
    if (play->revocable ? holds && !whole : !holds || !whole) atomic_fetch_add(&shared->torn, 1);
    atomic_fetch_add(&shared->taken[play->which], 1);
    atomic_fetch_add(&shared->dropped[play->which], (uint64_t)frame.dropped);
    shim_stream_release(reader, (uint32_t)slot, frame.sequence);
  }
  shim_stream_reader_free(reader);
  shim_audience_free(audience);
}

static void *read_in_thread(void *argument) {
  read_all(argument);
  return NULL;
}

/* "read" FD SLOTS WHICH every|newest */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "read") != 0) return -1;
  struct shared *shared = map(atoi(arguments[0]));
  read_all(&(struct play){.shared = shared,
                          .slots = (uint32_t)atoi(arguments[1]),
                          .which = atoi(arguments[2]),
                          .every = strcmp(arguments[3], "every") == 0});
  return 0;
}

/* Publishes one frame; false if no slot was free. */
static bool write_frame(struct shared *shared, shim_stream_writer *writer, uint64_t number, uint32_t flags,
                        bool revocable) {
  int32_t slot = shim_stream_loan(writer, flags);
  if (slot < 0) return false;
  (revocable ? fill_revocable : fill)(shared->data[slot], number);
  CHECK(shim_stream_publish(writer, (uint32_t)slot, 8, 0, NULL) == (double)number);
  return true;
}

static pid_t start_reader(int fd, uint32_t slots, int which, bool every) {
  char descriptor[16], count[16], number[16];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  (void)snprintf(count, sizeof count, "%u", slots);
  (void)snprintf(number, sizeof number, "%d", which);
  const char *order = every ? "every" : "newest";
  return spawn_role("read", (const char *[]){descriptor, count, number, order, NULL}, NULL);
}

/* Readers of the newest in threads, with two slots more than readers: each loan finds a slot. */
static void no_loan_fails(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &shared->parked, 1, -1) == 0);
  enum { SLOTS = 5 };
  shim_stream_writer *writer = write_to(shared, SLOTS, audience);
  pthread_t threads[3];
  struct play plays[3];
  for (int i = 0; i < 3; i++) {
    CHECK(shim_stream_reader_add(writer, &shared->leases[i], NULL) == i);
    plays[i] = (struct play){.shared = shared, .slots = SLOTS, .which = i};
    REQUIRE(pthread_create(&threads[i], NULL, read_in_thread, &plays[i]) == 0);
  }
  uint64_t frames = 200000 / FEWER / FEWER;
  for (uint64_t number = 1; number <= frames; number++) {
    if (!CHECK(write_frame(shared, writer, number, 0, false))) break;
    if (number % 64 == 0) (void)sched_yield();
  }
  atomic_store(&shared->over, 1);
  for (int i = 0; i < 3; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared->taken[i] > 0 && shared->taken[i] + shared->dropped[i] <= frames);
  }
  CHECK(shared->torn == 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

/* A patient writer loses no frame, and is woken for each slot that it waits for. */
static void every_frame_is_read(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &shared->parked, 1, -1) == 0);
  enum { SLOTS = 4 };
  shim_stream_writer *writer = write_to(shared, SLOTS, audience);
  struct play plays[2];
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) {
    CHECK(shim_stream_reader_add(writer, &shared->leases[i], NULL) == i);
    plays[i] = (struct play){.shared = shared, .slots = SLOTS, .which = i, .every = true};
    REQUIRE(pthread_create(&threads[i], NULL, read_in_thread, &plays[i]) == 0);
  }
  /* Both have asked, so that none of the frames from now on is lost. */
  for (int i = 0; i < 2; i++) {
    while (atomic_load((_Atomic uint64_t *)&shared->leases[i].cursor) != 1) (void)sched_yield();
  }
  uint64_t frames = 100000 / FEWER / FEWER;
  double deadline = shim_clock() + 120e9;
  for (uint64_t number = 1; number <= frames; number++) {
    while (!write_frame(shared, writer, number, SHIM_LOAN_UNWANTED, false)) {
      (void)sched_yield();
      if (!CHECK(shim_clock() < deadline)) number = frames;
    }
  }
  atomic_store(&shared->over, 1);
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared->taken[i] == frames && shared->dropped[i] == 0);
  }
  CHECK(shared->torn == 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

static void revoked(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &shared->parked, 1, -1) == 0);
  enum { SLOTS = 2 };
  shim_stream_writer *writer = write_to(shared, SLOTS, audience);
  pthread_t threads[2];
  struct play plays[2];
  for (int i = 0; i < 2; i++) {
    CHECK(shim_stream_reader_add(writer, &shared->leases[i], NULL) == i);
    plays[i] =
      (struct play){.shared = shared, .slots = SLOTS, .which = i, .every = i == 1, .revocable = true};
    REQUIRE(pthread_create(&threads[i], NULL, read_in_thread, &plays[i]) == 0);
  }
  uint64_t frames = 100000 / FEWER / FEWER;
  for (uint64_t number = 1; number <= frames; number++) {
    CHECK(write_frame(shared, writer, number, SHIM_LOAN_REVOKE, true));
    if (number % 16 == 0) (void)sched_yield();
  }
  atomic_store(&shared->over, 1);
  for (int i = 0; i < 2; i++) {
    CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(shared->taken[i] > 0);
  }
  CHECK(shared->torn == 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

/* Readers that are killed wherever they are: their slots are free, and the others notice nothing. */
static void killed(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &shared->parked, 1, -1) == 0);
  enum { SLOTS = 5, MORTALS = 3 };
  shim_stream_writer *writer = write_to(shared, SLOTS, audience);
  pid_t children[MORTALS];
  for (int i = 0; i < MORTALS; i++) {
    CHECK(shim_stream_reader_add(writer, &shared->leases[i], &shared->gone[i]) == i);
    children[i] = start_reader(fd, SLOTS, i, false);
  }
  uint64_t number = 0, failed = 0;
  for (int round = 0; round < 60 / FEWER; round++) {
    int victim = round % MORTALS;
    uint64_t before = atomic_load(&shared->taken[victim]);
    double deadline = shim_clock() + 60e9;
    while (atomic_load(&shared->taken[victim]) < before + 20 && CHECK(shim_clock() < deadline)) {
      failed += !write_frame(shared, writer, number + 1, 0, false);
      if (failed > 0) break;
      number++;
      if (number % 8 == 0) (void)sched_yield();
    }
    REQUIRE(failed == 0);
    CHECK(kill(children[victim], SIGKILL) == 0);
    int status = wait_exit(children[victim]);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    /* As the end of its link tells: the word first, then the reader goes. */
    atomic_store(&shared->gone[victim], 1);
    for (int i = 0; i < SLOTS; i++) CHECK(write_frame(shared, writer, ++number, 0, false));
    shim_stream_reader_remove(writer, victim);
    memset(&shared->leases[victim], 0, sizeof shared->leases[victim]); /* the next one brings its own */
    atomic_store(&shared->gone[victim], 0);
    CHECK(shim_stream_reader_add(writer, &shared->leases[victim], &shared->gone[victim]) == victim);
    children[victim] = start_reader(fd, SLOTS, victim, false);
  }
  atomic_store(&shared->over, 1);
  for (int i = 0; i < MORTALS; i++) CHECK(wait_exit(children[i]) == 0);
  CHECK(shared->torn == 0);
  shim_stream_writer_free(writer);
  shim_audience_free(audience);
  let_go(shared, fd);
}

const struct test tests[] = {
  {"streams: arguments out of range change nothing", arguments},
  {"streams: a frame is what was published, and missed ones are counted", frames},
  {"streams: which slot is loaned, and who keeps one", loans},
  {"streams: every frame, in its order", every_frame},
  {"streams: whatever stands in the header, a reader stays in range", hostile_header},
  {"streams: whatever stands in the leases, a writer goes on", hostile_leases},
  {"streams: with two slots more than readers no loan fails, and no frame is torn", no_loan_fails},
  {"streams: a patient writer loses no frame", every_frame_is_read},
  {"streams: a frame that was taken back is not trusted", revoked},
  {"streams: readers that are killed hold nothing", killed},
  {NULL, NULL},
};
