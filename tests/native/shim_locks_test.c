/*
 * shim_locks_test.c: read-write locks, semaphores, events and waits for several words: exclusion, deaths at any moment,
 * timeouts, malice.
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

#include <shmem_layout.h>

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

#define OWNERS 16

/* What the processes share. */
struct shared {
  _Alignas(128) struct shmem_locks locks;
  _Alignas(128) struct shmem_lock memory;
  _Alignas(128) uint64_t first, second; /* equal while nobody writes, but for a death in between */
  _Alignas(128) _Atomic uint64_t rounds[OWNERS];
  _Atomic uint64_t told; /* how many were told that a writer died */
  _Atomic uint32_t inside, ready;
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

static shim_lock *open_lock(struct shared *shared, uint32_t kind, uint32_t limit, uint32_t owner) {
  shim_lock *lock =
    shim_lock_create(&shared->locks.regions[3], &shared->locks.turns, &shared->memory, kind, limit, owner);
  if (lock == NULL) abort();
  return lock;
}

/* What the server does when a client is dead. */
static void bury(struct shared *shared, uint32_t kind, uint32_t limit, uint32_t dead) {
  shim_lock *lock = open_lock(shared, kind, limit, 1);
  shim_locks *locks = shim_locks_create();
  if (locks == NULL) abort();
  shim_locks_add(locks, lock);
  shim_owner *owner = shim_owner_create(&shared->locks.regions[0], NULL, SHMEM_STRIDE, SHMEM_MAX_REGIONS,
                                        dead, NULL, &shared->locks.turns, locks);
  if (owner == NULL) abort();
  shim_owner_death_call()(owner);
  shim_owner_free(owner);
  shim_locks_remove(locks, lock);
  shim_locks_free(locks);
  shim_lock_free(lock);
}

static void write_once(struct shared *shared, int32_t place) {
  if ((place & SHIM_LOCK_TOLD) != 0) {
    (void)atomic_fetch_add(&shared->told, 1);
    shared->second = shared->first;
  }
  if (shared->first != shared->second) abort();
  shared->first++;
  shared->second++;
}

/* One round: mostly reads, sometimes a write. False when something is wrong. */
static bool read_or_write(struct shared *shared, shim_lock *lock, unsigned round, uint32_t spin) {
  uint32_t mode = round % 3 == 0 ? SHIM_LOCK_WRITE : SHIM_LOCK_TAKE;
  int32_t place = shim_lock_wait(lock, mode, NULL, spin, 20000);
  if (place < 0) return false;
  bool right = true;
  if (mode == SHIM_LOCK_WRITE) write_once(shared, place);
  else right = shared->first == shared->second || (place & SHIM_LOCK_TOLD) != 0;
  return shim_lock_release(lock, mode, place) == 0 && right;
}

/* One round with a unit of a semaphore of three. */
static bool use_unit(struct shared *shared, shim_lock *lock, uint32_t spin) {
  int32_t place = shim_lock_wait(lock, SHIM_LOCK_TAKE, NULL, spin, 20000);
  if (place < 0) return false;
  bool right = atomic_fetch_add(&shared->inside, 1) < 3;
  (void)atomic_fetch_sub(&shared->inside, 1);
  return shim_lock_release(lock, SHIM_LOCK_TAKE, place) == 0 && right;
}

/* ROLE FD OWNER ROUNDS; 0 rounds: until it is killed. */
int run_role(const char *role, char **arguments) {
  struct shared *shared = map(atoi(arguments[0]));
  uint32_t owner = (uint32_t)atoi(arguments[1]);
  unsigned rounds = (unsigned)atoi(arguments[2]);
  bool units = strcmp(role, "units") == 0;
  shim_lock *lock = open_lock(shared, units ? SHIM_LOCK_SEMAPHORE : SHIM_LOCK_RWLOCK, 3, owner);
  atomic_fetch_add(&shared->ready, 1);
  if (strcmp(role, "write") == 0 || strcmp(role, "read") == 0) {
    /* Takes it, or waits for it, and stays. */
    uint32_t mode = *role == 'w' ? SHIM_LOCK_WRITE : SHIM_LOCK_TAKE;
    if (shim_lock_wait(lock, mode, NULL, 0, -1) < 0) return 1;
    atomic_fetch_add(&shared->ready, 1);
    for (;;) pause();
  }
  for (unsigned i = 0; rounds == 0 || i < rounds; i++) {
    if (!(units ? use_unit(shared, lock, i % 3 * 10) : read_or_write(shared, lock, i, i % 3 * 10))) return 2;
    atomic_fetch_add(&shared->rounds[owner], 1);
  }
  return 0;
}

static pid_t spawn_with(const char *role, int fd, uint32_t owner, unsigned rounds) {
  char descriptor[16], number[16], count[16];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  (void)snprintf(number, sizeof number, "%u", owner);
  (void)snprintf(count, sizeof count, "%u", rounds);
  return spawn_role(role, (const char *[]){descriptor, number, count, NULL}, NULL);
}

static void await_ready(struct shared *shared, uint32_t count) {
  for (int i = 0; i < 20000 && atomic_load(&shared->ready) < count; i++) usleep(1000);
  CHECK(atomic_load(&shared->ready) >= count);
}

static void kill_child(pid_t pid) {
  CHECK(kill(pid, SIGKILL) == 0);
  CHECK(WIFSIGNALED(wait_exit(pid)));
}

/* ------------------------------------------------------------------------------------------ states ---- */

static void rwlock_states(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_lock *a = open_lock(shared, SHIM_LOCK_RWLOCK, 0, 2), *b = open_lock(shared, SHIM_LOCK_RWLOCK, 0, 3);
  int32_t first = shim_lock_try(a, SHIM_LOCK_TAKE, false), second = shim_lock_try(b, SHIM_LOCK_TAKE, false);
  CHECK(first == 0 && second == 1 && shim_lock_count(a) == 2);
  CHECK(shim_lock_holder(b) == (uint32_t)getpid());
  /* A claim keeps new readers out, and the lock is had once the readers are gone. */
  CHECK(shim_lock_try(a, SHIM_LOCK_WRITE, false) == SHIM_LOCK_PENDING);
  CHECK(shim_lock_blocks_itself(a, SHIM_LOCK_WRITE) && shim_lock_blocks_itself(a, SHIM_LOCK_TAKE));
  CHECK(!shim_lock_blocks_itself(b, SHIM_LOCK_TAKE) && shim_lock_blocks_itself(b, SHIM_LOCK_WRITE));
  CHECK(shim_lock_try(b, SHIM_LOCK_TAKE, false) == SHIM_LOCK_BUSY);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, false) == SHIM_LOCK_BUSY);
  CHECK(shim_lock_release(b, SHIM_LOCK_TAKE, first) != 0); /* another's */
  CHECK(shim_lock_release(a, SHIM_LOCK_TAKE, first) == 0 &&
        shim_lock_release(b, SHIM_LOCK_TAKE, second) == 0);
  CHECK(shim_lock_release(a, SHIM_LOCK_WRITE, 0) != 0); /* claimed only */
  CHECK(shim_lock_try(a, SHIM_LOCK_WRITE, true) == 0);
  CHECK(shim_lock_release(b, SHIM_LOCK_WRITE, 0) != 0);
  CHECK(shim_lock_wait(b, SHIM_LOCK_TAKE, NULL, 0, 20) == SHIM_LOCK_TIMED_OUT);
  CHECK(shim_lock_wait(b, SHIM_LOCK_WRITE, NULL, SHIM_SPIN_ONLY, 5) == SHIM_LOCK_TIMED_OUT);
  CHECK(shim_lock_release(a, SHIM_LOCK_WRITE, 0) == 0 && shared->memory.state == 0);
  /* A writer that gives up lets the readers in again. */
  first = shim_lock_try(a, SHIM_LOCK_TAKE, false);
  CHECK(shim_lock_wait(b, SHIM_LOCK_WRITE, NULL, 10, 20) == SHIM_LOCK_TIMED_OUT && shared->memory.state == 0);
  second = shim_lock_try(b, SHIM_LOCK_TAKE, false);
  CHECK(second >= 0 && shim_lock_release(b, SHIM_LOCK_TAKE, second) == 0);
  CHECK(shim_lock_release(a, SHIM_LOCK_TAKE, first) == 0);
  shim_lock_free(a);
  shim_lock_free(b);
  give_up(shared, fd);
}

