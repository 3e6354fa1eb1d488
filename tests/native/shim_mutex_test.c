/*
 * shim_mutex_test.c: the mutex of processes: contention, deaths, timeouts, cancels, malice.
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

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

/* What the shim takes a mutex for: it writes the pid of the holder behind the word. */
struct mutex {
  _Atomic uint32_t word, holder;
};

/* What the processes share. The counters are guarded by the mutex and nothing else. */
struct shared {
  _Alignas(128) _Atomic uint32_t mutex;
  _Atomic uint32_t holder;
  _Alignas(128) uint64_t first, second; /* equal while nobody holds it, but for a death in between */
  _Alignas(128) _Atomic uint64_t turns[128];
  _Atomic uint32_t ready;
};

static struct shared *map(int fd) {
  void *address = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) abort();
  return address;
}

static struct shared *share(int *fd) {
  *fd = memfd_create("words", 0); /* children inherit it */
  if (*fd < 0 || ftruncate(*fd, sizeof(struct shared)) != 0) abort();
  return map(*fd);
}

static void give_up(struct shared *shared, int fd) {
  CHECK(munmap(shared, sizeof *shared) == 0);
  CHECK(close(fd) == 0);
}

static pid_t spawn_with(const char *role, int fd, uint32_t owner, unsigned turns) {
  char descriptor[16], number[16], count[16];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  (void)snprintf(number, sizeof number, "%u", owner);
  (void)snprintf(count, sizeof count, "%u", turns);
  return spawn_role(role, (const char *[]){descriptor, number, count, NULL}, NULL);
}

/* One turn of a counter that only the mutex keeps right. */
static bool take_turn(struct shared *shared, uint32_t owner, uint32_t spin, double milliseconds) {
  int32_t locked = shim_mutex_wait(&shared->mutex, owner, spin, milliseconds);
  if (locked != SHIM_MUTEX_LOCKED && locked != SHIM_MUTEX_LOCKED_ABANDONED) return false;
  if (locked == SHIM_MUTEX_LOCKED_ABANDONED) shared->second = shared->first;
  bool consistent = shared->first == shared->second;
  shared->first++;
  shared->second++;
  return shim_mutex_unlock(&shared->mutex, owner) == 0 && consistent;
}

/* "count" FD OWNER TURNS: so many turns, or until killed for 0. "park": sleeps for the mutex, then dies. */
int run_role(const char *role, char **arguments) {
  struct shared *shared = map(atoi(arguments[0]));
  uint32_t owner = (uint32_t)atoi(arguments[1]);
  unsigned turns = (unsigned)atoi(arguments[2]);
  atomic_fetch_add(&shared->ready, 1);
  if (strcmp(role, "park") == 0) {
    return shim_mutex_wait(&shared->mutex, owner, 0, -1) == SHIM_MUTEX_LOCKED ? 10 : 11;
  }
  if (strcmp(role, "hold") == 0) {
    if (shim_mutex_wait(&shared->mutex, owner, 0, -1) != SHIM_MUTEX_LOCKED) return 1;
    atomic_fetch_add(&shared->ready, 1);
    pause();
  }
  if (strcmp(role, "count") != 0) return -1;
  for (unsigned i = 0; turns == 0 || i < turns; i++) {
    if (!take_turn(shared, owner, i % 3 * 10, 20000)) return 1;
    atomic_fetch_add(&shared->turns[owner], 1);
  }
  return 0;
}

static void await_ready(struct shared *shared, uint32_t count) {
  for (int i = 0; i < 20000 && atomic_load(&shared->ready) < count; i++) usleep(1000);
  CHECK(atomic_load(&shared->ready) >= count);
}

static double now(void) { return shim_clock() / 1e6; /* milliseconds */ }

