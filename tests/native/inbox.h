/*
 * inbox.h: a queue of the shim whose owner is the calling thread, as JavaScript uses it: it reads the bytes of the
 * wake socket, then drains.
 */
#ifndef INBOX_H
#define INBOX_H

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../ffi/native/shim/internal.h"
#include "harness.h"

struct inbox {
  shim_queue *queue;
  int32_t wake;
};

/* Reads the bytes that are there; how many. */
static inline int read_wakes(int32_t wake) {
  int count = 0;
  char bytes[64];
  for (ssize_t got; (got = recv(wake, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) count += (int)got;
  return count;
}

/* Waits for 20 seconds until there are bytes, and reads them; how many, 0 when none came. */
static inline int await_wakes(int32_t wake) {
  struct pollfd readable = {.fd = wake, .events = POLLIN};
  return poll(&readable, 1, 20000) == 1 ? read_wakes(wake) : 0;
}

static inline struct inbox *open_inbox(void) {
  struct inbox *inbox = calloc(1, sizeof *inbox);
  if (inbox == NULL) abort();
  inbox->queue = shim_queue_create(&inbox->wake);
  if (inbox->queue == NULL) abort();
  return inbox;
}

static inline void close_inbox(struct inbox *inbox) {
  shim_queue_release(inbox->queue);
  CHECK(close(inbox->wake) == 0);
  free(inbox);
}

/* Waits for the next event; false, and no event, when none comes. */
static inline bool next_event(struct inbox *inbox, shim_event *event) {
  while (shim_queue_drain(inbox->queue, event, 1) == 0) {
    if (CHECK(await_wakes(inbox->wake) > 0)) continue;
    memset(event, 0, sizeof *event);
    return false;
  }
  return true;
}

/* Waits for the next event, which must be of this kind and link. */
static inline bool expect(struct inbox *inbox, shim_event *event, enum shim_event_kind kind,
                          const shim_link *link) {
  if (!next_event(inbox, event)) return false;
  bool right = event->kind == kind && event->source == shim_link_id(link);
  if (!right) {
    printf("# kind %u source %u value %d instead of kind %d\n", event->kind, event->source, event->value,
           kind);
  }
  return CHECK(right);
}

static inline void expect_end(struct inbox *inbox, shim_link *link) {
  shim_event event;
  CHECK(expect(inbox, &event, SHIM_EVENT_ERROR, link) && event.value == SHIM_ERROR_INVALID);
  shim_link_release(link);
}

#endif