static void rwlock_deaths(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_lock *a = open_lock(shared, SHIM_LOCK_RWLOCK, 0, 2), *b = open_lock(shared, SHIM_LOCK_RWLOCK, 0, 3);
  /* A dead reader, and a dead writer that had only claimed. */
  CHECK(shim_lock_try(a, SHIM_LOCK_TAKE, false) == 0);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, false) == SHIM_LOCK_PENDING);
  bury(shared, SHIM_LOCK_RWLOCK, 0, 3);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, true) ==
        SHIM_LOCK_PENDING); /* an owner that is dead is not seen again */
  shim_lock_unclaim(b);
  bury(shared, SHIM_LOCK_RWLOCK, 0, 2);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, false) == 0); /* not told: nobody wrote */
  /* A dead writer: readers are told until the next writer was. */
  bury(shared, SHIM_LOCK_RWLOCK, 0, 3);
  CHECK(shim_lock_release(b, SHIM_LOCK_WRITE, 0) != 0);
  int32_t reader = shim_lock_try(a, SHIM_LOCK_TAKE, false);
  CHECK(reader == SHIM_LOCK_TOLD);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, false) == SHIM_LOCK_PENDING);
  shim_lock_unclaim(b); /* the next one still learns it */
  CHECK(shim_lock_release(a, SHIM_LOCK_TAKE, reader) == 0);
  CHECK(shim_lock_try(b, SHIM_LOCK_WRITE, false) == SHIM_LOCK_TOLD);
  CHECK(shim_lock_release(b, SHIM_LOCK_WRITE, 0) == 0);
  reader = shim_lock_try(a, SHIM_LOCK_TAKE, false);
  CHECK(reader == 0 && shim_lock_release(a, SHIM_LOCK_TAKE, reader) == 0);
  shim_lock_free(a);
  shim_lock_free(b);
  give_up(shared, fd);
}

