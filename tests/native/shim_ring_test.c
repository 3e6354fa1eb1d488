/*
 * shim_ring_test.c: messages in rings: whole and in their order, whatever their lengths and whatever the other side does.
 */
#define _GNU_SOURCE 1
#include <pthread.h>
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

#define MOST 4096 /* the largest ring */

/* All that two sides share, as in the mappings of a service. */
struct shared {
  _Alignas(128) struct shmem_ring ring;
  unsigned char bytes[MOST];
  unsigned char behind[64]; /* nobody may touch it */
  _Alignas(128) _Atomic uint32_t reader_parked;
  _Alignas(128) _Atomic uint32_t writer_parked;
  _Atomic uint32_t gone;
};

static struct shared *map(int fd) {
  void *address = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) abort();
  return address;
}

static struct shared *share(int *fd) {
  *fd = memfd_create("ring", 0);
  if (*fd < 0 || ftruncate(*fd, sizeof(struct shared)) != 0) abort();
  return map(*fd);
}

static void let_go(struct shared *shared, int fd) {
  CHECK(munmap(shared, sizeof *shared) == 0 && close(fd) == 0);
}

/* One side: a ring object, and whom it wakes. */
struct side {
  shim_audience *audience;
  shim_ring *ring;
};

static struct side side_of(struct shared *shared, uint32_t capacity, const _Atomic uint32_t *other) {
  struct side side = {.audience = shim_audience_create()};
  if (!side.audience || shim_audience_add(side.audience, (const void *)other, 1, -1) != 0) abort();
  side.ring = shim_ring_create(&shared->ring, capacity, side.audience, 0);
  if (!side.ring) abort();
  return side;
}

static struct side writer_of(struct shared *shared, uint32_t capacity) {
  return side_of(shared, capacity, &shared->reader_parked);
}

static struct side reader_of(struct shared *shared, uint32_t capacity) {
  return side_of(shared, capacity, &shared->writer_parked);
}

static void end(struct side side) {
  shim_ring_free(side.ring);
  shim_audience_free(side.audience);
}

static uint32_t padded(uint32_t length) { return 8 + (length + 7) / 8 * 8; }

static void fill(unsigned char *bytes, uint32_t length, uint64_t number) {
  for (uint32_t i = 0; i < length; i++) bytes[i] = (unsigned char)(number * 31 + i * 7);
}

