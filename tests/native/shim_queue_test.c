/*
 * shim_queue_test.c: queues of events: how their owner is told, and what becomes of them when it dies.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "inbox.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define FEWER 10
#else
#define FEWER 1
#endif

/* Started again for nothing. */
int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

/* Any event will do; `source` and `request` tell who pushed it, and when. */
static void push(shim_queue *queue, uint32_t source, uint32_t request) {
  shim_node *node = calloc(1, sizeof *node);
  if (node == NULL) abort();
  node->event = (shim_event){.kind = SHIM_EVENT_BARRIER, .source = source, .request = request};
  shim_queue_push(queue, node);
}

/* ---------------------------------------------------------------------------------- announcements ---- */

static void announcements(void) {
  struct inbox *inbox = open_inbox();
  shim_event events[16];
  CHECK(shim_queue_drain(inbox->queue, events, 16) == 0);
  CHECK(read_wakes(inbox->wake) == 0);
  for (uint32_t i = 0; i < 10; i++) push(inbox->queue, 1, i);
  CHECK(read_wakes(inbox->wake) == 1);
  CHECK(shim_queue_drain(inbox->queue, events, 4) == 4);
  push(inbox->queue, 1, 10);
  CHECK(read_wakes(inbox->wake) == 0); /* whoever drains goes on until nothing is left */
  CHECK(shim_queue_drain(inbox->queue, events, 16) == 7);
  for (uint32_t i = 0; i < 7; i++) CHECK(events[i].request == i + 4);
  for (int round = 0; round < 3; round++) { /* also behind a drain that took exactly all, and said no zero */
    push(inbox->queue, 1, 11);
    push(inbox->queue, 1, 12);
    CHECK(read_wakes(inbox->wake) == 1);
    CHECK(shim_queue_drain(inbox->queue, events, 2) == 2);
  }
  CHECK(shim_queue_drain(inbox->queue, events, 2) == 0 && read_wakes(inbox->wake) == 0);
  /* A byte that nobody read yet is no reason not to announce: the owner may be about to read it. */
  push(inbox->queue, 1, 13);
  CHECK(shim_queue_drain(inbox->queue, events, 1) == 1);
  push(inbox->queue, 1, 14);
  CHECK(read_wakes(inbox->wake) == 2);
  close_inbox(inbox); /* with an event on it */
}

enum { PRODUCERS = 4, EVENTS = 50000 / FEWER };

struct producer {
  shim_queue *queue;
  uint32_t number;
};

static void *produce(void *argument) {
  struct producer *producer = argument;
  for (uint32_t i = 0; i < EVENTS; i++) {
    push(producer->queue, producer->number, i);
    if (i % 64 == 0) sched_yield(); /* so that the queue runs empty now and then */
  }
  return NULL;
}

struct producers {
  pthread_t threads[PRODUCERS];
  struct producer producers[PRODUCERS];
};

static bool start_producers(struct producers *all, shim_queue *queue) {
  for (uint32_t i = 0; i < PRODUCERS; i++) {
    all->producers[i] = (struct producer){.queue = queue, .number = i};
    if (!CHECK(pthread_create(&all->threads[i], NULL, produce, &all->producers[i]) == 0)) return false;
  }
  return true;
}

static void join_producers(struct producers *all) {
  for (int i = 0; i < PRODUCERS; i++) CHECK(pthread_join(all->threads[i], NULL) == 0);
}

/* Counts what came of each producer, which must be in order. */
static void note(uint32_t next[PRODUCERS], const shim_event *events, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    if (CHECK(events[i].source < PRODUCERS)) CHECK(events[i].request == next[events[i].source]++);
  }
}

