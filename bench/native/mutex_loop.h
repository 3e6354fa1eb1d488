/* mutex_loop.h: times batches of lock and unlock, for C and C++: prints the nanoseconds of a pair, one line a batch. */
#ifndef MUTEX_LOOP_H
#define MUTEX_LOOP_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t now(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) abort();
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* PAIR is a statement that locks and unlocks. */
#define MUTEX_LOOP(argc, argv, PAIR)                                                                         \
  do {                                                                                                       \
    if ((argc) != 3) {                                                                                       \
      fprintf(stderr, "usage: %s PAIRS BATCHES\n", (argv)[0]);                                               \
      return 2;                                                                                              \
    }                                                                                                        \
    long pairs = atol((argv)[1]);                                                                            \
    long batches = atol((argv)[2]);                                                                          \
    for (long batch = -1; batch < batches; batch++) { /* the first warms up */                               \
      uint64_t begin = now();                                                                                \
      for (long pair = 0; pair < pairs; pair++) {                                                            \
        PAIR;                                                                                                \
      }                                                                                                      \
      if (batch >= 0) printf("%.2f\n", (double)(now() - begin) / (double)pairs);                             \
    }                                                                                                        \
  } while (0)

#endif