static void states(void) {
  struct mutex mutex = {0};
  CHECK(shim_mutex_holder(&mutex) == 0);
  CHECK(shim_mutex_try(&mutex.word, 1) == SHIM_MUTEX_LOCKED);
  CHECK(shim_mutex_holder(&mutex) == (uint32_t)getpid());
  CHECK(shim_mutex_try(&mutex.word, 2) == SHIM_MUTEX_BUSY);
  CHECK(shim_mutex_try(&mutex.word, 1) == SHIM_MUTEX_BUSY); /* not recursive */
  CHECK(shim_mutex_unlock(&mutex.word, 2) != 0 && shim_mutex_unlock(&mutex.word, 0) != 0);
  CHECK(shim_mutex_abandon(&mutex.word, 2) == 0);
  CHECK(shim_mutex_abandon(&mutex.word, 1) == 1);
  CHECK(shim_mutex_unlock(&mutex.word, 1) != 0);
  CHECK(atomic_load(&mutex.word) == SHIM_MUTEX_ABANDONED);
  CHECK(shim_mutex_wait(&mutex.word, 3, 0, 0) == SHIM_MUTEX_LOCKED_ABANDONED);
  CHECK(shim_mutex_unlock(&mutex.word, 3) == 0 && atomic_load(&mutex.word) == 0);
  CHECK(shim_mutex_try(&mutex.word, SHIM_MUTEX_OWNER) == SHIM_MUTEX_LOCKED); /* the highest owner */
  CHECK(shim_mutex_unlock(&mutex.word, SHIM_MUTEX_OWNER) == 0 && atomic_load(&mutex.word) == 0);
}

struct counter {
  struct shared *shared;
  uint32_t owner;
  unsigned turns;
};

static void *count_turns(void *argument) {
  struct counter *counter = argument;
  for (unsigned i = 0; i < counter->turns; i++)
    CHECK(take_turn(counter->shared, counter->owner, i % 4 * 5, -1));
  return NULL;
}

static void threads(void) {
  enum { THREADS = 4, TURNS = 50000 / FEWER };
  int fd;
  struct shared *shared = share(&fd);
  struct counter counters[THREADS];
  pthread_t started[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    counters[i] = (struct counter){.shared = shared, .owner = i + 1, .turns = TURNS};
    REQUIRE(pthread_create(&started[i], NULL, count_turns, &counters[i]) == 0);
  }
  for (int i = 0; i < THREADS; i++) CHECK(pthread_join(started[i], NULL) == 0);
  CHECK(shared->first == THREADS * TURNS && shared->second == THREADS * TURNS);
  CHECK((atomic_load(&shared->mutex) & SHIM_MUTEX_OWNER) == 0);
  give_up(shared, fd);
}

static void processes(void) {
  enum { PROCESSES = 4, TURNS = 20000 / FEWER };
  int fd;
  struct shared *shared = share(&fd);
  pid_t children[PROCESSES];
  for (uint32_t i = 0; i < PROCESSES; i++) children[i] = spawn_with("count", fd, i + 1, TURNS);
  for (int i = 0; i < PROCESSES; i++) CHECK(wait_exit(children[i]) == 0);
  CHECK(shared->first == PROCESSES * TURNS && shared->second == PROCESSES * TURNS);
  give_up(shared, fd);
}

/* Who waits learns which process to blame, also when that one is dead. */
static void holders(void) {
  int fd;
  struct shared *shared = share(&fd);
  pid_t child = spawn_with("hold", fd, 1, 0);
  await_ready(shared, 2);
  CHECK(shim_mutex_wait(&shared->mutex, 2, 0, 10) == SHIM_MUTEX_TIMED_OUT);
  CHECK(shim_mutex_holder(&shared->mutex) == (uint32_t)child);
  CHECK(kill(child, SIGKILL) == 0);
  (void)wait_exit(child);
  CHECK(shim_mutex_holder(&shared->mutex) == (uint32_t)child);
  CHECK(shim_mutex_abandon(&shared->mutex, 1) == 1);
  CHECK(shim_mutex_wait(&shared->mutex, 2, 0, 0) == SHIM_MUTEX_LOCKED_ABANDONED);
  CHECK(shim_mutex_holder(&shared->mutex) == (uint32_t)getpid());
  give_up(shared, fd);
}