static void semaphore_states(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_lock *a = open_lock(shared, SHIM_LOCK_SEMAPHORE, 2, 2),
            *b = open_lock(shared, SHIM_LOCK_SEMAPHORE, 2, 3);
  CHECK(shim_lock_try(a, SHIM_LOCK_TAKE, false) == 0 && shim_lock_try(b, SHIM_LOCK_TAKE, false) == 1);
  CHECK(shim_lock_count(a) == 0 && shim_lock_try(a, SHIM_LOCK_TAKE, false) == SHIM_LOCK_BUSY);
  CHECK(!shim_lock_blocks_itself(a, SHIM_LOCK_TAKE));
  CHECK(shim_lock_release(a, SHIM_LOCK_TAKE, 1) != 0 && shim_lock_release(a, SHIM_LOCK_TAKE, 2) != 0);
  CHECK(shim_lock_release(a, SHIM_LOCK_TAKE, -1) != 0);
  CHECK(shim_lock_wait(a, SHIM_LOCK_TAKE, NULL, 10, 20) == SHIM_LOCK_TIMED_OUT);
  bury(shared, SHIM_LOCK_SEMAPHORE, 2, 3);
  CHECK(shim_lock_count(a) == 1 && shim_lock_release(b, SHIM_LOCK_TAKE, 1) != 0);
  CHECK(shim_lock_try(a, SHIM_LOCK_TAKE, false) == 1 && shim_lock_blocks_itself(a, SHIM_LOCK_TAKE));
  shim_lock_free(a);
  shim_lock_free(b);
  give_up(shared, fd);
}

