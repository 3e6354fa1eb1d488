/*
 * semaphore.c: counting semaphores of libdispatch, and the times that their waits end at.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <time.h>

#include "internal.h"

struct dispatch_semaphore_s {
  struct dispatch_object_s base;
  pthread_mutex_t lock;
  pthread_cond_t given;
  intptr_t value; /* below 0: that many wait */
  intptr_t wakes;
};

static void dispose_semaphore(struct dispatch_object_s *object) {
  struct dispatch_semaphore_s *semaphore = (struct dispatch_semaphore_s *)object;
  pthread_cond_destroy(&semaphore->given);
  pthread_mutex_destroy(&semaphore->lock);
  free(semaphore);
}

static const struct xpc_dispatch_kind semaphore_kind = {
  .name = "a semaphore",
  .unreferenced = dispose_semaphore,
};

dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta) {
  if (when == DISPATCH_TIME_FOREVER) return when;
  if (when == DISPATCH_TIME_NOW) {
    struct timespec now = {0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    when = (uint64_t)now.tv_sec * NSEC_PER_SEC + (uint64_t)now.tv_nsec;
  }
  int64_t sum;
  if (__builtin_add_overflow((int64_t)when, delta, &sum)) return delta > 0 ? DISPATCH_TIME_FOREVER : 1;
  return sum > 0 ? (dispatch_time_t)sum : 1; /* 0 means now */
}

dispatch_semaphore_t dispatch_semaphore_create(intptr_t value) {
  struct dispatch_semaphore_s *semaphore = NULL;
  if (value < 0) return semaphore;
  semaphore = xpc_allocate(sizeof *semaphore);
  semaphore->base.kind = &semaphore_kind;
  atomic_init(&semaphore->base.references, 1);
  semaphore->value = value;
  pthread_mutex_init(&semaphore->lock, NULL);
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&semaphore->given, &attributes);
  pthread_condattr_destroy(&attributes);
  return semaphore;
}

intptr_t dispatch_semaphore_wait(dispatch_semaphore_t dsema, dispatch_time_t timeout) {
  struct timespec deadline = {
    .tv_sec = (time_t)(timeout / NSEC_PER_SEC),
    .tv_nsec = (long)(timeout % NSEC_PER_SEC),
  };
  intptr_t result = 0;
  if (timeout != DISPATCH_TIME_NOW) xpc_io_before_waiting();
  dispatch_retain(dsema); /* the one who signals may release it at once */
  pthread_mutex_lock(&dsema->lock);
  if (--dsema->value < 0) {
    while (dsema->wakes == 0 && result == 0) {
      if (timeout == DISPATCH_TIME_FOREVER) pthread_cond_wait(&dsema->given, &dsema->lock);
      else result = pthread_cond_timedwait(&dsema->given, &dsema->lock, &deadline);
    }
    if (dsema->wakes > 0) {
      dsema->wakes--;
      result = 0;
    } else {
      dsema->value++;
    }
  }
  pthread_mutex_unlock(&dsema->lock);
  dispatch_release(dsema);
  return result;
}

intptr_t dispatch_semaphore_signal(dispatch_semaphore_t dsema) {
  dispatch_retain(dsema); /* the one who waits may release it at once */
  pthread_mutex_lock(&dsema->lock);
  bool waited = dsema->value++ < 0;
  if (waited) {
    dsema->wakes++;
    pthread_cond_signal(&dsema->given);
  }
  pthread_mutex_unlock(&dsema->lock);
  dispatch_release(dsema);
  return waited;
}