/* Processes are killed at any moment: holding it, waiting for it, being woken for it. */
static void killed_at_any_moment(void) {
  enum { CROWD = 3, DEATHS = 60 / FEWER };
  int fd;
  struct shared *shared = share(&fd);
  pid_t children[CROWD];
  uint32_t owners[CROWD], next = 1;
  for (int i = 0; i < CROWD; i++) children[i] = spawn_with("count", fd, owners[i] = next++, 0);
  await_ready(shared, CROWD);
  for (int death = 0; death < DEATHS; death++) {
    int victim = death % CROWD;
    usleep((useconds_t)(rand() % 3000));
    CHECK(kill(children[victim], SIGKILL) == 0);
    (void)wait_exit(children[victim]);
    (void)shim_mutex_abandon(&shared->mutex, owners[victim]);
    /* All who are left go on. */
    for (int i = 0; i < CROWD; i++) {
      if (i == victim) continue;
      uint64_t before = atomic_load(&shared->turns[owners[i]]);
      double deadline = now() + 10000;
      while (atomic_load(&shared->turns[owners[i]]) == before && now() < deadline) usleep(100);
      REQUIRE(atomic_load(&shared->turns[owners[i]]) != before);
    }
    children[victim] = spawn_with("count", fd, owners[victim] = next++, 0);
  }
  for (int i = 0; i < CROWD; i++) {
    CHECK(kill(children[i], SIGKILL) == 0);
    (void)wait_exit(children[i]);
  }
  give_up(shared, fd);
}

static void *lock_it(void *argument) {
  struct counter *counter = argument;
  int32_t locked = shim_mutex_wait(&counter->shared->mutex, counter->owner, 0, 10000);
  counter->turns = (unsigned)locked;
  if (locked == SHIM_MUTEX_LOCKED || locked == SHIM_MUTEX_LOCKED_ABANDONED) {
    CHECK(shim_mutex_unlock(&counter->shared->mutex, counter->owner) == 0);
  }
  return NULL;
}

static void *sleep_on_it(void *argument) {
  struct counter *counter = argument;
  (void)shim_wait_on(&counter->shared->mutex, counter->turns,
                     10000000000u); /* woken, and does nothing: dies */
  return NULL;
}

/* The first to sleep is woken for its turn and dies; who sleeps behind it must not be forgotten. `bit`: also
 * where the contended bit was cleared meanwhile, `taken`: and somebody took the mutex without it. */
static void stranded(bool bit, bool taken) {
  int fd;
  struct shared *shared = share(&fd);
  atomic_store(&shared->mutex, 1u | SHIM_MUTEX_CONTENDED);
  struct counter dying = {.shared = shared, .owner = 2, .turns = 1u | SHIM_MUTEX_CONTENDED};
  struct counter waiting = {.shared = shared, .owner = 3};
  pthread_t first, second;
  REQUIRE(pthread_create(&first, NULL, sleep_on_it, &dying) == 0);
  usleep(30000);
  REQUIRE(pthread_create(&second, NULL, lock_it, &waiting) == 0);
  usleep(30000);
  CHECK(shim_mutex_unlock(&shared->mutex, 1) == 0);
  CHECK(pthread_join(first, NULL) == 0);
  if (!bit) atomic_fetch_and(&shared->mutex, ~SHIM_MUTEX_CONTENDED);
  if (taken) CHECK(shim_mutex_try(&shared->mutex, 4) == SHIM_MUTEX_LOCKED);
  CHECK(shim_mutex_abandon(&shared->mutex, 2) == 0);
  if (taken) {
    usleep(30000);
    CHECK(shim_mutex_unlock(&shared->mutex, 4) == 0);
  }
  double before = now();
  CHECK(pthread_join(second, NULL) == 0);
  CHECK(waiting.turns == SHIM_MUTEX_LOCKED && now() - before < 5000);
  give_up(shared, fd);
}

static void woken_and_killed(void) {
  stranded(true, false);
  stranded(false, false);
  stranded(false, true);
}

/* The same with real processes, killed right after the unlock that wakes the first. */
static void waiters_killed(void) {
  enum { ROUNDS = 40 / FEWER };
  for (int round = 0; round < ROUNDS; round++) {
    int fd;
    struct shared *shared = share(&fd);
    CHECK(shim_mutex_try(&shared->mutex, 1) == SHIM_MUTEX_LOCKED);
    pid_t first = spawn_with("park", fd, 2, 0);
    await_ready(shared, 1);
    pid_t second = spawn_with("park", fd, 3, 0);
    await_ready(shared, 2);
    usleep(2000);
    CHECK(shim_mutex_unlock(&shared->mutex, 1) == 0);
    for (volatile int i = 0; i < round * 50; i++) continue;
    CHECK(kill(first, SIGKILL) == 0);
    int status = wait_exit(first);
    (void)shim_mutex_abandon(&shared->mutex, 2);
    double before = now();
    int other = wait_exit(second);
    CHECK(now() - before < 5000);
    /* It took the mutex; "abandoned" where the first one had it already. */
    CHECK(WIFEXITED(other) && (WEXITSTATUS(other) == 10 || WEXITSTATUS(other) == 11));
    CHECK(WIFSIGNALED(status) || WIFEXITED(status));
    give_up(shared, fd);
  }
}