static void event_states(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_lock *manual = open_lock(shared, SHIM_LOCK_MANUAL, 0, 2);
  uint32_t gone = 1;
  CHECK(shim_lock_try(manual, SHIM_LOCK_TAKE, false) == SHIM_LOCK_BUSY && shim_lock_holder(manual) == 0);
  CHECK(shim_lock_wait(manual, SHIM_LOCK_TAKE, &gone, 0, -1) == SHIM_LOCK_GONE);
  shim_lock_set(manual);
  CHECK(shim_lock_try(manual, SHIM_LOCK_TAKE, false) == 0 &&
        shim_lock_try(manual, SHIM_LOCK_TAKE, false) == 0);
  CHECK(shim_lock_count(manual) == 1);
  shim_lock_reset(manual);
  CHECK(shim_lock_try(manual, SHIM_LOCK_TAKE, false) == SHIM_LOCK_BUSY);
  shim_lock *automatic = open_lock(shared, SHIM_LOCK_AUTO, 0, 2);
  shim_lock_set(automatic);
  shim_lock_set(automatic);
  CHECK(shim_lock_try(automatic, SHIM_LOCK_TAKE, false) == 0);
  CHECK(shim_lock_try(automatic, SHIM_LOCK_TAKE, false) == SHIM_LOCK_BUSY);
  shim_lock_free(manual);
  shim_lock_free(automatic);
  give_up(shared, fd);
}

/* ----------------------------------------------------------------------------------------- turns ---- */

static void turns(void) {
  int fd;
  struct shared *shared = share(&fd);
  struct shmem_lock_region *words = &shared->locks.regions[3];
  shim_turn_give(words, &shared->locks.turns);
  CHECK(words->turns == 0 && shared->locks.turns == 0);
  shim_turn_ask(words, SHIM_WAITING_THREAD);
  CHECK(shim_mutex_try(words, 2) == SHIM_MUTEX_LOCKED);
  CHECK(shim_turn_unlock(words, &shared->locks.turns, 3) != 0 && words->turns == 0);
  CHECK(shim_turn_unlock(words, &shared->locks.turns, 2) == 0);
  CHECK(words->turns == 1 && shared->locks.turns == 0 && words->waiting == 0);
  shim_turn_ask(words, SHIM_WAITING_REALM);
  shim_turn_give(words, &shared->locks.turns);
  shim_turn_give(words, &shared->locks.turns);
  CHECK(words->turns == 1 && shared->locks.turns == 1);
  /* A death has everybody look, whatever the words say. */
  bury(shared, SHIM_LOCK_AUTO, 0, 9);
  CHECK(words->turns == 2 && shared->locks.turns == 2 && shared->locks.regions[255].turns == 1);
  give_up(shared, fd);
}

/* The ways to sleep on several words: the kernel's, and those of older systems. */
static int32_t sleep_by(int way, const shim_sleep *sleeps) {
  uint64_t deadline = shim_deadline(20000);
  if (way == 0) return shim_wait_any(sleeps, 3, 20000);
  if (way == 1) return shim_sleep_on_threads(sleeps, 3, deadline);
  shim_sleep_by_pauses(sleeps, 3, deadline);
  return 0;
}

struct any_wait {
  shim_sleep sleeps[3];
  int way;
  int32_t result;
};

static void *wait_for_any(void *argument) {
  struct any_wait *wait = argument;
  wait->result = 0;
  while (wait->result == 0) {
    for (int i = 0; i < 3; i++) {
      if (shim_word_load(wait->sleeps[i].word) != wait->sleeps[i].expected) return NULL;
    }
    wait->result = sleep_by(wait->way, wait->sleeps);
  }
  return NULL;
}