/* An announcement that is lost leaves this thread asleep with events on the queue. */
static void no_announcement_is_lost(void) {
  struct inbox *inbox = open_inbox();
  struct producers all;
  uint32_t next[PRODUCERS] = {0}, total = 0, drains = 0, bytes = 0;
  REQUIRE(start_producers(&all, inbox->queue));
  while (total < PRODUCERS * EVENTS) {
    int woken = await_wakes(inbox->wake);
    if (!CHECK(woken > 0)) break;
    bytes += (uint32_t)woken;
    shim_event events[7];
    for (uint32_t got; drains++, (got = shim_queue_drain(inbox->queue, events, 7)) > 0; total += got) {
      note(next, events, got);
    }
  }
  join_producers(&all);
  CHECK(total == PRODUCERS * EVENTS);
  bytes += (uint32_t)read_wakes(inbox->wake);
  CHECK(bytes <= drains); /* each but the first follows a drain that left nothing */
  close_inbox(inbox);
}

/* ----------------------------------------------------------------- queues that a thread waits for ---- */

struct drainer {
  shim_queue *queue;
  uint32_t next[PRODUCERS];
  uint32_t total;
};

static void *drain_all(void *argument) {
  struct drainer *drainer = argument;
  while (shim_queue_wait(drainer->queue)) {
    shim_event events[5];
    uint32_t got = shim_queue_drain(drainer->queue, events, 5);
    CHECK(got > 0); /* nobody else drains */
    note(drainer->next, events, got);
    drainer->total += got;
  }
  return NULL;
}

static void waiting(void) {
  struct drainer drainer = {.queue = shim_queue_create(NULL)};
  REQUIRE(drainer.queue != NULL);
  pthread_t thread;
  struct producers all;
  REQUIRE(pthread_create(&thread, NULL, drain_all, &drainer) == 0);
  REQUIRE(start_producers(&all, drainer.queue));
  join_producers(&all);
  shim_queue_finish(drainer.queue); /* what waits is drained before the wait says so */
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(drainer.total == PRODUCERS * EVENTS);
  shim_queue_release(drainer.queue);
}

static void finishing(void) {
  shim_queue *queue = shim_queue_create(NULL);
  REQUIRE(queue != NULL);
  struct drainer drainer = {.queue = queue};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, drain_all, &drainer) == 0);
  usleep(20000); /* most likely it sleeps by now */
  shim_queue_finish(queue);
  CHECK(pthread_join(thread, NULL) == 0);
  shim_queue_finish(queue);
  CHECK(!shim_queue_wait(queue)); /* and again */
  shim_event event;
  push(queue, 0, 0);
  CHECK(shim_queue_wait(queue) && shim_queue_drain(queue, &event, 1) == 1 && !shim_queue_wait(queue));
  push(queue, 0, 1); /* discarded with the queue */
  shim_queue_release(queue);
}

/* ------------------------------------------------------------------------------ the death of a realm ---- */

/* Waits until as many descriptors are open as before: XPC closes a connection's on a thread of its own. */
static bool await_fds(size_t before) {
  for (int i = 0; i < 20000 && count_fds() > before; i++) usleep(1000);
  return count_fds() == before;
}

static xpc_object_t numbered(int64_t number) {
  xpc_object_t message = xpc_dictionary_create_empty();
  xpc_dictionary_set_int64(message, "number", number);
  return message;
}

static void send_numbered(shim_link *link, int64_t number) {
  xpc_object_t message = numbered(number);
  shim_link_send(link, message);
  xpc_release(message);
}

static void request_numbered(shim_link *link, uint32_t number) {
  xpc_object_t message = numbered(number);
  CHECK(shim_link_request(link, message, number) == 0);
  xpc_release(message);
}

static xpc_endpoint_t endpoint_of(const shim_link *listener) {
  return xpc_endpoint_create(shim_link_connection(listener));
}

/* Makes a connection and returns when the other side has answered: from then on it learns of our end. */
static shim_link *open_link(struct inbox *inbox, xpc_endpoint_t service) {
  shim_link *link = shim_link_to_endpoint(inbox->queue, service);
  if (link == NULL) abort();
  shim_link_activate(link);
  request_numbered(link, UINT32_MAX);
  shim_event event;
  if (expect(inbox, &event, SHIM_EVENT_REPLY, link)) {
    CHECK(event.request == UINT32_MAX);
    xpc_release(event.object);
  }
  return link;
}