static void timeouts(void) {
  struct mutex mutex = {0};
  CHECK(shim_mutex_try(&mutex.word, 1) == SHIM_MUTEX_LOCKED);
  const uint32_t spins[] = {0, 50, SHIM_SPIN_ONLY};
  for (size_t i = 0; i < sizeof spins / sizeof *spins; i++) {
    double before = now();
    CHECK(shim_mutex_wait(&mutex.word, 2, spins[i], 30) == SHIM_MUTEX_TIMED_OUT);
    double took = now() - before;
    CHECK(took >= 29.9 && took < 3000);
    CHECK(shim_mutex_wait(&mutex.word, 2, spins[i], 0) == SHIM_MUTEX_TIMED_OUT);
  }
  CHECK(shim_mutex_unlock(&mutex.word, 1) == 0);
  CHECK(shim_mutex_wait(&mutex.word, 2, SHIM_SPIN_ONLY, -1) == SHIM_MUTEX_LOCKED);
}

/* ------------------------------------------------------------------------------- asynchronous waits ---- */

static void asynchronous(void) {
  struct inbox *inbox = open_inbox();
  shim_queue *queue = inbox->queue;
  struct mutex mutex = {0};
  shim_event event;
  REQUIRE(shim_mutex_wait_async(queue, 1, &mutex.word, 5, -1) == 0);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.kind == SHIM_EVENT_WAIT && event.request == 1 && event.value == SHIM_MUTEX_LOCKED);
  CHECK(event.source == 0 && event.object == NULL && event.link == NULL);
  CHECK(shim_mutex_wait_async(queue, 2, &mutex.word, 6, 20) == 0);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 2 && event.value == SHIM_MUTEX_TIMED_OUT);
  CHECK(shim_mutex_wait_async(queue, 3, &mutex.word, 6, -1) == 0);
  CHECK(shim_mutex_wait_async(queue, 4, &mutex.word, 7, -1) == 0);
  usleep(20000);
  shim_wait_cancel(queue, 99); /* nobody's */
  shim_wait_cancel(queue, 3);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 3 && event.value == SHIM_MUTEX_CANCELLED);
  CHECK(shim_mutex_abandon(&mutex.word, 5) == 1);
  REQUIRE(next_event(inbox, &event));
  CHECK(event.request == 4 && event.value == SHIM_MUTEX_LOCKED_ABANDONED);

  /* So many and no more; all can be cancelled at once. */
  uint32_t started = 0;
  while (started < 1000 && shim_mutex_wait_async(queue, started, &mutex.word, 8, -1) == 0) started++;
  CHECK(started >= 32 && started <= 256);
  for (uint32_t i = 0; i < started; i++) shim_wait_cancel(queue, i);
  for (uint32_t i = 0; i < started; i++) {
    REQUIRE(next_event(inbox, &event));
    CHECK(event.value == SHIM_MUTEX_CANCELLED);
  }
  CHECK(shim_mutex_unlock(&mutex.word, 7) == 0);
  close_inbox(inbox);
}

struct racing {
  _Atomic uint32_t word, holder;
  _Atomic int go;
};

static void *unlock_it(void *argument) {
  struct racing *racing = argument;
  while (atomic_load(&racing->go) == 0) continue;
  CHECK(shim_mutex_unlock(&racing->word, 1) == 0);
  return NULL;
}

static void cancel_racing(void) {
  enum { ROUNDS = 2000 / FEWER };
  struct inbox *inbox = open_inbox();
  shim_queue *queue = inbox->queue;
  int locked = 0, cancelled = 0;
  for (uint32_t round = 0; round < ROUNDS; round++) {
    struct racing racing = {.word = 1};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, unlock_it, &racing) == 0);
    REQUIRE(shim_mutex_wait_async(queue, round, &racing.word, 2, -1) == 0);
    for (volatile uint32_t i = 0; i < round % 64 * 100; i++) continue;
    atomic_store(&racing.go, 1);
    for (volatile uint32_t i = 0; i < round % 16 * 20; i++) continue;
    shim_wait_cancel(queue, round);
    shim_event event;
    REQUIRE(next_event(inbox, &event));
    CHECK(event.request == round);
    if (event.value == SHIM_MUTEX_LOCKED) {
      locked++;
      CHECK(shim_mutex_unlock(&racing.word, 2) == 0);
    } else {
      cancelled++;
      CHECK(event.value == SHIM_MUTEX_CANCELLED);
    }
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK((atomic_load(&racing.word) & SHIM_MUTEX_OWNER) == 0);
    CHECK(shim_queue_drain(queue, &event, 1) == 0); /* once */
  }
  CHECK(locked + cancelled == ROUNDS);
  close_inbox(inbox);
}