static void any(void) {
  _Atomic uint32_t words[3] = {1, 2, 3};
  shim_sleep sleeps[SHIM_MAX_SLEEPS + 1];
  for (int i = 0; i <= SHIM_MAX_SLEEPS; i++) {
    sleeps[i] = (shim_sleep){.word = &words[i % 3], .expected = (uint32_t)(i % 3 + 1)};
  }
  CHECK(shim_wait_any(sleeps, 0, -1) != 0 && shim_wait_any(sleeps, SHIM_MAX_SLEEPS + 1, -1) != 0);
  CHECK(shim_wait_any(sleeps, SHIM_MAX_SLEEPS, 5) == 0 && shim_wait_any(sleeps, 1, 5) == 0);
  CHECK(shim_wait_any(sleeps, 3, 0) == 0);
  sleeps[2].expected = 7;
  CHECK(shim_wait_any(sleeps, 3, -1) == 0); /* it differs already */
  for (int i = 0; i < 9; i++) {
    struct any_wait wait = {.way = i / 3};
    for (int j = 0; j < 3; j++) {
      wait.sleeps[j] = (shim_sleep){.word = &words[j], .expected = atomic_load(&words[j])};
    }
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, wait_for_any, &wait) == 0);
    usleep(2000); /* mostly asleep by now; right either way */
    (void)atomic_fetch_add(&words[i % 3], 10);
    (void)shim_wake(&words[i % 3], true);
    REQUIRE(pthread_join(thread, NULL) == 0);
    CHECK(wait.result == 0);
  }
  uint64_t soon = shim_now() + 5000000;
  for (int i = 0; i < 3; i++) sleeps[i] = (shim_sleep){.word = &words[i], .expected = atomic_load(&words[i])};
  CHECK(shim_sleep_on_threads(sleeps, 3, soon) == 0 && shim_now() >= soon);
}

/* ------------------------------------------------------------------------------------- contention ---- */

static void contend(const char *role, unsigned rounds) {
  int fd;
  struct shared *shared = share(&fd);
  pid_t children[8];
  for (uint32_t i = 0; i < 8; i++) children[i] = spawn_with(role, fd, i + 2, rounds);
  uint64_t sum = 0;
  for (uint32_t i = 0; i < 8; i++) {
    CHECK(wait_exit(children[i]) == 0);
    sum += atomic_load(&shared->rounds[i + 2]);
  }
  CHECK(sum == 8ull * rounds);
  CHECK(shared->memory.state == 0 && shared->first == shared->second && atomic_load(&shared->inside) == 0);
  if (strcmp(role, "both") == 0) CHECK(shared->first == 8ull * ((rounds + 2) / 3));
  give_up(shared, fd);
}

static void contended_rwlock(void) { contend("both", 6000 / FEWER); }

static void contended_semaphore(void) { contend("units", 6000 / FEWER); }

/* Children that are killed at any moment, while others go on. */
static void killed_at_any_moment(void) {
  int fd;
  struct shared *shared = share(&fd);
  pid_t steady[2] = {spawn_with("both", fd, 2, 0), spawn_with("both", fd, 3, 0)};
  await_ready(shared, 2);
  unsigned seed = 7;
  for (uint32_t i = 0; i < 60 / FEWER; i++) {
    uint32_t owner = 4 + i % 8;
    atomic_store(&shared->rounds[owner], 0);
    pid_t victim = spawn_with("both", fd, owner, 0);
    await_ready(shared, 3 + i);
    usleep((useconds_t)(rand_r(&seed) % 3000));
    kill_child(victim);
    bury(shared, SHIM_LOCK_RWLOCK, 0, owner);
    /* The others go on, each. */
    for (int other = 2; other < 4; other++) {
      uint64_t before = atomic_load(&shared->rounds[other]);
      int waits = 0;
      while (atomic_load(&shared->rounds[other]) == before && waits++ < 20000) usleep(1000);
      CHECK(waits < 20000);
    }
  }
  for (uint32_t i = 0; i < 2; i++) {
    kill_child(steady[i]);
    bury(shared, SHIM_LOCK_RWLOCK, 0, i + 2);
  }
  for (int i = 0; i < SHMEM_MAX_HOLDERS; i++) CHECK(shared->memory.holders[i].owner == 0);
  CHECK((shared->memory.state & SHMEM_LOCK_OWNER) == 0);
  give_up(shared, fd);
}