static void answer(shim_link *peer, xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  shim_link_send(peer, reply);
  xpc_release(reply);
  xpc_release(message);
}

/* Counted when XPC has been used, and has what it keeps as long as the process lives. */
static size_t first_fds(void) {
  static size_t fds;
  if (fds > 0) return fds; /* of the first time: what a test leaves behind shows in those after it, too */
  struct inbox *inbox = open_inbox();
  shim_link *listener = shim_link_listen_anonymous(inbox->queue);
  shim_link_activate(listener);
  xpc_endpoint_t endpoint = endpoint_of(listener);
  shim_link *link = shim_link_to_endpoint(inbox->queue, endpoint);
  xpc_release(endpoint);
  shim_link_activate(link);
  send_numbered(link, 0);
  shim_event event;
  if (!expect(inbox, &event, SHIM_EVENT_PEER, listener)) abort();
  shim_link *peer = event.link;
  shim_link_activate(peer);
  if (!expect(inbox, &event, SHIM_EVENT_MESSAGE, peer)) abort();
  xpc_release(event.object);
  shim_link_cancel(link);
  for (int ends = 0; ends < 2; ends++) { /* of both, in any order */
    if (!next_event(inbox, &event) || !CHECK(event.kind == SHIM_EVENT_ERROR)) abort();
  }
  shim_link_release(link);
  shim_link_release(peer);
  shim_link_cancel(listener);
  expect_end(inbox, listener);
  close_inbox(inbox);
  for (size_t before = 0; before != (fds = count_fds()); before = fds)
    usleep(50000); /* those that close still */
  return fds;
}

/* What a realm on a thread of its own and the test share. */
struct realm {
  /* The test's: */
  xpc_endpoint_t service;
  _Atomic uint32_t held[2], wanted[2]; /* mutexes: the word, and the pid behind it */
  _Atomic uint64_t revision;
  _Atomic uint32_t parked;
  _Atomic uint32_t gone;
  /* The realm's, for the test: */
  xpc_endpoint_t own;
  dispatch_semaphore_t ready;
  dispatch_semaphore_t end;
};

enum { REALM = 5, OTHER = 9, CLIENTS = 4, UNDRAINED = 200 };

/* Uses all that a realm can have, and ends without releasing any of it. */
static void *live_and_die(void *argument) {
  struct realm *realm = argument;
  int32_t wake = -1, bell[2] = {-1, -1};
  shim_queue *queue = shim_queue_create(&wake);
  if (queue == NULL) abort();
  struct inbox inbox = {.queue = queue, .wake = wake};
  CHECK(shim_queue_open_bell(queue, bell) == 0);
  CHECK(shim_descriptor_close(bell[1]) == 0); /* as if a peer had it */
  shim_link *listener = shim_link_listen_anonymous(queue);
  shim_link_activate(listener);
  realm->own = endpoint_of(listener);
  shim_link *link = shim_link_to_endpoint(queue, realm->service);
  shim_link_activate(link);
  CHECK(shim_mutex_try(&realm->held, REALM) == SHIM_MUTEX_LOCKED);
  for (uint32_t i = 0; i < 3; i++) CHECK(shim_mutex_wait_async(queue, i, &realm->wanted, REALM, -1) == 0);
  CHECK(shim_revision_wait_async(queue, 3, &realm->revision, &realm->parked, 0, -1) == 0);
  request_numbered(link, 4); /* nobody answers */
  shim_link *never = shim_link_to_endpoint(queue, realm->service);
  CHECK(never != NULL); /* and never activated */
  dispatch_semaphore_signal(realm->ready);
  /* One client is accepted. What the others and the test send stays on the queue and in the kernel. */
  shim_event event;
  if (expect(&inbox, &event, SHIM_EVENT_PEER, listener)) shim_link_activate(event.link);
  dispatch_semaphore_signal(realm->ready);
  CHECK(await(realm->end));
  return NULL;
}