/* A queue that is released while waits run: they go on to their end, and their events nowhere. */
static void released_while_waiting(void) {
  static struct mutex mutex; /* outlives the waits */
  struct inbox *inbox = open_inbox();
  shim_queue *queue = inbox->queue;
  atomic_store(&mutex.word, 1);
  for (uint32_t i = 0; i < 8; i++)
    CHECK(shim_mutex_wait_async(queue, i, &mutex.word, 2, i < 4 ? 50 : -1) == 0);
  usleep(10000);
  size_t before = count_threads();
  for (uint32_t i = 4; i < 8; i++) shim_wait_cancel(queue, i);
  close_inbox(inbox);
  for (int i = 0; i < 2000 && count_threads() + 8 > before; i++) usleep(1000);
  CHECK(count_threads() + 8 <= before);
  usleep(20000); /* for a thread that is gone from the list and not yet from its last line */
}

/* ------------------------------------------------------------------------------------------ malice ---- */

static uint32_t random_word(void) { return (uint32_t)rand() << 16 ^ (uint32_t)rand(); }

static void *scribble(void *argument) {
  struct racing *racing = argument;
  uint32_t state = 12345;
  while (atomic_load(&racing->go) == 0) {
    state = state * 1664525u + 1013904223u;
    atomic_store(&racing->word, state % 8 == 0 ? 0 : state);
    for (volatile int i = 0; i < 50; i++) continue;
  }
  return NULL;
}

static void hostile(void) {
  enum { ROUNDS = 300 };
  for (int round = 0; round < ROUNDS; round++) {
    struct mutex mutex = {random_word(), 0};
    double before = now();
    int32_t result = shim_mutex_wait(&mutex.word, 7, (uint32_t)round % 2 * 10, 1);
    CHECK(result >= SHIM_MUTEX_LOCKED && result <= SHIM_MUTEX_TIMED_OUT);
    CHECK(now() - before < 5000);
    (void)shim_mutex_unlock(&mutex.word, random_word());
    (void)shim_mutex_abandon(&mutex.word, atomic_load(&mutex.word));
    (void)shim_mutex_try(&mutex.word, random_word());
  }
  struct racing racing = {.word = 0};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, scribble, &racing) == 0);
  for (int round = 0; round < ROUNDS; round++) {
    double before = now();
    int32_t result = shim_mutex_wait(&racing.word, 7, 0, 1);
    CHECK(result >= SHIM_MUTEX_LOCKED && result <= SHIM_MUTEX_TIMED_OUT);
    CHECK(now() - before < 5000);
    (void)shim_mutex_unlock(&racing.word, 7);
    (void)shim_mutex_abandon(&racing.word, 7);
    shim_mutex_recheck(&racing.word);
  }
  atomic_store(&racing.go, 1);
  CHECK(pthread_join(thread, NULL) == 0);
}

const struct test tests[] = {
  {"mutex: who holds it, who may free it, what an owner's death leaves", states},
  {"mutex: the pid of who locked it last", holders},
  {"mutex: threads lose no update", threads},
  {"mutex: processes lose no update", processes},
  {"mutex: processes are killed at any moment, the others go on", killed_at_any_moment},
  {"mutex: a waiter that dies between its wake and its turn strands nobody", woken_and_killed},
  {"mutex: a process that is killed as it is woken strands nobody", waiters_killed},
  {"mutex: a wait ends at its time, spinning or asleep", timeouts},
  {"mutex: asynchronous waits end once, by success, time or cancel", asynchronous},
  {"mutex: a cancel races with success, one of them wins", cancel_racing},
  {"mutex: waits outlive their queue", released_while_waiting},
  {"mutex: whatever stands in the word, a wait ends", hostile},
  {NULL, NULL},
};