/* A writer that waits is killed: the readers that it kept out come in. */
static void killed_waiting_writer(void) {
  int fd;
  struct shared *shared = share(&fd);
  shim_lock *reader = open_lock(shared, SHIM_LOCK_RWLOCK, 0, 1);
  CHECK(shim_lock_try(reader, SHIM_LOCK_TAKE, false) == 0);
  pid_t writer = spawn_with("write", fd, 2, 0);
  for (int i = 0; i < 20000 && shared->memory.state == 0; i++) usleep(1000);
  CHECK(*(_Atomic uint32_t *)&shared->memory.state == (2 | SHMEM_LOCK_CLAIMED));
  pid_t second = spawn_with("read", fd, 3, 0);
  await_ready(shared, 2);
  kill_child(writer);
  bury(shared, SHIM_LOCK_RWLOCK, 0, 2);
  await_ready(shared, 3);
  kill_child(second);
  bury(shared, SHIM_LOCK_RWLOCK, 0, 3);
  CHECK(shim_lock_count(reader) == 1);
  shim_lock_free(reader);
  give_up(shared, fd);
}

/* ----------------------------------------------------------------------------------------- malice ---- */

static uint32_t random_word(unsigned *seed) {
  static const uint32_t odd[] = {0,          1,          2,          0x3fffffff, 0x40000000,
                                 0x80000000, 0xffffffff, 0x40000002, 0x80000002};
  return rand_r(seed) % 2 == 0 ? odd[(size_t)rand_r(seed) % (sizeof odd / sizeof *odd)]
                               : (uint32_t)rand_r(seed);
}

static _Atomic bool enough;

static void *scribble(void *argument) {
  struct shared *shared = argument;
  unsigned seed = 3;
  while (!atomic_load(&enough)) {
    *(_Atomic uint32_t *)&shared->memory.state = random_word(&seed);
    *(_Atomic uint32_t *)&shared->memory.used = random_word(&seed);
    *(_Atomic uint32_t *)&shared->memory.pid = random_word(&seed);
    *(_Atomic uint32_t *)&shared->memory.holders[rand_r(&seed) % 5].owner = random_word(&seed);
    *(_Atomic uint32_t *)&shared->locks.regions[3].waiting = random_word(&seed);
    *(_Atomic uint64_t *)&shared->locks.regions[3].turns = random_word(&seed);
    *(_Atomic uint64_t *)&shared->locks.turns = random_word(&seed);
  }
  return NULL;
}

/* Whatever a peer writes: nothing crashes, and each wait ends. */
static void hostile(void) {
  int fd;
  struct shared *shared = share(&fd);
  atomic_store(&enough, false);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, scribble, shared) == 0);
  for (uint32_t kind = SHIM_LOCK_RWLOCK; kind <= SHIM_LOCK_AUTO; kind++) {
    shim_lock *lock = open_lock(shared, kind, 4, 2);
    for (uint32_t i = 0; i < 400 / FEWER; i++) {
      int32_t place = shim_lock_wait(lock, i % 2, NULL, i % 4, i % 5);
      if (place >= 0) (void)shim_lock_release(lock, i % 2, place);
      (void)shim_lock_release(lock, i % 2, (int32_t)(i * 2654435761u));
      shim_lock_unclaim(lock);
      CHECK(shim_lock_count(lock) <= SHMEM_MAX_HOLDERS);
      (void)shim_lock_holder(lock);
      (void)shim_lock_blocks_itself(lock, i % 2);
      if (i % 100 == 0) bury(shared, kind, 4, 2);
    }
    shim_lock_free(lock);
  }
  atomic_store(&enough, true);
  REQUIRE(pthread_join(thread, NULL) == 0);
  give_up(shared, fd);
}

const struct test tests[] = {
  {"locks: the states of a read-write lock", rwlock_states},
  {"locks: deaths of readers, of a claim and of a writer", rwlock_deaths},
  {"locks: the states of a semaphore", semaphore_states},
  {"locks: the states of events", event_states},
  {"locks: turns are given to those who asked", turns},
  {"locks: a wait for several words ends with each of them", any},
  {"locks: eight processes read and write, and lose nothing", contended_rwlock},
  {"locks: eight processes share three units", contended_semaphore},
  {"locks: processes that are killed at any moment stop nobody", killed_at_any_moment},
  {"locks: a waiting writer that is killed lets the readers in", killed_waiting_writer},
  {"locks: hostile words", hostile},
  {NULL, NULL},
};