static void death_of_a_realm(void) {
  size_t fds = first_fds();
  struct inbox *inbox = open_inbox();
  struct realm realm = {.ready = dispatch_semaphore_create(0), .end = dispatch_semaphore_create(0)};
  shim_link *listener = shim_link_listen_anonymous(inbox->queue);
  shim_link_activate(listener);
  realm.service = endpoint_of(listener);
  CHECK(shim_mutex_try(&realm.wanted, OTHER) == SHIM_MUTEX_LOCKED);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, live_and_die, &realm) == 0);
  REQUIRE(await(realm.ready));
  shim_event event;
  REQUIRE(expect(inbox, &event, SHIM_EVENT_PEER, listener));
  shim_link *peer = event.link;
  shim_owner *owner = shim_owner_create(&realm.held, NULL, 0, 1, REALM, &realm.gone, NULL, NULL);
  REQUIRE(owner != NULL && shim_link_on_death(peer, shim_owner_death_call(), owner) == 0);
  shim_link_activate(peer);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_MESSAGE, peer));
  xpc_object_t unanswered = event.object;
  shim_link *clients[CLIENTS];
  for (uint32_t i = 0; i < CLIENTS; i++) {
    clients[i] = shim_link_to_endpoint(inbox->queue, realm.own);
    shim_link_activate(clients[i]);
    request_numbered(clients[i], i);
  }
  REQUIRE(await(realm.ready));
  for (int i = 0; i < UNDRAINED; i++) send_numbered(peer, i); /* suspends the realm's link */
  usleep(50000);                                              /* for what is sent to get there */
  CHECK(atomic_load(&realm.gone) == 0 && (atomic_load(&realm.held[0]) & SHIM_MUTEX_OWNER) == REALM);
  dispatch_semaphore_signal(realm.end);
  CHECK(pthread_join(thread, NULL) == 0);

  /* Its waits are over: nobody locks for it what becomes free now. */
  CHECK(atomic_load(&realm.parked) == 0);
  CHECK(shim_mutex_unlock(&realm.wanted, OTHER) == 0);
  /* All who were connected to it learn of its death, and nobody waits for a reply any more. */
  int replies = 0, ends = 0;
  while (replies < CLIENTS || ends < CLIENTS + 1) {
    REQUIRE(next_event(inbox, &event));
    if (event.kind == SHIM_EVENT_REPLY_ERROR && CHECK(event.request < CLIENTS)) replies++;
    else if (CHECK(event.kind == SHIM_EVENT_ERROR && event.value == SHIM_ERROR_INVALID)) ends++;
  }
  CHECK(replies == CLIENTS && ends == CLIENTS + 1);
  CHECK(atomic_load(&realm.gone) == 1);
  CHECK(shim_mutex_wait(&realm.held, OTHER, 0, 0) == SHIM_MUTEX_LOCKED_ABANDONED);
  CHECK((atomic_load(&realm.wanted[0]) & SHIM_MUTEX_OWNER) == 0);
  for (int i = 0; i < CLIENTS; i++) shim_link_release(clients[i]);
  shim_link_release(peer);
  shim_owner_free(owner);
  xpc_release(unanswered);
  shim_link_cancel(listener);
  expect_end(inbox, listener);
  xpc_release(realm.service);
  xpc_release(realm.own);
  close_inbox(inbox);
  dispatch_release(realm.ready);
  dispatch_release(realm.end);
  CHECK(await_fds(fds)); /* also the sockets that the realm read */
}

