/*
 * shim_tiles_test.c: commits that name their ranges, and copies of what changed: nothing is missed, nothing is torn.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <shmem_layout.h>

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

enum { TILE = 256, TILES = 40, LENGTH = TILE * TILES - 56, AT = TILE * TILES, WRITER = 1, OTHER = 2 };

/* A region, its words, and one client that never parks. */
struct scene {
  _Alignas(128) char data[AT];
  struct shmem_tiles tiles;
  _Atomic uint64_t revisions[TILES];
  _Alignas(128) _Atomic uint64_t revision;
  _Alignas(128) _Atomic uint32_t mutex[2];
  _Atomic uint32_t stop;
  _Atomic uint32_t next; /* the writer's next tile, for the next writer */
};

static struct scene *map(int fd) {
  void *address = mmap(NULL, sizeof(struct scene), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) abort();
  return address;
}

static struct scene *share(int *fd) {
  *fd = memfd_create("scene", 0);
  if (*fd < 0 || ftruncate(*fd, sizeof(struct scene)) != 0) abort();
  return map(*fd);
}

static void end_scene(struct scene *scene, int fd) {
  CHECK(munmap(scene, sizeof *scene) == 0 && close(fd) == 0);
}

static shim_tiles tiles_of(struct scene *scene, uint64_t owner) {
  return (shim_tiles){.data = scene->data,
                      .length = LENGTH,
                      .tile_bytes = TILE,
                      .revision = &scene->revision,
                      .mutex = scene->mutex,
                      .owner = owner};
}

static double commit(struct scene *scene, shim_audience *audience, const double *ranges, uint32_t count) {
  shim_tiles tiles = tiles_of(scene, WRITER);
  return shim_tiles_commit(&tiles, audience, 0, ranges, count);
}

struct copied {
  int32_t result;
  double revision, bytes, consistent, locked;
};

static struct copied copy(struct scene *scene, uint64_t owner, char *target, double since,
                          double milliseconds) {
  shim_tiles tiles = tiles_of(scene, owner);
  double out[4];
  int32_t result = shim_tiles_copy_wait(&tiles, target, since, milliseconds, out);
  return (struct copied){result, out[0], out[1], out[2], out[3]};
}

#define IS(copied, is_revision, is_bytes)                                                                    \
  ((copied).result == 0 && (copied).revision == (is_revision) && (copied).bytes == (is_bytes) &&             \
   (copied).consistent == 1 && (copied).locked == 0)

static void what_is_copied(void) {
  int fd;
  struct scene *scene = share(&fd);
  shim_audience *audience = shim_audience_create();
  char target[LENGTH];
  CHECK(IS(copy(scene, 0, target, 0, 0), 0, LENGTH)); /* nothing was committed: all of it, each time */
  CHECK(IS(copy(scene, 0, target, 0, 0), 0, LENGTH));
  CHECK(shim_revision_commit(audience, &scene->revision, 0) == 1);
  CHECK(IS(copy(scene, 0, target, 0, 0), 1, LENGTH));
  CHECK(IS(copy(scene, 0, target, 1, 0), 1, 0));

  const double ranges[] = {TILE, 1, 2 * TILE - 1, 2, LENGTH - 1, 1, 7, 0};
  memset(scene->data, 1, LENGTH);
  CHECK(commit(scene, audience, ranges, 4) == 2); /* tiles 1, 1 and 2, the last; and none */
  memset(target, 0, LENGTH);
  CHECK(IS(copy(scene, 0, target, 1, 0), 2, 2 * TILE + TILE - 56));
  for (int i = 0; i < LENGTH; i++)
    CHECK((target[i] != 0) == (i / TILE == 1 || i / TILE == 2 || i / TILE == TILES - 1));
  CHECK(IS(copy(scene, 0, target, 2, 0), 2, 0));

  CHECK(commit(scene, audience, ranges, 0) == 3); /* no tile */
  CHECK(IS(copy(scene, 0, target, 2, 0), 3, 0));
  CHECK(commit(scene, audience, ranges, 1) == 4);
  CHECK(IS(copy(scene, 0, target, 3, 0), 4, TILE));
  CHECK(IS(copy(scene, 0, target, 1, 0), 4, 2 * TILE + TILE - 56)); /* all since then */

  CHECK(shim_revision_commit(audience, &scene->revision, 0) == 5); /* of everything */
  CHECK(IS(copy(scene, 0, target, 4, 0), 5, LENGTH));
  CHECK(commit(scene, audience, ranges, 1) == 6);
  CHECK(IS(copy(scene, 0, target, 5, 0), 6, TILE)); /* the gap is before 5 */
  CHECK(IS(copy(scene, 0, target, 4, 0), 6, LENGTH));

  const double strange[] = {7, 1e300, -1, NAN, INFINITY, -INFINITY, 0.5}; /* of the future, or none */
  for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
    CHECK(IS(copy(scene, 0, target, strange[i], 0), 6, LENGTH));
  }
  /* Ranges that cannot be touch nothing; the caller has checked them. */
  const double wrong[] = {LENGTH, 1, -1, 2, NAN, 1, 0, INFINITY, 1e300, 1, 0, NAN, 0, LENGTH + 1};
  CHECK(commit(scene, audience, wrong, 7) == 7);
  CHECK(IS(copy(scene, 0, target, 6, 0), 7, 0));
  shim_audience_free(audience);
  end_scene(scene, fd);
}