static bool is_filled(const unsigned char *bytes, uint32_t length, uint64_t number) {
  for (uint32_t i = 0; i < length; i++) {
    if (bytes[i] != (unsigned char)(number * 31 + i * 7)) return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------ one after the other ---- */

static void arguments(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_audience *audience = shim_audience_create();
  const uint32_t wrong[] = {0, 8, 15, 17, 100, 0x80000000u, UINT32_MAX};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    CHECK(shim_ring_create(&shared->ring, wrong[i], audience, 0) == NULL);
  }
  CHECK(shim_ring_create(NULL, 64, audience, 0) == NULL);
  CHECK(shim_ring_create((char *)&shared->ring + 4, 64, audience, 0) == NULL);
  CHECK(shim_ring_create(&shared->ring, 64, NULL, 0) == NULL);
  shim_ring_free(NULL);
  shim_audience_free(audience);

  struct side writer = writer_of(shared, 64), reader = reader_of(shared, 64);
  unsigned char bytes[64] = {0};
  CHECK(shim_ring_next(reader.ring) == SHIM_RING_EMPTY);
  CHECK(shim_ring_receive(reader.ring, bytes, 64) == SHIM_RING_EMPTY);
  CHECK(shim_ring_rest(reader.ring, NULL, 0) == 0 && shim_ring_rest(reader.ring, bytes, 64) == 0);
  CHECK(shim_ring_send(writer.ring, bytes, 33) == SHIM_RING_LARGE);
  CHECK(shim_ring_send(writer.ring, bytes, UINT32_MAX) == SHIM_RING_LARGE);
  CHECK(shared->ring.head == 0);
  fill(bytes, 32, 1);
  CHECK(shim_ring_send(writer.ring, bytes, 32) == 0 && shared->ring.head == 40);
  CHECK(shim_ring_send(writer.ring, bytes, 17) == SHIM_RING_FULL);
  CHECK(shim_ring_send(writer.ring, NULL, 0) == 0);
  CHECK(shim_ring_send(writer.ring, bytes, 8) == 0 && shim_ring_send(writer.ring, NULL, 0) == SHIM_RING_FULL);
  /* What does not fit stays. */
  unsigned char taken[64];
  CHECK(shim_ring_next(reader.ring) == 32 && shim_ring_receive(reader.ring, taken, 31) == SHIM_RING_LARGE);
  CHECK(shared->ring.tail == 0);
  CHECK(shim_ring_receive(reader.ring, taken, 32) == 32 && memcmp(bytes, taken, 32) == 0);
  CHECK(shim_ring_receive(reader.ring, NULL, 0) == 0 && shared->ring.tail == 48);
  CHECK(shim_ring_receive(reader.ring, taken, 64) == 8 && memcmp(bytes, taken, 8) == 0);
  CHECK(shim_ring_receive(reader.ring, taken, 64) == SHIM_RING_EMPTY);
  end(writer);
  end(reader);
  let_go(shared, fd);
}

/* Each length at each place of rings of different sizes; nothing is written behind them. */
static void wraps(void) {
  int fd;
  struct shared *shared = share(&fd);
  memset(shared->bytes, 0xee, sizeof shared->bytes + sizeof shared->behind);
  const uint32_t capacities[] = {16, 24, 64, 136, 1000};
  for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
    uint32_t capacity = capacities[i];
    memset(&shared->ring, 0, sizeof shared->ring);
    struct side writer = writer_of(shared, capacity), reader = reader_of(shared, capacity);
    unsigned char bytes[MOST], taken[MOST];
    uint64_t number = 0;
    for (uint32_t length = 0; length <= capacity / 2; length++) {
      for (uint32_t place = 0; place < capacity; place += 8, number++) {
        fill(bytes, length, number);
        if (!CHECK(shim_ring_send(writer.ring, bytes, length) == 0)) break;
        memset(taken, 0, length + 1);
        if (!CHECK(shim_ring_receive(reader.ring, taken, length) == (int32_t)length)) break;
        CHECK(is_filled(taken, length, number) && taken[length] == 0);
        /* One of no bytes moves the place on where the lengths alone would come back to the same places. */
        if (padded(length) / 8 % 2 == 0) {
          CHECK(shim_ring_send(writer.ring, NULL, 0) == 0 && shim_ring_receive(reader.ring, NULL, 0) == 0);
        }
      }
    }
    CHECK(shared->ring.head == shared->ring.tail);
    end(writer);
    end(reader);
  }
  for (size_t i = 1000; i < sizeof shared->bytes; i++) CHECK(shared->bytes[i] == 0xee);
  for (size_t i = 0; i < sizeof shared->behind; i++) CHECK(shared->behind[i] == 0xee);
  let_go(shared, fd);
}

static void leaves(void) {
  int fd;
  struct shared *shared = share(&fd);
  struct side writer = writer_of(shared, 64), reader = reader_of(shared, 64);
  unsigned char bytes[64];
  fill(bytes, 20, 3);
  CHECK(shim_ring_send(writer.ring, bytes, 20) == 0 && shim_ring_send(writer.ring, bytes, 0) == 0);
  shim_ring_leave(writer.ring, true);
  CHECK(shared->ring.head == (40 | SHMEM_RING_LEFT));
  unsigned char taken[64];
  CHECK(shim_ring_receive(reader.ring, taken, 64) == 20 && is_filled(taken, 20, 3));
  /* The rest: one message of no bytes; what comes after the first look is not of it. */
  CHECK(shim_ring_rest(reader.ring, NULL, 0) == 8);
  shared->ring.head = 64 | SHMEM_RING_LEFT;
  CHECK(shim_ring_rest(reader.ring, taken, 7) == SHIM_RING_LARGE);
  memset(taken, 0xff, sizeof taken);
  CHECK(shim_ring_rest(reader.ring, taken, 64) == 8 && taken[0] == 0 && taken[7] == 0 && taken[8] == 0xff);
  shared->ring.head = 40 | SHMEM_RING_LEFT;
  CHECK(shim_ring_receive(reader.ring, taken, 64) == 0);
  CHECK(shim_ring_next(reader.ring) == SHIM_RING_ENDED);
  CHECK(shim_ring_receive(reader.ring, taken, 64) == SHIM_RING_ENDED);
  CHECK(shim_ring_rest(reader.ring, NULL, 0) == 0);
  end(writer);
  end(reader);
  /* A reader that leaves: the writer learns of it when it looks for room. */
  memset(&shared->ring, 0, sizeof shared->ring);
  writer = writer_of(shared, 64);
  reader = reader_of(shared, 64);
  shim_ring_leave(reader.ring, false);
  CHECK(shared->ring.tail == SHMEM_RING_LEFT);
  CHECK(shim_ring_send(writer.ring, bytes, 32) == 0);
  CHECK(shim_ring_send(writer.ring, bytes, 32) == SHIM_RING_ENDED);
  end(writer);
  end(reader);
  let_go(shared, fd);
}