/* Realms die at any moment: of their connecting, of their peers' sending and of their own waits. */
static void *live_shortly(void *argument) {
  struct realm *realm = argument;
  int32_t wake = -1;
  struct inbox inbox = {.queue = shim_queue_create(&wake)};
  if (inbox.queue == NULL) abort();
  inbox.wake = wake;
  shim_link *link = open_link(&inbox, realm->service);
  for (uint32_t i = 0; i < 20; i++) request_numbered(link, i);
  CHECK(shim_mutex_wait_async(inbox.queue, 20, &realm->wanted, REALM, -1) == 0);
  CHECK(shim_revision_wait_async(inbox.queue, 21, &realm->revision, &realm->parked, 0, -1) == 0);
  for (volatile uint32_t i = 0; i < atomic_load(&realm->gone) * 2000; i++) continue;
  shim_event events[4]; /* takes some, and leaves some */
  uint32_t got = shim_queue_drain(inbox.queue, events, 4);
  for (uint32_t i = 0; i < got; i++) {
    if (events[i].object) xpc_release(events[i].object);
  }
  return NULL;
}

static void deaths_at_any_moment(void) {
  enum { ROUNDS = 100 };
  size_t fds = first_fds();
  struct inbox *inbox = open_inbox();
  shim_link *listener = shim_link_listen_anonymous(inbox->queue);
  shim_link_activate(listener);
  struct realm realm = {.service = endpoint_of(listener)};
  for (uint32_t round = 0; round < ROUNDS; round++) {
    atomic_store(&realm.gone, round);
    atomic_store(&realm.wanted[0],
                 round % 2 ? OTHER : 0); /* a wait that ends by itself, and one that does not */
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, live_shortly, &realm) == 0);
    shim_event event;
    REQUIRE(expect(inbox, &event, SHIM_EVENT_PEER, listener));
    shim_link *peer = event.link;
    shim_link_activate(peer);
    do {
      REQUIRE(next_event(inbox, &event));
      if (event.kind != SHIM_EVENT_MESSAGE) continue;
      answer(peer, event.object);
      send_numbered(peer, 1);
    } while (event.kind != SHIM_EVENT_ERROR);
    CHECK(event.source == shim_link_id(peer) && event.value == SHIM_ERROR_INVALID);
    CHECK(atomic_load(&realm.parked) == 0); /* the waits end before the links do */
    CHECK(pthread_join(thread, NULL) == 0);
    shim_link_release(peer);
  }
  shim_link_cancel(listener);
  expect_end(inbox, listener);
  xpc_release(realm.service);
  close_inbox(inbox);
  CHECK(await_fds(fds));
}

/* A connection of each of several queues of one thread. */
enum { QUEUES = 3 };

struct several {
  xpc_endpoint_t service;
  int released;        /* this one is released, and its link with it; -1: none */
  bool cancelled_only; /* of the released one: its queue goes while the final event is still to come */
};

static void *live_with_several(void *argument) {
  struct several *several = argument;
  struct inbox *inboxes[QUEUES];
  shim_link *links[QUEUES];
  for (int i = 0; i < QUEUES; i++) {
    inboxes[i] = open_inbox();
    links[i] = open_link(inboxes[i], several->service);
  }
  int released = several->released;
  for (int i = 0; i < QUEUES; i++) {
    if (i == released) {
      shim_link_cancel(links[i]);
      if (several->cancelled_only) shim_link_release(links[i]);
      else expect_end(inboxes[i], links[i]);
      close_inbox(inboxes[i]);
    } else {
      free(inboxes[i]); /* what is in it dies with the thread */
    }
  }
  return NULL;
}

