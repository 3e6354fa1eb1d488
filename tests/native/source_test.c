/*
 * source_test.c: read sources of libdispatch: when the handlers run, and that nothing follows the last one.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <dispatch/dispatch.h>

#include "harness.h"

/* What the handlers of one source note. */
struct watched {
  int fd;       /* the source's end of the pair */
  int other;    /* our end */
  size_t limit; /* bytes to read in one call of the handler */
  bool cancels; /* the event handler cancels the source */
  bool ignores; /* the event handler reads nothing */
  dispatch_source_t source;
  _Atomic int running, events, bytes, ends, cancels_run, faults;
  dispatch_semaphore_t event, cancelled, go; /* `go`: NULL, or what the event handler waits for */
};

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

static void on_event(void *context) {
  struct watched *watched = context;
  if (atomic_fetch_add(&watched->running, 1) != 0) atomic_fetch_add(&watched->faults, 1);
  if (atomic_load(&watched->cancels_run) != 0) atomic_fetch_add(&watched->faults, 1);
  char bytes[64];
  ssize_t got = watched->ignores ? -1 : read(watched->fd, bytes, watched->limit);
  if (got > 0) atomic_fetch_add(&watched->bytes, (int)got);
  if (got == 0) atomic_fetch_add(&watched->ends, 1);
  if (watched->cancels) dispatch_source_cancel(watched->source);
  atomic_fetch_add(&watched->events, 1);
  dispatch_semaphore_signal(watched->event);
  if (watched->go) CHECK(await(watched->go));
  atomic_fetch_sub(&watched->running, 1);
}

static void on_cancel(void *context) {
  struct watched *watched = context;
  if (atomic_fetch_add(&watched->running, 1) != 0) atomic_fetch_add(&watched->faults, 1);
  CHECK(close(watched->fd) == 0);
  atomic_fetch_add(&watched->cancels_run, 1);
  atomic_fetch_sub(&watched->running, 1);
  dispatch_semaphore_signal(watched->cancelled);
}

static void make(struct watched *watched, dispatch_queue_t queue) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) abort();
  watched->fd = pair[0];
  watched->other = pair[1];
  if (!watched->limit) watched->limit = 1;
  watched->event = dispatch_semaphore_create(0);
  watched->cancelled = dispatch_semaphore_create(0);
  watched->source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)pair[0], 0, queue);
  dispatch_set_context(watched->source, watched);
  CHECK(dispatch_get_context(watched->source) == watched);
  dispatch_source_set_event_handler_f(watched->source, on_event);
  dispatch_source_set_cancel_handler_f(watched->source, on_cancel);
}

/* The cancel handler has run, or runs now. */
static void finish(struct watched *watched) {
  CHECK(await(watched->cancelled));
  CHECK(dispatch_semaphore_wait(watched->cancelled, DISPATCH_TIME_NOW) != 0);
  CHECK(atomic_load(&watched->cancels_run) == 1);
  CHECK(atomic_load(&watched->faults) == 0);
  if (watched->other >= 0) close(watched->other);
  dispatch_release(watched->event);
  dispatch_release(watched->cancelled);
  if (watched->go) dispatch_release(watched->go);
}

static void cancel_and_finish(struct watched *watched) {
  dispatch_source_cancel(watched->source);
  dispatch_release(watched->source);
  finish(watched);
}

static void fires_while_readable(void) {
  struct watched watched = {.limit = 1};
  make(&watched, NULL);
  CHECK(write(watched.other, "abcdefg", 7) == 7); /* before the source is active */
  CHECK(dispatch_semaphore_wait(watched.event, DISPATCH_TIME_NOW) != 0);
  dispatch_activate(watched.source);
  dispatch_activate(watched.source);
  for (int i = 0; i < 7; i++) CHECK(await(watched.event));
  CHECK(atomic_load(&watched.bytes) == 7);
  CHECK(write(watched.other, "h", 1) == 1);
  CHECK(await(watched.event));
  CHECK(atomic_load(&watched.events) == 8 && atomic_load(&watched.bytes) == 8);
  cancel_and_finish(&watched);
}

static void sees_the_end(void) {
  struct watched watched = {.limit = 64};
  dispatch_queue_t queue = dispatch_queue_create("source", DISPATCH_QUEUE_SERIAL);
  make(&watched, queue);
  dispatch_release(queue); /* the source keeps it */
  dispatch_resume(watched.source);
  close(watched.other);
  watched.other = -1;
  for (int i = 0; i < 3; i++) CHECK(await(watched.event)); /* an end stays readable */
  CHECK(atomic_load(&watched.ends) >= 3 && atomic_load(&watched.bytes) == 0);
  cancel_and_finish(&watched);
}

/* As the shim uses it: it sends and never reads, and learns that the reader is gone. */
static void sees_a_hang_up_of_a_reader(void) {
  struct watched watched = {.limit = 64, .cancels = true};
  make(&watched, NULL);
  dispatch_activate(watched.source);
  CHECK(write(watched.fd, "x", 1) == 1);
  CHECK(dispatch_semaphore_wait(watched.event, DISPATCH_TIME_NOW) != 0);
  close(watched.other); /* with a byte unread */
  watched.other = -1;
  CHECK(await(watched.event));
  dispatch_release(watched.source);
  finish(&watched);
  CHECK(atomic_load(&watched.events) == 1);
}