static void which_parts_changed(void) {
  int fd;
  struct scene *scene = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_tiles tiles = tiles_of(scene, 0);
  double runs[6] = {-1, -1, -1, -1, -1, -1};
  CHECK(shim_tiles_changed(&tiles, 0, 0, runs, 3) == 1 && runs[0] == 0 && runs[1] == LENGTH);
  CHECK(shim_revision_commit(audience, &scene->revision, 0) == 1);
  const double ranges[] = {0, 2 * TILE, 5 * TILE, 1, LENGTH - 1, 1, 7 * TILE, 1};
  CHECK(commit(scene, audience, ranges, 4) == 2);
  CHECK(shim_tiles_changed(&tiles, 1, 2, runs, 0) == 4);
  CHECK(shim_tiles_changed(&tiles, 1, 2, runs, 3) == 4); /* as many as there is room for */
  CHECK(runs[0] == 0 && runs[1] == 2 * TILE && runs[2] == 5 * TILE && runs[3] == TILE && runs[4] == 7 * TILE);
  CHECK(shim_tiles_changed(&tiles, 2, 2, runs, 3) == 0);
  CHECK(shim_tiles_changed(&tiles, 3, 2, runs, 3) == 1 && runs[1] == LENGTH);
  CHECK(shim_revision_commit(audience, &scene->revision, 0) == 3);
  CHECK(shim_tiles_changed(&tiles, 1, 2, runs, 3) == 4); /* what came after does not count */
  CHECK(shim_tiles_changed(&tiles, 2, 3, runs, 3) == 1 && runs[0] == 0 && runs[1] == LENGTH);
  shim_audience_free(audience);
  end_scene(scene, fd);
}

/* A server of an older kind has no tiles. */
static void without_tiles(void) {
  int fd;
  struct scene *scene = share(&fd);
  shim_audience *audience = shim_audience_create();
  shim_tiles tiles = tiles_of(scene, WRITER);
  tiles.tile_bytes = 0;
  char target[LENGTH];
  double out[4], runs[2];
  const double range[] = {0, 1};
  CHECK(shim_tiles_commit(&tiles, audience, 0, range, 1) == 1);
  CHECK(scene->tiles.ranged == 0 && scene->revisions[0] == 0);
  CHECK(shim_tiles_copy_wait(&tiles, target, 0, 0, out) == 0 && out[0] == 1 && out[1] == LENGTH);
  CHECK(shim_tiles_copy_wait(&tiles, target, 1, 0, out) == 0 && out[1] == 0);
  CHECK(shim_tiles_commit(&tiles, audience, 0, range, 1) == 2);
  CHECK(shim_tiles_copy_wait(&tiles, target, 1, 0, out) == 0 && out[0] == 2 && out[1] == LENGTH);
  CHECK(shim_tiles_changed(&tiles, 1, 2, runs, 1) == 1 && runs[1] == LENGTH);
  CHECK(shim_tiles_changed(&tiles, 2, 2, runs, 1) == 0);
  shim_audience_free(audience);
  end_scene(scene, fd);
}

