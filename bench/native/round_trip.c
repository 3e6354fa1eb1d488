/*
 * round_trip.c: what C needs to send a word to another process and back: `round_trip spin|futex LAPS BATCHES [CPU CPU]`.
 *
 * One word that both sides increment, as a commit does. With futex, the protocol of the library: who waits says
 * so in a word of its own, looks at the word again and sleeps; who commits asks the kernel only if the other
 * has said that it sleeps. Prints the nanoseconds of a lap, one line a batch.
 */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Where the scheduler puts both on one processor, a round trip takes a tenth: both sides of a ratio are pinned. */
static void stay_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((size_t)processor, &set);
  (void)sched_setaffinity(0, sizeof set, &set); /* where that is not allowed, the times spread */
}

static void sleep_on(void *word, uint32_t expected) {
  (void)syscall(SYS_futex, word, FUTEX_WAIT, expected, NULL, NULL,
                0); /* the caller looks again, whatever it says */
}

static void wake(void *word) { (void)syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0); }
#else
static void stay_on(int processor) { (void)processor; }

extern int os_sync_wait_on_address(void *address, uint64_t value, size_t size, uint32_t flags);
extern int os_sync_wake_by_address_all(void *address, size_t size, uint32_t flags);

static void sleep_on(void *word, uint32_t expected) { (void)os_sync_wait_on_address(word, expected, 4, 1); }

static void wake(void *word) { (void)os_sync_wake_by_address_all(word, 4, 1); }
#endif

/* 128 bytes apart, as the library's. */
struct words {
  _Alignas(128) _Atomic uint64_t revision;
  _Alignas(128) _Atomic uint32_t parked[2][32];
};

static uint64_t now(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) abort();
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void pause_processor(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb");
#endif
}

static void commit(struct words *words, int side, bool parks) {
  (void)atomic_fetch_add(&words->revision, 1);
  if (parks && atomic_load(&words->parked[1 - side][0]) != 0) wake(&words->revision);
}

static uint64_t await(struct words *words, int side, bool parks, uint64_t after) {
  uint64_t seen;
  if (!parks) {
    while ((seen = atomic_load(&words->revision)) == after) pause_processor();
    return seen;
  }
  if ((seen = atomic_load(&words->revision)) != after) return seen;
  (void)atomic_fetch_add(&words->parked[side][0], 1);
  while ((seen = atomic_load(&words->revision)) == after) sleep_on(&words->revision, (uint32_t)after);
  (void)atomic_fetch_sub(&words->parked[side][0], 1);
  return seen;
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 6) {
    fprintf(stderr, "usage: round_trip spin|futex LAPS BATCHES [CPU CPU]\n");
    return 2;
  }
  bool parks = strcmp(argv[1], "futex") == 0;
  long laps = atol(argv[2]);
  long batches = atol(argv[3]);
  struct words *words = mmap(NULL, sizeof *words, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (words == MAP_FAILED) {
    perror("Cannot map");
    return 1;
  }
  if (argc == 6) stay_on(atoi(argv[4]));
  pid_t parent = getpid();
  pid_t peer = fork();
  if (peer < 0) {
    perror("Cannot fork");
    return 1;
  }
  long warm = laps; /* a batch that does not count */
  long total = warm + laps * batches;
  uint64_t revision = 0;
  if (peer == 0) {
#if defined(__linux__)
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a spinning orphan would be a nuisance */
    if (getppid() != parent) _exit(1);
#else
    (void)parent;
#endif
    if (argc == 6) stay_on(atoi(argv[5]));
    for (long lap = 0; lap < total; lap++) {
      revision = await(words, 1, parks, revision);
      commit(words, 1, parks);
      revision++;
    }
    _exit(0);
  }
  for (long batch = -1; batch < batches; batch++) {
    uint64_t begin = now();
    for (long lap = 0; lap < laps; lap++) {
      commit(words, 0, parks);
      revision = await(words, 0, parks, revision + 1);
    }
    if (batch >= 0) printf("%.1f\n", (double)(now() - begin) / (double)laps);
  }
  int status;
  return waitpid(peer, &status, 0) == peer && status == 0 ? 0 : 1;
}
