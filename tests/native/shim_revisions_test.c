/*
 * shim_revisions_test.c: commits and those who wait for them: no wake is lost, nobody is believed.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

struct words {
  _Alignas(128) _Atomic uint64_t revision;
  _Alignas(128) _Atomic uint32_t parked;
  _Alignas(128) _Atomic uint32_t gone;
  _Alignas(128) _Atomic uint64_t seen; /* the waiter's: the last revision that it saw */
};

static struct words *map(int fd) {
  void *address = mmap(NULL, sizeof(struct words), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) abort();
  return address;
}

static struct words *share(int *fd) {
  *fd = memfd_create("words", 0);
  if (*fd < 0 || ftruncate(*fd, sizeof(struct words)) != 0) abort();
  return map(*fd);
}

static double now(void) { return shim_clock() / 1e6; }

/* Waits for revisions one after the other, asleep in between if need be; 0 if each came within its time. */
static int follow(struct words *words, uint64_t rounds) {
  for (uint64_t seen = 0; seen < rounds; seen++) {
    double next = shim_revision_wait(&words->revision, &words->parked, &words->gone, (double)seen, 0, 5000);
    if (next != (double)(seen + 1)) return 1;
    atomic_store(&words->seen, seen + 1);
  }
  return 0;
}

/* "follow" FD ROUNDS */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "follow") != 0) return -1;
  return follow(map(atoi(arguments[0])), strtoull(arguments[1], NULL, 10));
}

/* Commits as soon as the waiter has seen the one before: about when it parks. */
static void commit_all(struct words *words, shim_audience *audience, uint64_t rounds) {
  uint32_t state = 1;
  for (uint64_t i = 0; i < rounds; i++) {
    double deadline = now() + 10000;
    for (unsigned spins = 0; atomic_load(&words->seen) < i; spins++) {
      if (spins % 4096 == 4095 && !CHECK(now() < deadline)) return;
    }
    state = state * 1664525u + 1013904223u;
    for (volatile uint32_t pause = 0; pause < state >> 25; pause++) continue;
    CHECK(shim_revision_commit(audience, &words->revision, 0) == (double)(i + 1));
  }
}

struct follower {
  struct words *words;
  uint64_t rounds;
  int result;
  int bell;
};

static void *follow_in_thread(void *argument) {
  struct follower *follower = argument;
  follower->result = follow(follower->words, follower->rounds);
  return NULL;
}

static void *follow_by_bell(void *argument) {
  struct follower *follower = argument;
  struct words *words = follower->words;
  follower->result = 1;
  for (uint64_t seen = 0; seen < follower->rounds; seen++) {
    while (atomic_load(&words->revision) == seen) {
      shim_revision_park(&words->parked);
      if (atomic_load(&words->revision) == seen) {
        struct pollfd bell = {.fd = follower->bell, .events = POLLIN};
        char bytes[64];
        if (poll(&bell, 1, 5000) != 1) return NULL; /* lost */
        if (recv(follower->bell, bytes, sizeof bytes, MSG_DONTWAIT) <= 0) return NULL;
      }
      shim_revision_unpark(&words->parked);
    }
    atomic_store(&words->seen, seen + 1);
  }
  follower->result = 0;
  return NULL;
}

static void no_wake_is_lost(void *(*follower_of)(void *), uint64_t rounds, bool by_bell) {
  int fd, bell[2] = {-1, -1};
  struct words *words = share(&fd);
  shim_audience *audience = shim_audience_create();
  if (by_bell) REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bell) == 0);
  CHECK(shim_audience_add(audience, &words->parked, 1, bell[0]) == 0);
  struct follower follower = {.words = words, .rounds = rounds, .bell = bell[1]};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, follower_of, &follower) == 0);
  commit_all(words, audience, rounds);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(follower.result == 0 && atomic_load(&words->parked) == 0);
  shim_audience_free(audience);
  if (by_bell) CHECK(close(bell[0]) == 0 && close(bell[1]) == 0);
  CHECK(munmap(words, sizeof *words) == 0 && close(fd) == 0);
}

static void threads(void) { no_wake_is_lost(follow_in_thread, 200000 / FEWER / FEWER, false); }

static void bells(void) { no_wake_is_lost(follow_by_bell, 100000 / FEWER / FEWER, true); }

static void processes(void) {
  int fd;
  struct words *words = share(&fd);
  uint64_t rounds = 50000 / FEWER / FEWER;
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &words->parked, 1, -1) == 0);
  char descriptor[16], number[24];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  (void)snprintf(number, sizeof number, "%llu", (unsigned long long)rounds);
  pid_t child = spawn_role("follow", (const char *[]){descriptor, number, NULL}, NULL);
  commit_all(words, audience, rounds);
  CHECK(wait_exit(child) == 0);
  shim_audience_free(audience);
  CHECK(munmap(words, sizeof *words) == 0 && close(fd) == 0);
}