static uint64_t state = 1;
static uint64_t random_word(void) {
  state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  uint64_t word = state >> 8;
  switch (word % 8) {
    case 0: return word % 80;
    case 1: return word % 20 * 8;
    case 2: return (word % 20 * 8) | SHMEM_RING_LEFT;
    case 3: return UINT64_MAX - word % 64;
    case 4: return UINT64_C(1) << 63 | word % 64;
    case 5: return INT32_MAX - word % 16;
    case 6: return UINT32_MAX - word % 16;
    default: return state;
  }
}

/* Whatever stands in the counters and the lengths: the results are those of the header, nothing behind is touched. */
static void hostile_words(void) {
  int fd;
  struct shared *shared = share(&fd);
  memset(shared->bytes + 64, 0xee, sizeof shared->bytes - 64);
  uint64_t received = 0, sent = 0, broken = 0, ended = 0;
  for (int round = 0; round < 100000 / FEWER; round++) {
    memset(&shared->ring, 0, sizeof shared->ring);
    struct side writer = writer_of(shared, 64), reader = reader_of(shared, 64);
    for (int step = 0; step < 8; step++) {
      unsigned char bytes[64] = {0};
      if (random_word() % 2 == 0) shared->ring.tail = random_word();
      int32_t result = shim_ring_send(writer.ring, bytes, (uint32_t)(random_word() % 33));
      CHECK(result == 0 || result == SHIM_RING_FULL || result == SHIM_RING_BROKEN ||
            result == SHIM_RING_ENDED);
      if (result == 0) sent++;
      if (random_word() % 2 == 0) shared->ring.head = random_word();
      if (random_word() % 2 == 0) {
        uint64_t word = random_word();
        memcpy(shared->bytes + random_word() % 8 * 8, &word, 8);
      }
      uint32_t capacity = (uint32_t)(random_word() % 65);
      int32_t next = shim_ring_next(reader.ring);
      CHECK(next <= 32 && next >= SHIM_RING_ENDED && next != SHIM_RING_LARGE);
      result = shim_ring_receive(reader.ring, bytes, capacity);
      CHECK(result == next || result == SHIM_RING_LARGE);
      if (result == SHIM_RING_LARGE) CHECK(next > (int32_t)capacity);
      if (result >= 0) received++;
      if (result == SHIM_RING_BROKEN) broken++;
      if (result == SHIM_RING_ENDED) ended++;
      int32_t rest = shim_ring_rest(reader.ring, NULL, 0);
      CHECK(rest == SHIM_RING_BROKEN || (rest >= 0 && rest <= 64 && rest % 8 == 0));
      CHECK(shim_ring_rest(reader.ring, bytes, 64) == rest);
    }
    end(writer);
    end(reader);
  }
  CHECK(received > 0 && sent > 0 && broken > 0 && ended > 0);
  for (size_t i = 64; i < sizeof shared->bytes; i++) CHECK(shared->bytes[i] == 0xee);
  let_go(shared, fd);
}

/* -------------------------------------------------------------------------------------- at the same time ---- */

static uint32_t length_of(uint64_t number, uint32_t capacity) {
  return 8 + (uint32_t)(number * 2654435761u >> 7) % (capacity / 2 - 7);
}

/* Sends messages that tell their number; `count` 0: without an end. Waits in the kernel where there is no room. */
static void stream_out(struct shared *shared, uint32_t capacity, uint64_t count) {
  struct side writer = writer_of(shared, capacity);
  unsigned char bytes[MOST];
  for (uint64_t number = 0; count == 0 || number < count; number++) {
    uint32_t length = length_of(number, capacity);
    fill(bytes, length, number);
    memcpy(bytes, &number, sizeof number);
    for (;;) {
      double seen = shim_word_load64(&shared->ring.tail);
      int32_t result = shim_ring_send(writer.ring, bytes, length);
      if (result == 0) break;
      if (result != SHIM_RING_FULL) abort();
      (void)shim_revision_wait(&shared->ring.tail, (void *)&shared->writer_parked, &shared->gone, seen, 10,
                               -1);
    }
  }
  shim_ring_leave(writer.ring, true);
  end(writer);
}