/* Somebody holds the mutex all the time, or died while it held it. */
static void who_holds_the_mutex(void) {
  int fd;
  struct scene *scene = share(&fd);
  char target[LENGTH];
  CHECK(shim_mutex_try(scene->mutex, WRITER) == SHIM_MUTEX_LOCKED);
  CHECK(copy(scene, 0, target, 0, 20).result == -ETIMEDOUT);
  CHECK(copy(scene, OTHER, target, 0, 20).result == -ETIMEDOUT);
  CHECK(copy(scene, 0, target, 0, 0).result == -ETIMEDOUT);
  CHECK(IS(copy(scene, WRITER, target, 0, 0), 0, LENGTH)); /* its holder */
  CHECK(shim_mutex_abandon(scene->mutex, WRITER) == 1);
  CHECK(copy(scene, 0, target, 0, 20).result == -ETIMEDOUT);
  CHECK(copy(scene, OTHER, target, 0, 60).result == -ETIMEDOUT);
  CHECK(shim_mutex_try(scene->mutex, OTHER) ==
        SHIM_MUTEX_LOCKED_ABANDONED); /* which the copies left for it */
  CHECK(IS(copy(scene, OTHER, target, 0, 0), 0, LENGTH));
  CHECK(shim_mutex_unlock(scene->mutex, OTHER) == 0);
  CHECK(IS(copy(scene, 0, target, 0, 0), 0, LENGTH));
  end_scene(scene, fd);
}

/* ------------------------------------------------------------------------------ writers and readers ---- */

/* Fills a tile with one stamp. TSan may look at it: the mutex orders writers. */
static void fill(struct scene *scene, uint32_t tile, char stamp) {
  uint64_t from = (uint64_t)tile * TILE, end = from + TILE < LENGTH ? from + TILE : LENGTH;
  memset(scene->data + from, stamp, end - from);
}

/* Writes tile after tile until it is told to stop: stamps follow each other, so that a reader can tell which came. */
static int write_all(struct scene *scene, uint32_t owner, shim_audience *audience) {
  shim_tiles tiles = tiles_of(scene, owner);
  for (uint32_t round = 0; atomic_load(&scene->stop) == 0; round++) {
    int32_t locked = shim_mutex_wait(scene->mutex, owner, 50, 10000);
    if (locked != SHIM_MUTEX_LOCKED && locked != SHIM_MUTEX_LOCKED_ABANDONED) return 1;
    if (locked == SHIM_MUTEX_LOCKED_ABANDONED) {
      /* Mends what the dead one left: everything anew. */
      for (uint32_t tile = 0; tile < TILES; tile++) fill(scene, tile, (char)round);
      (void)shim_revision_commit(audience, &scene->revision, 0);
    }
    uint32_t tile = atomic_load(&scene->next) % TILES;
    atomic_store(&scene->next, tile * 7 + round % 5 + 1);
    fill(scene, tile, (char)(scene->data[(uint64_t)tile * TILE] + 1));
    double range[] = {(double)tile * TILE + round % TILE / 2, 1};
    if (round % 64 == 63) (void)shim_revision_commit(audience, &scene->revision, 0);
    else (void)shim_tiles_commit(&tiles, audience, 0, range, 1);
    if (shim_mutex_unlock(scene->mutex, owner) != 0) return 2;
  }
  return 0;
}

/* Copies until it has seen `rounds` changes; 0 if no copy had a torn tile. */
static int read_all(struct scene *scene, uint32_t owner, uint32_t rounds, uint32_t *locked) {
  static _Thread_local char target[LENGTH];
  double since = 0;
  for (uint32_t round = 0; round < rounds;) {
    struct copied copied = copy(scene, owner, target, since, 20000);
    if (copied.result != 0) return 1;
    if (copied.locked != 0) (*locked)++;
    if (copied.revision == since) continue;
    round++;
    since = copied.revision;
    for (uint64_t i = 0; i < LENGTH; i++) {
      if (target[i] != target[i / TILE * TILE]) return 2;
    }
    if (copied.consistent == 0 || round % 16 != 0) continue;
    /* Under the mutex the region stands still: nothing was missed up to here. */
    if (owner == 0) continue;
    int32_t lock = shim_mutex_wait(scene->mutex, owner, 50, 20000);
    if (lock == SHIM_MUTEX_LOCKED_ABANDONED) { /* for a writer, which mends */
      (void)shim_mutex_abandon(scene->mutex, owner);
      continue;
    }
    if (lock != SHIM_MUTEX_LOCKED) return 3;
    copied = copy(scene, owner, target, since, 0);
    int differs = copied.result != 0 || memcmp(target, scene->data, LENGTH) != 0;
    (void)shim_mutex_unlock(scene->mutex, owner);
    if (differs) return 4;
    since = copied.revision;
  }
  return 0;
}