static void several_queues(void) {
  size_t fds = first_fds();
  struct inbox *inbox = open_inbox();
  shim_link *listener = shim_link_listen_anonymous(inbox->queue);
  shim_link_activate(listener);
  struct several several = {.service = endpoint_of(listener)};
  for (several.released = -1; several.released < QUEUES; several.released++) {
    several.cancelled_only = !several.cancelled_only;
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, live_with_several, &several) == 0);
    shim_event event;
    shim_link *peers[QUEUES];
    for (int count = 0, ends = 0; ends < QUEUES;) {
      REQUIRE(next_event(inbox, &event));
      if (event.kind == SHIM_EVENT_PEER) {
        REQUIRE(count < QUEUES);
        peers[count++] = event.link;
        shim_link_activate(event.link);
      } else if (event.kind == SHIM_EVENT_MESSAGE) {
        for (int i = 0; i < count; i++) {
          if (shim_link_id(peers[i]) == event.source) answer(peers[i], event.object);
        }
      } else if (CHECK(event.kind == SHIM_EVENT_ERROR && event.value == SHIM_ERROR_INVALID)) {
        ends++;
      }
    }
    for (int i = 0; i < QUEUES; i++) shim_link_release(peers[i]);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  shim_link_cancel(listener);
  expect_end(inbox, listener);
  xpc_release(several.service);
  close_inbox(inbox);
  CHECK(await_fds(fds));
}

/* A thread that released its queue ends like any other. */
static void *release_and_end(void *argument) {
  struct realm *realm = argument;
  struct inbox *inbox = open_inbox();
  int32_t bell[2];
  CHECK(shim_queue_open_bell(inbox->queue, bell) == 0);
  shim_link *link = shim_link_to_endpoint(inbox->queue, realm->service);
  shim_link_activate(link);
  send_numbered(link, 0);
  shim_link_cancel(link);
  expect_end(inbox, link);
  close_inbox(inbox); /* the doorbell is the realm's to close */
  CHECK(shim_descriptor_close(bell[0]) == 0 && shim_descriptor_close(bell[1]) == 0);
  return NULL;
}

static void release_before_the_end(void) {
  size_t fds = first_fds();
  struct inbox *inbox = open_inbox();
  shim_link *listener = shim_link_listen_anonymous(inbox->queue);
  shim_link_activate(listener);
  struct realm realm = {.service = endpoint_of(listener)};
  for (int round = 0; round < 20; round++) {
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, release_and_end, &realm) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
  }
  shim_link_cancel(listener);
  shim_event event;
  do {
    REQUIRE(next_event(inbox, &event));
    if (event.link == NULL) continue;
    shim_link_cancel(event.link);
    shim_link_release(event.link);
  } while (event.source != shim_link_id(listener) || event.kind != SHIM_EVENT_ERROR);
  shim_link_release(listener);
  xpc_release(realm.service);
  close_inbox(inbox);
  CHECK(await_fds(fds));
}

/* The descriptors that a dead realm had closed itself may be somebody else's by now. */
static void *close_and_reuse(void *argument) {
  int *others = argument;
  int32_t wake = -1, bell[2];
  shim_queue *queue = shim_queue_create(&wake);
  if (queue == NULL || shim_queue_open_bell(queue, bell) != 0) abort();
  CHECK(close(bell[1]) == 0);
  others[0] = dup3(others[2], wake, O_CLOEXEC);
  others[1] = dup3(others[3], bell[0], O_CLOEXEC); /* a socket, too, but another one */
  return NULL;
}

static void others_descriptors(void) {
  size_t fds = count_fds();
  int others[4] = {-1, -1, -1, -1};
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, others + 2) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, close_and_reuse, others) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  for (int i = 0; i < 4; i++) CHECK(close(others[i]) == 0);
  CHECK(await_fds(fds));
}

const struct test tests[] = {
  {"queue: one byte announces all that comes until the queue was drained", announcements},
  {"queue: many producers, and no announcement is lost", no_announcement_is_lost},
  {"queue: a thread that waits gets all there is", waiting},
  {"queue: a wait ends when the queue is finished and empty", finishing},
  {"queue: a realm that dies leaves nothing behind, and all learn of it", death_of_a_realm},
  {"queue: realms die at any moment", deaths_at_any_moment},
  {"queue: the queues of a thread die with it, but for those that it released", several_queues},
  {"queue: a thread that released its queue ends like any other", release_before_the_end},
  {"queue: a realm's death closes nobody else's descriptors", others_descriptors},
  {NULL, NULL},
};