static void audience_of_many(void) {
  shim_audience *audience = shim_audience_create();
  enum { MEMBERS = 100, REGIONS = 3 };
  static _Atomic uint32_t parked[MEMBERS][REGIONS];
  int bells[MEMBERS][2];
  for (int i = 0; i < MEMBERS; i++) {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, bells[i]) == 0);
    CHECK(shim_audience_add(audience, parked[i], REGIONS, i % 2 ? bells[i][0] : -1) == i);
    if (i % 2 == 0) shim_audience_set_bell(audience, i, bells[i][0]);
  }
  _Atomic uint64_t revision = 0;
  shim_revision_park(&parked[7][2]);
  shim_revision_park(&parked[8][1]);
  CHECK(shim_revision_commit(audience, &revision, 2) == 1);
  char byte;
  for (int i = 0; i < MEMBERS; i++) {
    CHECK((recv(bells[i][1], &byte, 1, MSG_DONTWAIT) == 1) == (i == 7)); /* and only it */
  }
  shim_revision_wake(audience, &revision, 1);
  CHECK(recv(bells[8][1], &byte, 1, MSG_DONTWAIT) == 1 && atomic_load(&revision) == 1);
  CHECK(shim_revision_commit(audience, &revision, REGIONS) == 2); /* a region that no member has */
  shim_audience_remove(audience, 8);
  shim_revision_wake(audience, &revision, 1);
  CHECK(recv(bells[8][1], &byte, 1, MSG_DONTWAIT) < 0);
  CHECK(shim_audience_add(audience, parked[8], REGIONS, -1) == 8); /* its place again */
  shim_audience_remove(audience, 8);
  shim_audience_remove(audience, 8);
  shim_audience_remove(audience, -1);
  shim_audience_remove(audience, 100000);
  shim_audience_set_bell(audience, 100000, 1);
  for (int i = 0; i < MEMBERS; i++) shim_audience_remove(audience, i);
  CHECK(shim_revision_commit(audience, &revision, 0) == 3);
  CHECK(shim_audience_add(audience, parked[0], REGIONS, -1) == 0);
  for (int i = 0; i < MEMBERS; i++) CHECK(close(bells[i][0]) == 0 && close(bells[i][1]) == 0);
  shim_audience_free(audience);
  shim_audience_free(NULL);
}

static void *commit_later(void *argument) {
  struct words *words = argument;
  usleep(20000);
  atomic_fetch_add(&words->revision, 1); /* and nobody is woken */
  return NULL;
}

static void *go_later(void *argument) {
  struct words *words = argument;
  usleep(20000);
  atomic_store(&words->gone, 1);
  return NULL;
}

static void spinning_and_gone(void) {
  int fd;
  struct words *words = share(&fd);
  pthread_t thread;
  CHECK(shim_revision_wait(&words->revision, &words->parked, NULL, 0, SHIM_SPIN_ONLY, 10) == 0);
  REQUIRE(pthread_create(&thread, NULL, commit_later, words) == 0);
  CHECK(shim_revision_wait(&words->revision, &words->parked, &words->gone, 0, SHIM_SPIN_ONLY, -1) == 1);
  CHECK(pthread_join(thread, NULL) == 0);
  const uint32_t spins[] = {SHIM_SPIN_ONLY, 1000, 0};
  for (size_t i = 0; i < sizeof spins / sizeof *spins; i++) {
    atomic_store(&words->gone, 0);
    REQUIRE(pthread_create(&thread, NULL, go_later, words) == 0);
    double before = now();
    CHECK(shim_revision_wait(&words->revision, &words->parked, &words->gone, 1, spins[i], -1) == 1);
    double took = now() - before;
    CHECK(took >= 10 && took < 2000);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(shim_revision_wait(&words->revision, &words->parked, &words->gone, 1, spins[i], -1) == 1);
  }
  CHECK(shim_revision_wait(&words->revision, &words->parked, &words->gone, 0, 0, -1) == 1); /* news first */
  CHECK(atomic_load(&words->parked) == 0);
  CHECK(munmap(words, sizeof *words) == 0 && close(fd) == 0);
}

static void asynchronous(void) {
  int fd;
  struct words *words = share(&fd);
  struct inbox *inbox = open_inbox();
  shim_queue *queue = inbox->queue;
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &words->parked, 1, -1) == 0);
  shim_event event;
  CHECK(shim_revision_wait_async(queue, 1, &words->revision, &words->parked, 0, -1) == 0);
  CHECK(shim_revision_wait_async(queue, 2, &words->revision, &words->parked, 0, 20) == 0);
  CHECK(shim_revision_wait_async(queue, 3, &words->revision, &words->parked, 0, -1) == 0);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 2 && event.value == SHIM_WAIT_TIMED_OUT);
  double before = now();
  shim_wait_cancel(queue, 3);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 3 && event.value == SHIM_WAIT_CANCELLED && now() - before < 2000);
  CHECK(shim_revision_commit(audience, &words->revision, 0) == 1);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 1 && event.value == SHIM_WAIT_CHANGED);
  CHECK(atomic_load(&words->parked) == 0);
  close_inbox(inbox);
  shim_audience_free(audience);
  CHECK(munmap(words, sizeof *words) == 0 && close(fd) == 0);
}