struct party {
  struct scene *scene;
  uint32_t owner, rounds, locked;
  int result;
};

static void *write_in_thread(void *argument) {
  struct party *party = argument;
  shim_audience *audience = shim_audience_create();
  party->result = write_all(party->scene, party->owner, audience);
  shim_audience_free(audience);
  return NULL;
}

static void *read_in_thread(void *argument) {
  struct party *party = argument;
  party->result = read_all(party->scene, party->owner, party->rounds, &party->locked);
  return NULL;
}

/* "write" FD OWNER: until it is told to stop, or killed. */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "write") != 0) return -1;
  shim_audience *audience = shim_audience_create();
  int result = write_all(map(atoi(arguments[0])), (uint32_t)atoi(arguments[1]), audience);
  shim_audience_free(audience);
  return result;
}

static void threads(void) {
  int fd;
  struct scene *scene = share(&fd);
  struct party parties[] = {{.scene = scene, .owner = WRITER},
                            {.scene = scene, .owner = OTHER},
                            {.scene = scene, .owner = 3, .rounds = 500 / FEWER},
                            {.scene = scene, .owner = 0, .rounds = 20 / FEWER}};
  pthread_t ids[4];
  for (int i = 0; i < 4; i++) {
    REQUIRE(pthread_create(&ids[i], NULL, i < 2 ? write_in_thread : read_in_thread, &parties[i]) == 0);
  }
  for (int i = 3; i >= 0; i--) {
    if (i == 1) atomic_store(&scene->stop, 1);
    CHECK(pthread_join(ids[i], NULL) == 0);
    if (!CHECK(parties[i].result == 0)) printf("# party %d: %d\n", i, parties[i].result);
  }
  end_scene(scene, fd);
}

/* A writer that lets go of the mutex for a moment only does not keep a reader away that may lock it. */
static void a_writer_that_never_stops(void) {
  int fd;
  struct scene *scene = share(&fd);
  struct party writer = {.scene = scene, .owner = WRITER};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, write_in_thread, &writer) == 0);
  uint32_t locked = 0;
  CHECK(read_all(scene, OTHER, 300 / FEWER, &locked) == 0);
  atomic_store(&scene->stop, 1);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(writer.result == 0);
  end_scene(scene, fd);
}

/* Whoever commits all the time without the mutex, of everything: the copy locks, and is done. */
static void *commit_in_thread(void *argument) {
  struct scene *scene = argument;
  shim_audience *audience = shim_audience_create();
  while (atomic_load(&scene->stop) == 0) (void)shim_revision_commit(audience, &scene->revision, 0);
  shim_audience_free(audience);
  return NULL;
}

static void commits_without_the_mutex(void) {
  int fd;
  struct scene *scene = share(&fd);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, commit_in_thread, scene) == 0);
  static char target[LENGTH];
  while (atomic_load(&scene->revision) == 0) continue;
  for (int i = 0; i < 100; i++) {
    struct copied copied = copy(scene, OTHER, target, 0, 10000);
    CHECK(copied.result == 0);
  }
  CHECK(shim_mutex_try(scene->mutex, OTHER) == SHIM_MUTEX_LOCKED); /* none kept it */
  CHECK(copy(scene, OTHER, target, 0, 10000).result == 0);         /* nor does its holder wait for ever */
  atomic_store(&scene->stop, 1);
  CHECK(pthread_join(thread, NULL) == 0);
  end_scene(scene, fd);
}

/* Whoever waits longer than a moment sleeps for the mutex, and says so. */
static void a_long_wait(void) {
  int fd;
  struct scene *scene = share(&fd);
  uint32_t locked = 0;
  for (int i = 0; i < 50 && locked == 0; i++) {
    struct party reader = {.scene = scene, .owner = OTHER, .rounds = 1};
    pthread_t thread;
    CHECK(shim_mutex_try(scene->mutex, WRITER) == SHIM_MUTEX_LOCKED);
    (void)atomic_fetch_add(&scene->revision, 1);
    REQUIRE(pthread_create(&thread, NULL, read_in_thread, &reader) == 0);
    while ((atomic_load(&scene->mutex[0]) & SHIM_MUTEX_CONTENDED) == 0) usleep(100);
    CHECK(shim_mutex_unlock(scene->mutex, WRITER) == 0);
    CHECK(pthread_join(thread, NULL) == 0 && reader.result == 0);
    locked = reader.locked; /* or not, where it woke by itself just then */
  }
  CHECK(locked == 1);
  end_scene(scene, fd);
}

