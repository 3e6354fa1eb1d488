/* end.c: the thread of a client or a server: it drains the queue of events, and looks at doorbells. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define EVENTS 32

/* ----------------------------------------------------------------------------------------- waiting ---- */

#if defined(__APPLE__)
static bool make_condition(pthread_cond_t *condition) { return pthread_cond_init(condition, NULL) == 0; }

static int wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t nanoseconds) {
  struct timespec time = {.tv_sec = (time_t)(nanoseconds / 1000000000u),
                          .tv_nsec = (long)(nanoseconds % 1000000000u)};
  return pthread_cond_timedwait_relative_np(condition, lock, &time);
}
#else
static bool make_condition(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  if (pthread_condattr_init(&attributes) != 0) return false;
  bool made = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0 &&
              pthread_cond_init(condition, &attributes) == 0;
  (void)pthread_condattr_destroy(&attributes); /* cannot fail */
  return made;
}

static int wait_for(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t nanoseconds) {
  uint64_t until = shim_now() + nanoseconds;
  struct timespec time = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};
  return pthread_cond_timedwait(condition, lock, &time);
}
#endif

bool end_wait(struct end *end, uint64_t deadline) {
  if (deadline == UINT64_MAX) {
    (void)pthread_cond_wait(&end->changed, &end->lock); /* the caller looks what changed */
    return true;
  }
  uint64_t now = shim_now();
  if (now >= deadline) return false;
  (void)wait_for(&end->changed, &end->lock, deadline - now); /* likewise */
  return true;
}

/* ----------------------------------------------------------------------------------------- requests ---- */

static bool send_request(struct end *end, struct link_entry *entry, xpc_object_t request,
                         struct waiting *waiting) {
  waiting->request = ++end->last_request;
  bool sent = shim_link_request(entry->link, request, waiting->request) == 0;
  xpc_release(request);
  if (!sent) return false;
  waiting->next = end->waiting;
  end->waiting = waiting;
  return true;
}

static void forget(struct end *end, const struct waiting *waiting) {
  for (struct waiting **place = &end->waiting; *place; place = &(*place)->next) {
    if (*place != waiting) continue;
    *place = waiting->next;
    return;
  }
}

xpc_object_t end_ask(struct end *end, struct link_entry *entry, xpc_object_t request, uint64_t deadline) {
  struct waiting waiting = {0};
  if (!send_request(end, entry, request, &waiting)) return NULL;
  while (!waiting.done && end_wait(end, deadline)) continue;
  if (!waiting.done) forget(end, &waiting);
  return waiting.reply;
}

bool end_request(struct end *end, struct link_entry *entry, xpc_object_t request, peer_then then) {
  struct waiting *waiting = calloc(1, sizeof *waiting);
  if (!waiting) {
    xpc_release(request);
    return false;
  }
  waiting->then = then;
  if (send_request(end, entry, request, waiting)) return true;
  free(waiting);
  return false;
}

static void take_reply(struct end *end, const shim_event *event) {
  struct waiting *waiting = end->waiting;
  while (waiting && waiting->request != event->request) waiting = waiting->next;
  if (!waiting) { /* nobody waits any more */
    if (event->object) xpc_release(event->object);
    return;
  }
  forget(end, waiting);
  waiting->done = true;
  waiting->reply = event->object;
  if (!waiting->then) return;
  waiting->then(end, waiting->reply);
  if (waiting->reply) xpc_release(waiting->reply);
  free(waiting);
}

/* ------------------------------------------------------------------------------------------- links ---- */

struct link_entry *end_add(struct end *end, shim_link *link, void *context) {
  struct link_entry *entry = link ? calloc(1, sizeof *entry) : NULL;
  if (!entry) {
    if (link) shim_link_reject(link); /* its last event finds no entry */
    return NULL;
  }
  *entry = (struct link_entry){.next = end->links, .link = link, .context = context};
  end->links = entry;
  if (end->stopping) shim_link_cancel(link);
  return entry;
}

static struct link_entry *find_link(const struct end *end, uint32_t id) {
  struct link_entry *entry = end->links;
  while (entry && shim_link_id(entry->link) != id) entry = entry->next;
  return entry;
}

static void take_error(struct end *end, const shim_event *event) {
  struct link_entry *entry = find_link(end, event->source);
  if (!entry) return;
  if (event->value != SHIM_ERROR_INVALID) {
    /* A broker that ended: its connection would serve the next one, but a new one is simpler. */
    if (event->value != SHIM_ERROR_TERMINATING) shim_link_cancel(entry->link);
    return;
  }
  for (struct link_entry **place = &end->links; *place; place = &(*place)->next) {
    if (*place != entry) continue;
    *place = entry->next;
    break;
  }
  end->calls->ended(end, entry);
  shim_link_release(entry->link);
  free(entry);
}

static void take_message(struct end *end, const shim_event *event) {
  struct link_entry *entry = find_link(end, event->source);
  if (entry && end->calls->message && !end->stopping) end->calls->message(end, entry, event->object);
  xpc_release(event->object);
}

static void take_event(struct end *end, const shim_event *event) {
  switch (event->kind) {
    case SHIM_EVENT_MESSAGE: take_message(end, event); break;
    case SHIM_EVENT_REPLY:
    case SHIM_EVENT_REPLY_ERROR: take_reply(end, event); break;
    case SHIM_EVENT_ERROR: take_error(end, event); break;
    case SHIM_EVENT_PEER:
      if (end->calls->peer && !end->stopping) end->calls->peer(end, event->link);
      else shim_link_reject(event->link);
      break;
    default: break;
  }
}