/* A peer that writes what it likes: waits end at their time, and neither at once nor never. */
static void hostile(void) {
  int fd;
  struct words *words = share(&fd);
  const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, (UINT64_C(1) << 53) + 1, 0};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    atomic_store(&words->revision, values[i]);
    double seen = shim_word_load64(&words->revision), before = now();
    CHECK(shim_revision_wait(&words->revision, &words->parked, NULL, seen, 0, 20) == seen);
    double took = now() - before;
    CHECK(took >= 19.9 && took < 3000);
    CHECK(shim_revision_wait(&words->revision, &words->parked, NULL, seen + 1e18, 0, -1) ==
          seen); /* backwards */
  }
  const double strange[] = {NAN, -1, INFINITY, -INFINITY, 0.5, 1e300};
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    CHECK(shim_revision_wait(&words->revision, &words->parked, NULL, strange[i], 0, -1) == 0);
  }
  /* Parked words are a peer's as well. */
  shim_audience *audience = shim_audience_create();
  CHECK(shim_audience_add(audience, &words->parked, 1, fd) == 0); /* a bell that is no socket */
  for (int i = 0; i < 1000; i++) {
    atomic_store(&words->parked, (uint32_t)rand() << 16 ^ (uint32_t)rand());
    CHECK(shim_revision_commit(audience, &words->revision, 0) == i + 1);
  }
  shim_audience_free(audience);
  CHECK(munmap(words, sizeof *words) == 0 && close(fd) == 0);
}

static void doorbells(void) {
  struct inbox *inbox = open_inbox();
  int32_t ends[2];
  REQUIRE(shim_queue_open_bell(inbox->queue, ends) == 0);
  for (int i = 0; i < 2; i++)
    CHECK((fcntl(ends[i], F_GETFD) & FD_CLOEXEC) != 0); /* no program we start gets it */
  CHECK(read_wakes(ends[0]) == 0);
  CHECK(shim_bell_ring(ends[1]) == 0);
  CHECK(await_wakes(ends[0]) == 1);
  for (int i = 0; i < 100000; i++)
    CHECK(shim_bell_ring(ends[1]) == 0); /* nobody reads: full, and never blocks */
  CHECK(read_wakes(ends[0]) > 0);
  CHECK(shim_bell_ring(ends[1]) == 0 && read_wakes(ends[0]) == 1);
  shim_queue_forget_bell(inbox->queue, ends[0]);
  shim_queue_forget_bell(inbox->queue, ends[0]);
  shim_queue_forget_bell(inbox->queue, -1);
  CHECK(close(ends[0]) == 0);
  CHECK(shim_bell_ring(ends[1]) == -EPIPE); /* gone: an error, no signal */
  CHECK(shim_descriptor_close(ends[1]) == 0);
  CHECK(shim_descriptor_close(ends[1]) == -EBADF);
  CHECK(shim_bell_ring(-1) == -EBADF);
  int32_t file = memfd_create("no socket", 0);
  CHECK(shim_bell_ring(file) == -ENOTSOCK && close(file) == 0);
  close_inbox(inbox);
}

/* Without a descriptor there is no doorbell and no queue, and nothing of it is left. */
static void no_descriptors(void) {
  struct inbox *inbox = open_inbox();
  struct rlimit limit, none;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  none = (struct rlimit){.rlim_cur = 3, .rlim_max = limit.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  int32_t ends[2] = {-1, -1};
  CHECK(shim_queue_open_bell(inbox->queue, ends) == -EMFILE);
  CHECK(shim_queue_create(ends) == NULL);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  close_inbox(inbox);
}

const struct test tests[] = {
  {"revisions: a thread that parks as a commit comes is woken", threads},
  {"revisions: so is one that reads its doorbell", bells},
  {"revisions: so is another process", processes},
  {"revisions: whom a commit wakes, and whom not", audience_of_many},
  {"revisions: spinning waits, and the end of the peer", spinning_and_gone},
  {"revisions: asynchronous waits end once", asynchronous},
  {"revisions: whatever stands in the words, a wait ends at its time", hostile},
  {"revisions: a doorbell never blocks", doorbells},
  {"revisions: no doorbell and no queue without descriptors", no_descriptors},
  {NULL, NULL},
};