/* Writers are killed at any moment; who comes next mends what they left, and the reader sees no torn tile. */
static void killed_writers(void) {
  int fd;
  struct scene *scene = share(&fd);
  char descriptor[16], number[16];
  (void)snprintf(descriptor, sizeof descriptor, "%d", fd);
  struct party reader = {.scene = scene, .owner = 3, .rounds = 1000 / FEWER};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, read_in_thread, &reader) == 0);
  for (uint32_t round = 0; round < 30; round++) {
    (void)snprintf(number, sizeof number, "%u", 10 + round);
    uint64_t before = atomic_load(&scene->revision);
    pid_t child = spawn_role("write", (const char *[]){descriptor, number, NULL}, NULL);
    while (atomic_load(&scene->revision) < before + 20 + round) usleep(100);
    CHECK(kill(child, SIGKILL) == 0);
    (void)wait_exit(child);
    (void)shim_mutex_abandon(scene->mutex, 10 + round);
  }
  struct party writer = {.scene = scene, .owner = WRITER}; /* for the reader to come to its end */
  pthread_t last;
  REQUIRE(pthread_create(&last, NULL, write_in_thread, &writer) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  if (!CHECK(reader.result == 0)) printf("# %d\n", reader.result);
  atomic_store(&scene->stop, 1);
  CHECK(pthread_join(last, NULL) == 0 && writer.result == 0);
  end_scene(scene, fd);
}

/* A peer that writes what it likes: calls end, and stay inside of the region. */
static void hostile(void) {
  int fd;
  struct scene *scene = share(&fd);
  shim_audience *audience = shim_audience_create();
  static char target[LENGTH];
  const uint64_t values[] = {UINT64_MAX, UINT64_MAX - 1, UINT64_C(1) << 63, (UINT64_C(1) << 53) + 1, 0, 1};
  enum { VALUES = sizeof values / sizeof *values };
  unsigned state = 1;
  for (int i = 0; i < 2000; i++) {
    atomic_store(&scene->revision, values[rand_r(&state) % VALUES]);
    scene->tiles.ranged = values[rand_r(&state) % VALUES];
    scene->tiles.whole = values[rand_r(&state) % VALUES];
    for (int tile = 0; tile < TILES; tile++) scene->revisions[tile] = values[rand_r(&state) % VALUES];
    atomic_store(&scene->mutex[0], rand_r(&state) % 2 == 0 ? 0 : (uint32_t)rand_r(&state));
    struct copied copied = copy(scene, rand_r(&state) % 2 ? OTHER : 0, target, i % 3, 0);
    CHECK(copied.result == 0 || copied.result == -ETIMEDOUT);
    CHECK(copied.bytes >= 0 && copied.bytes <= 4.0 * LENGTH);
    shim_tiles tiles = tiles_of(scene, 0);
    double runs[2 * TILES];
    CHECK(shim_tiles_changed(&tiles, i % 3, 3, runs, TILES) <= TILES);
    const double range[] = {0, LENGTH};
    (void)commit(scene, audience, range, 1);
  }
  shim_audience_free(audience);
  end_scene(scene, fd);
}

const struct test tests[] = {
  {"tiles: what changed is copied, and nothing else", what_is_copied},
  {"tiles: which parts changed", which_parts_changed},
  {"tiles: a region without tiles is copied as a whole", without_tiles},
  {"tiles: a copy waits for whoever holds the mutex, and leaves what a dead one left to the next",
   who_holds_the_mutex},
  {"tiles: two writers and two readers: no tile is torn, none is missed", threads},
  {"tiles: a writer that never stops does not keep a reader away", a_writer_that_never_stops},
  {"tiles: a copy that waits for long locks the mutex", a_long_wait},
  {"tiles: nor do commits without the mutex", commits_without_the_mutex},
  {"tiles: writers that are killed leave no torn tile to a reader", killed_writers},
  {"tiles: whatever stands in the words, calls end", hostile},
  {NULL, NULL},
};