/* ------------------------------------------------------------------------------------------ thread ---- */

bool bell_take(int fd) {
  char bytes[256];
  ssize_t length;
  do length = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
  while (length == (ssize_t)sizeof bytes || (length < 0 && errno == EINTR));
  return length != 0;
}

void bell_close(int32_t *fd) {
  if (*fd >= 0) (void)shim_descriptor_close(*fd); /* a socket of ours, without data that could be lost */
  *fd = -1;
}

void end_poke(struct end *end) {
  if (end->poke[1] >= 0) (void)shim_bell_ring(end->poke[1]); /* cannot fail while the thread lives */
}

/* The descriptors to sleep on: room for all was made before. */
static uint32_t fill(struct end *end) {
  uint32_t wanted = end->extra_polls + 2;
  if (wanted > end->poll_capacity) {
    uint32_t capacity = wanted + 16;
    struct pollfd *polls = realloc(end->polls, capacity * sizeof *polls);
    if (polls) {
      end->polls = polls;
      end->poll_capacity = capacity;
    }
  }
  end->polls[0] = (struct pollfd){.fd = end->wake, .events = POLLIN};
  end->polls[1] = (struct pollfd){.fd = end->poke[0], .events = POLLIN};
  if (!end->calls->poll_fill) return 2;
  return 2 + end->calls->poll_fill(end, end->polls + 2, end->poll_capacity - 2);
}

static int timeout_until(uint64_t deadline) {
  if (deadline == UINT64_MAX) return -1;
  uint64_t now = shim_now();
  if (deadline <= now) return 0;
  uint64_t milliseconds = (deadline - now) / 1000000u + 1;
  return milliseconds > 60000 ? 60000 : (int)milliseconds; /* then it looks again */
}

static void drain(struct end *end) {
  shim_event events[EVENTS];
  for (uint32_t count; (count = shim_queue_drain(end->queue, events, EVENTS)) > 0;) {
    for (uint32_t i = 0; i < count; i++) take_event(end, &events[i]);
  }
}

static void turn(struct end *end) {
  uint64_t next = end->calls->tick && !end->stopping ? end->calls->tick(end) : UINT64_MAX;
  uint32_t count = fill(end);
  pthread_mutex_unlock(&end->lock);
  (void)poll(end->polls, count, timeout_until(next)); /* whatever it says, all is looked at */
  (void)bell_take(end->wake);                         /* both live as long as the thread */
  (void)bell_take(end->poke[0]);
  pthread_mutex_lock(&end->lock);
  if (end->calls->polled) end->calls->polled(end, end->polls + 2, count - 2);
  drain(end);
  (void)pthread_cond_broadcast(&end->changed); /* cannot fail */
}

static void *run(void *argument) {
  struct end *end = argument;
  pthread_mutex_lock(&end->lock);
  /* Here, since the queue belongs to the thread that makes it. */
  end->queue = shim_queue_create(&end->wake);
  end->started = true;
  end->failed = !end->queue;
  (void)pthread_cond_broadcast(&end->changed);
  while (!end->failed && !(end->stopping && !end->links)) turn(end);
  pthread_mutex_unlock(&end->lock);
  if (!end->queue) return NULL;
  shim_queue_release(end->queue);
  (void)close(end->wake);
  return NULL;
}

static void destroy(struct end *end) {
  bell_close(&end->poke[0]);
  bell_close(&end->poke[1]);
  free(end->polls);
  end->polls = NULL;
  (void)pthread_cond_destroy(&end->changed);
  (void)pthread_mutex_destroy(&end->lock);
}

int end_start(struct end *end, const struct end_calls *calls) {
  end->calls = calls;
  end->poke[0] = end->poke[1] = -1;
  if (pthread_mutex_init(&end->lock, NULL) != 0) return XSHM_MEMORY;
  if (!make_condition(&end->changed)) {
    (void)pthread_mutex_destroy(&end->lock);
    return XSHM_MEMORY;
  }
  end->poll_capacity = 18;
  end->polls = calloc(end->poll_capacity, sizeof *end->polls);
  if (!end->polls || shim_bell_pair(end->poke) != 0 || pthread_create(&end->thread, NULL, run, end) != 0) {
    destroy(end);
    return XSHM_MEMORY;
  }
  pthread_mutex_lock(&end->lock);
  while (!end->started) (void)end_wait(end, UINT64_MAX);
  pthread_mutex_unlock(&end->lock);
  if (!end->failed) return XSHM_OK;
  (void)pthread_join(end->thread, NULL);
  destroy(end);
  return XSHM_MEMORY;
}

void end_free_opened(struct end *end) {
  while (end->streams) {
    struct xshm_stream *stream = end->streams;
    end->streams = stream->next;
    stream_free(stream);
  }
  while (end->regions) {
    struct xshm_region *region = end->regions;
    end->regions = region->next;
    region_free(region);
  }
}

void end_unmap(const shim_mapping *mapping) {
  if (mapping->address) (void)shim_memory_close(mapping->address, mapping->mapped);
}

void end_stop(struct end *end) {
  pthread_mutex_lock(&end->lock);
  end->stopping = true;
  for (struct link_entry *entry = end->links; entry; entry = entry->next) shim_link_cancel(entry->link);
  end_poke(end);
  pthread_mutex_unlock(&end->lock);
  (void)pthread_join(end->thread, NULL); /* it ends: each link has its last event */
  destroy(end);
}