/* Receives until the writer leaves or dies, or `most` came; how many came, -1 if one was not whole. */
static int64_t stream_in(struct shared *shared, struct side reader, uint32_t capacity, int64_t from,
                         int64_t most) {
  unsigned char bytes[MOST];
  for (int64_t number = from;; number++) {
    if (number == most) return number;
    int32_t length;
    for (;;) {
      double seen = shim_word_load64(&shared->ring.head);
      length = shim_ring_receive(reader.ring, bytes, sizeof bytes);
      if (length != SHIM_RING_EMPTY) break;
      if (atomic_load(&shared->gone) != 0) return number;
      (void)shim_revision_wait(&shared->ring.head, (void *)&shared->reader_parked, &shared->gone, seen, 10,
                               -1);
    }
    if (length == SHIM_RING_ENDED) return number;
    uint64_t told;
    if (length < 8) return -1;
    memcpy(&told, bytes, sizeof told);
    if (told != (uint64_t)number || (uint32_t)length != length_of(told, capacity)) return -1;
    fill(bytes, 8, told); /* where the number was */
    if (!is_filled(bytes, (uint32_t)length, told)) return -1;
  }
}

struct play {
  struct shared *shared;
  uint32_t capacity;
  uint64_t count;
};

static void *write_in_thread(void *argument) {
  const struct play *play = argument;
  stream_out(play->shared, play->capacity, play->count);
  return NULL;
}

/* "write" FD CAPACITY COUNT */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "write") != 0) return -1;
  stream_out(map(atoi(arguments[0])), (uint32_t)atoi(arguments[1]), (uint64_t)atoll(arguments[2]));
  return 0;
}

static pid_t start_writer(int fd, uint32_t capacity, uint64_t count) {
  char descriptor[16], size[16], number[32];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  (void)snprintf(size, sizeof size, "%u", capacity);
  (void)snprintf(number, sizeof number, "%llu", (unsigned long long)count);
  return spawn_role("write", (const char *[]){descriptor, size, number, NULL}, NULL);
}

static const uint32_t sizes[] = {24, 64, 1000, MOST};

static void threads(void) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int fd;
    struct shared *shared = share(&fd);
    struct play play = {.shared = shared, .capacity = sizes[i], .count = 50000 / FEWER};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, write_in_thread, &play) == 0);
    struct side reader = reader_of(shared, play.capacity);
    CHECK(stream_in(shared, reader, play.capacity, 0, INT64_MAX) == (int64_t)play.count);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(shared->reader_parked == 0 && shared->writer_parked == 0);
    end(reader);
    let_go(shared, fd);
  }
}

static void processes(void) {
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int fd;
    struct shared *shared = share(&fd);
    const int64_t count = 50000 / FEWER;
    pid_t child = start_writer(fd, sizes[i], (uint64_t)count);
    struct side reader = reader_of(shared, sizes[i]);
    CHECK(stream_in(shared, reader, sizes[i], 0, INT64_MAX) == count);
    CHECK(wait_exit(child) == 0);
    end(reader);
    let_go(shared, fd);
  }
}

/* A writer that is killed leaves whole messages only, and nothing that never ends. */
static void killed(void) {
  for (int round = 0; round < 40 / FEWER; round++) {
    int fd;
    struct shared *shared = share(&fd);
    uint32_t capacity = sizes[(size_t)round % 4];
    pid_t child = start_writer(fd, capacity, 0);
    struct side reader = reader_of(shared, capacity);
    int64_t most = 100 + round * 37;
    CHECK(stream_in(shared, reader, capacity, 0, most) == most);
    CHECK(kill(child, SIGKILL) == 0);
    int status = wait_exit(child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    atomic_store(&shared->gone, 1);
    CHECK(stream_in(shared, reader, capacity, most, INT64_MAX) >= most);
    CHECK(shim_ring_next(reader.ring) == SHIM_RING_EMPTY && shim_ring_rest(reader.ring, NULL, 0) == 0);
    end(reader);
    let_go(shared, fd);
  }
}

const struct test tests[] = {
  {"rings: arguments out of range change nothing", arguments},
  {"rings: every length at every place comes whole", wraps},
  {"rings: a side that leaves is noticed, after what it sent", leaves},
  {"rings: whatever stands in the words, both sides stay in range", hostile_words},
  {"rings: threads stream, and wait for each other", threads},
  {"rings: processes stream, and wait for each other", processes},
  {"rings: a writer that is killed leaves whole messages", killed},
  {NULL, NULL},
};