static void cancel_in_the_handler(void) {
  struct watched watched = {.cancels = true, .ignores = true};
  make(&watched, dispatch_get_global_queue(0, 0));
  CHECK(write(watched.other, "ab", 2) == 2);
  dispatch_activate(watched.source);
  CHECK(await(watched.event));
  dispatch_source_cancel(watched.source); /* once more: idempotent */
  dispatch_release(watched.source);
  finish(&watched);
  CHECK(atomic_load(&watched.events) == 1);
}

static void cancel_while_the_handler_runs(void) {
  struct watched watched = {.ignores = true};
  make(&watched, NULL);
  watched.go = dispatch_semaphore_create(0);
  CHECK(write(watched.other, "ab", 2) == 2);
  dispatch_activate(watched.source);
  CHECK(await(watched.event));
  dispatch_source_cancel(watched.source);
  dispatch_release(watched.source);
  CHECK(dispatch_semaphore_wait(watched.cancelled, DISPATCH_TIME_NOW) != 0);
  dispatch_semaphore_signal(watched.go);
  finish(&watched);
  CHECK(atomic_load(&watched.events) == 1);
}

static void cancel_before_activation(void) {
  struct watched watched = {.ignores = true};
  make(&watched, NULL);
  CHECK(write(watched.other, "ab", 2) == 2);
  dispatch_source_cancel(watched.source);
  CHECK(atomic_load(&watched.cancels_run) == 0);
  dispatch_activate(watched.source);
  dispatch_release(watched.source);
  finish(&watched);
  CHECK(atomic_load(&watched.events) == 0);
}

/* Cancels at any moment of a source that fires without pause. */
static void cancel_under_fire(void) {
  for (int i = 0; i < 300; i++) {
    struct watched watched = {.ignores = true};
    dispatch_queue_t queue = i % 2 ? dispatch_queue_create("source", DISPATCH_QUEUE_SERIAL) : NULL;
    make(&watched, queue);
    if (queue) dispatch_release(queue);
    CHECK(write(watched.other, "ab", 2) == 2);
    dispatch_activate(watched.source);
    for (int events = 0; events < i % 5; events++) CHECK(await(watched.event));
    cancel_and_finish(&watched);
  }
}

/* The last release of an active source ends it; nobody cancelled it, so no cancel handler runs. */
static void released_while_active(void) {
  size_t fds = 0;
  for (int i = 0; i < 50; i++) {
    struct watched watched = {.limit = 64};
    dispatch_queue_t queue = dispatch_queue_create("source", DISPATCH_QUEUE_SERIAL);
    make(&watched, queue);
    dispatch_activate(watched.source);
    CHECK(write(watched.other, "ab", 2) == 2);
    CHECK(await(watched.event));
    dispatch_release(watched.source);
    /* A new source of the descriptor is possible only when the old one is gone from epoll. */
    struct watched next = {.fd = watched.fd, .other = -1, .limit = 64};
    next.event = dispatch_semaphore_create(0);
    next.cancelled = dispatch_semaphore_create(0);
    dispatch_sync(queue, ^{});
    next.fd = fcntl(watched.fd, F_DUPFD_CLOEXEC, 0);
    next.source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)next.fd, 0, NULL);
    dispatch_set_context(next.source, &next);
    dispatch_source_set_event_handler_f(next.source, on_event);
    dispatch_source_set_cancel_handler_f(next.source, on_cancel);
    dispatch_activate(next.source);
    CHECK(write(watched.other, "cd", 2) == 2);
    CHECK(await(next.event));
    CHECK(atomic_load(&next.bytes) == 2 && atomic_load(&watched.bytes) == 2);
    cancel_and_finish(&next);
    CHECK(atomic_load(&watched.cancels_run) == 0 && atomic_load(&watched.faults) == 0);
    close(watched.fd);
    close(watched.other);
    dispatch_release(watched.event);
    dispatch_release(watched.cancelled);
    dispatch_release(queue);
    if (i == 1) fds = count_fds();
    if (i > 1) CHECK(count_fds() == fds);
  }
}

static void regular_file(void) {
  struct watched watched = {.limit = 64, .cancels = true};
  make(&watched, NULL);
  dispatch_source_cancel(watched.source);
  dispatch_activate(watched.source);
  dispatch_release(watched.source);
  CHECK(await(watched.cancelled));
  watched.cancels_run = 0;
  watched.fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  watched.source = dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)watched.fd, 0, NULL);
  dispatch_set_context(watched.source, &watched);
  dispatch_source_set_event_handler_f(watched.source, on_event);
  dispatch_source_set_cancel_handler_f(watched.source, on_cancel);
  dispatch_activate(watched.source);
  CHECK(await(watched.event));
  dispatch_release(watched.source);
  finish(&watched);
  CHECK(atomic_load(&watched.bytes) == 64);
}

static void refused(void) {
  CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, (uintptr_t)-1, 0, NULL) == NULL);
  CHECK(dispatch_source_create(DISPATCH_SOURCE_TYPE_READ, 0, 1, NULL) == NULL);
}

const struct test tests[] = {
  {"source: the handler runs while there is something to read", fires_while_readable},
  {"source: an end of file is readable, again and again", sees_the_end},
  {"source: a writer learns that the reader is gone", sees_a_hang_up_of_a_reader},
  {"source: cancelled inside its handler", cancel_in_the_handler},
  {"source: cancelled while its handler runs", cancel_while_the_handler_runs},
  {"source: cancelled before it was activated", cancel_before_activation},
  {"source: cancelled at any moment, nothing follows the cancel handler", cancel_under_fire},
  {"source: released without a cancel", released_while_active},
  {"source: a regular file is always readable", regular_file},
  {"source: what cannot be watched is refused", refused},
  {NULL, NULL},
};
