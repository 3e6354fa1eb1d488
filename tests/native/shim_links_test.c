/*
 * shim_links_test.c: connections whose events go to a queue.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inbox.h"

/* A listener and a client of it with their peer, all activated, each side with its inbox. */
struct pair {
  struct inbox *server, *client;
  shim_link *listener, *peer, *link;
};

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

static struct pair open_pair(void) {
  struct pair pair = {.server = open_inbox(), .client = open_inbox()};
  pair.listener = shim_link_listen_anonymous(pair.server->queue);
  shim_link_activate(pair.listener);
  xpc_endpoint_t endpoint = xpc_endpoint_create(shim_link_connection(pair.listener));
  pair.link = shim_link_to_endpoint(pair.client->queue, endpoint);
  xpc_release(endpoint);
  shim_link_activate(pair.link);
  send_numbered(pair.link, -1); /* a listener learns of a client with its first message */
  shim_event event;
  if (!expect(pair.server, &event, SHIM_EVENT_PEER, pair.listener)) abort();
  pair.peer = event.link;
  shim_link_activate(pair.peer);
  if (!expect(pair.server, &event, SHIM_EVENT_MESSAGE, pair.peer)) abort();
  xpc_release(event.object);
  return pair;
}

static void close_pair(struct pair *pair) {
  if (pair->link) {
    shim_link_cancel(pair->link);
    expect_end(pair->client, pair->link);
  }
  if (pair->peer) expect_end(pair->server, pair->peer);
  shim_link_cancel(pair->listener);
  expect_end(pair->server, pair->listener);
  close_inbox(pair->server);
  close_inbox(pair->client);
}

/* "hold" NAME FD: a client of NAME that takes both mutexes and says so, then waits to be killed. */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "hold") != 0) return -1;
  struct inbox *inbox = open_inbox();
  _Atomic uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(arguments[1]), 0);
  shim_link *link = shim_link_to_service(inbox->queue, arguments[0]);
  shim_link_activate(link);
  if (shim_mutex_try(&words[0], 5) != SHIM_MUTEX_LOCKED ||
      shim_mutex_try(&words[32], 5) != SHIM_MUTEX_LOCKED) {
    return 1;
  }
  send_numbered(link, getpid());
  pause();
  return 0;
}

/* A queue goes away with messages and peers on it: peers are rejected, messages released, senders told. */
static void released_with_events(void) {
  struct inbox *server = open_inbox(), *client = open_inbox();
  shim_link *listener = shim_link_listen_anonymous(server->queue);
  shim_link_activate(listener);
  xpc_endpoint_t endpoint = xpc_endpoint_create(shim_link_connection(listener));
  enum { CLIENTS = 5 };
  shim_link *links[CLIENTS];
  for (int i = 0; i < CLIENTS; i++) {
    links[i] = shim_link_to_endpoint(client->queue, endpoint);
    shim_link_activate(links[i]);
    xpc_object_t message = numbered(i);
    CHECK(shim_link_request(links[i], message, (uint32_t)i) == 0);
    xpc_release(message);
  }
  xpc_release(endpoint);
  shim_event event;
  CHECK(expect(server, &event, SHIM_EVENT_PEER, listener)); /* one is taken, with its message undrained */
  shim_link *peer = event.link;
  shim_link_activate(peer);
  usleep(50000); /* for the others and the messages; no byte tells, since the queue was not drained empty */
  shim_link_cancel(peer);
  shim_link_cancel(listener);
  int32_t wake = server->wake;
  shim_queue_release(server->queue);
  shim_link_release(peer);
  shim_link_release(listener);
  int replies = 0, ends = 0;
  while (replies + ends < 2 * CLIENTS && next_event(client, &event)) {
    if (event.kind == SHIM_EVENT_REPLY_ERROR) replies++;
    else if (event.kind == SHIM_EVENT_ERROR && event.value == SHIM_ERROR_INVALID) ends++;
    else CHECK(false);
  }
  CHECK(replies == CLIENTS && ends == CLIENTS);
  for (int i = 0; i < CLIENTS; i++) shim_link_release(links[i]);
  close_inbox(client);
  CHECK(close(wake) == 0);
  free(server);
}

/* ------------------------------------------------------------------------------------------ links ---- */

static void requests(void) {
  struct pair pair = open_pair();
  CHECK(shim_link_id(pair.listener) != 0 && shim_link_id(pair.listener) != shim_link_id(pair.peer));
  CHECK(shim_euid() == geteuid() && xpc_connection_get_euid(shim_link_connection(pair.peer)) == geteuid());
  xpc_object_t request = numbered(7);
  CHECK(shim_link_request(pair.link, request, 70) == 0);
  CHECK(shim_link_request(pair.link, request, 71) == 0);
  CHECK(shim_link_barrier(pair.link, 72) == 0);
  xpc_release(request);
  shim_event event, other;
  REQUIRE(expect(pair.server, &event, SHIM_EVENT_MESSAGE, pair.peer));
  REQUIRE(expect(pair.server, &other, SHIM_EVENT_MESSAGE, pair.peer));
  CHECK(xpc_dictionary_get_int64(event.object, "number") == 7);
  xpc_object_t unanswered = event.object;
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_BARRIER, pair.link) && CHECK(event.request == 72));
  xpc_object_t reply = xpc_dictionary_create_reply(other.object);
  xpc_dictionary_set_int64(reply, "number", 8);
  shim_link_send(pair.peer, reply);
  xpc_release(reply);
  xpc_release(other.object);
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_REPLY, pair.link));
  CHECK(event.request == 71 && xpc_dictionary_get_int64(event.object, "number") == 8);
  xpc_release(event.object);

  /* What is unanswered when the link is cancelled is told so, before the end. */
  shim_link_cancel(pair.link);
  shim_link_cancel(pair.link);
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_REPLY_ERROR, pair.link));
  CHECK(event.request == 70 && event.value == SHIM_ERROR_INVALID);
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_ERROR, pair.link));
  char reason[64];
  CHECK(shim_link_reason(pair.link, reason, sizeof reason) == strlen(reason) && strstr(reason, "cancelled"));
  CHECK(shim_link_reason(pair.link, reason, 5) == 4 && shim_link_reason(pair.link, NULL, 0) == 0);
  request = numbered(9);
  CHECK(shim_link_request(pair.link, request, 73) == 0); /* after the end */
  xpc_release(request);
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_REPLY_ERROR, pair.link));
  CHECK(event.request == 73 && event.value == SHIM_ERROR_INVALID);
  xpc_release(unanswered);
  shim_link_release(pair.link);
  pair.link = NULL;
  close_pair(&pair);
}

static void ends_before_it_starts(void) {
  struct inbox *inbox = open_inbox();
  shim_link *link = shim_link_to_service(inbox->queue, "never activated");
  shim_link_cancel(link);
  expect_end(inbox, link);
  link = shim_link_listen(inbox->queue, "never activated either");
  shim_link_cancel(link);
  expect_end(inbox, link);
  link = shim_link_to_service(inbox->queue, "nobody's");
  shim_link_activate(link);
  shim_link_activate(link);
  expect_end(inbox, link);
  CHECK(shim_link_require(NULL, "anything") == -ENOTSUP);
  close_inbox(inbox);
}

/* More than 64 undrained: what follows stays in the sender, and comes once there is room, in order. */
static void backpressure(void) {
  struct pair pair = open_pair();
  enum { COUNT = 3000 };
  for (int i = 0; i < COUNT; i++) send_numbered(pair.link, i);
  usleep(300000); /* whoever would not hold back had the time to pile them up */
  shim_event events[COUNT];
  uint32_t first = shim_queue_drain(pair.server->queue, events, COUNT);
  CHECK(first >= 64 && first <= 66);
  int64_t expected = 0;
  for (uint32_t got = first;;) {
    for (uint32_t i = 0; i < got; i++) {
      CHECK(events[i].kind == SHIM_EVENT_MESSAGE);
      CHECK(xpc_dictionary_get_int64(events[i].object, "number") == expected++);
      xpc_release(events[i].object);
    }
    if (expected == COUNT) break;
    while ((got = shim_queue_drain(pair.server->queue, events, 7)) == 0)
      REQUIRE(await_wakes(pair.server->wake) > 0);
  }
  close_pair(&pair);
}

/* Cancelled while it is suspended, by us or from afar: the end comes all the same. */
static void ends_while_suspended(void) {
  for (int far = 0; far < 2; far++) {
    struct pair pair = open_pair();
    for (int i = 0; i < 1000; i++) send_numbered(pair.link, i);
    usleep(100000);
    if (far) {
      shim_link_cancel(pair.link);
      expect_end(pair.client, pair.link);
      pair.link = NULL;
    } else {
      shim_link_cancel(pair.peer);
    }
    shim_event event;
    int messages = 0;
    while (next_event(pair.server, &event) && event.kind == SHIM_EVENT_MESSAGE) {
      messages++;
      xpc_release(event.object);
    }
    CHECK(event.kind == SHIM_EVENT_ERROR && event.value == SHIM_ERROR_INVALID && messages >= 64);
    CHECK(event.source == shim_link_id(pair.peer));
    shim_link_release(pair.peer);
    pair.peer = NULL;
    if (!far) {
      expect_end(pair.client, pair.link);
      pair.link = NULL;
    }
    close_pair(&pair);
  }
}

/* Links end at any moment while messages fly both ways. */
static void storm(void) {
  for (int round = 0; round < 100; round++) {
    struct pair pair = open_pair();
    xpc_object_t request = numbered(round);
    for (uint32_t i = 0; i < 20; i++) {
      CHECK(shim_link_request(pair.link, request, i) == 0);
      send_numbered(pair.peer, i);
    }
    xpc_release(request);
    for (volatile int i = 0; i < round * 2000; i++) continue;
    shim_link_cancel(round % 2 ? pair.link : pair.peer);
    shim_event event;
    int settled = 0;
    bool ended = false;
    while (!ended && next_event(pair.client, &event)) {
      if (event.kind == SHIM_EVENT_REPLY_ERROR) settled++;
      ended = event.kind == SHIM_EVENT_ERROR;
      if (event.object) xpc_release(event.object);
    }
    CHECK(ended && settled == 20);
    shim_link_release(pair.link);
    pair.link = NULL;
    do {
      if (!next_event(pair.server, &event)) break;
      if (event.object) xpc_release(event.object);
    } while (event.kind != SHIM_EVENT_ERROR);
    CHECK(event.source == shim_link_id(pair.peer));
    shim_link_release(pair.peer);
    pair.peer = NULL;
    close_pair(&pair);
  }
}

/* Requests and barriers under way all end, and the end of the link is told after them and after nothing else. */
static void end_is_last(void) {
  enum { ROUNDS = 60, REQUESTS = 200, BARRIERS = 50 };
  for (int round = 0; round < ROUNDS; round++) {
    struct pair pair = open_pair();
    for (uint32_t i = 0; i < REQUESTS; i++) {
      xpc_object_t request = numbered(i);
      CHECK(shim_link_request(pair.link, request, i) == 0);
      xpc_release(request);
      if (i % (REQUESTS / BARRIERS) == 0) CHECK(shim_link_barrier(pair.link, REQUESTS + i) == 0);
    }
    shim_event event, events[16];
    for (int answered = 0; answered < round; answered++) {
      REQUIRE(expect(pair.server, &event, SHIM_EVENT_MESSAGE, pair.peer));
      xpc_object_t reply = xpc_dictionary_create_reply(event.object);
      shim_link_send(pair.peer, reply);
      xpc_release(reply);
      xpc_release(event.object);
    }
    shim_link_cancel(round % 2 ? pair.link : pair.peer);
    int replies = 0, barriers = 0;
    bool ended = false, seen[REQUESTS] = {false};
    while (!ended) {
      uint32_t got = shim_queue_drain(pair.client->queue, events, 16);
      if (got == 0) REQUIRE(await_wakes(pair.client->wake) > 0);
      for (uint32_t i = 0; i < got; i++) {
        CHECK(!ended); /* nothing comes behind the end */
        if (events[i].kind == SHIM_EVENT_REPLY || events[i].kind == SHIM_EVENT_REPLY_ERROR) {
          REQUIRE(events[i].request < REQUESTS);
          CHECK(!seen[events[i].request]);
          seen[events[i].request] = true;
          replies++;
        }
        if (events[i].kind == SHIM_EVENT_BARRIER) barriers++;
        if (events[i].kind == SHIM_EVENT_ERROR && CHECK(events[i].value == SHIM_ERROR_INVALID)) ended = true;
        if (events[i].object) xpc_release(events[i].object);
      }
    }
    CHECK(replies == REQUESTS && barriers == BARRIERS);
    shim_link_release(pair.link);
    pair.link = NULL;
    do {
      if (!next_event(pair.server, &event)) break;
      if (event.object) xpc_release(event.object);
    } while (event.kind != SHIM_EVENT_ERROR);
    CHECK(event.source == shim_link_id(pair.peer));
    shim_link_release(pair.peer);
    pair.peer = NULL;
    CHECK(shim_queue_drain(pair.client->queue, events, 16) == 0);
    close_pair(&pair);
  }
}

/* ------------------------------------------------------------------------------------------ deaths ---- */

struct waiting {
  _Atomic uint32_t *word;
  int32_t result;
};

static void *wait_for(void *argument) {
  struct waiting *waiting = argument;
  waiting->result = shim_mutex_wait(waiting->word, 6, 0, 15000);
  return NULL;
}

/* kill -9 of a process that holds mutexes, while we sit in a synchronous wait and drain nothing. */
static void killed(void) {
  int fd = memfd_create("words", 0);
  REQUIRE(fd >= 0 && ftruncate(fd, 4096) == 0);
  _Atomic uint32_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  REQUIRE(words != MAP_FAILED);
  struct inbox *inbox = open_inbox();
  shim_link *listener = shim_link_listen(inbox->queue, "guarded");
  shim_link_activate(listener);
  usleep(100000); /* until it listens: the child takes no second attempt */
  char number[16];
  (void)snprintf(number, sizeof number, "%d", fd);
  pid_t child = spawn_role("hold", (const char *[]){"guarded", number, NULL}, NULL);
  shim_event event;
  REQUIRE(expect(inbox, &event, SHIM_EVENT_PEER, listener));
  shim_link *peer = event.link;
  shim_owner *owner = shim_owner_create(words, NULL, 128, 2, 5, &words[64], NULL, NULL);
  REQUIRE(owner != NULL && shim_link_on_death(peer, shim_owner_death_call(), owner) == 0);
  shim_link_activate(peer);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_MESSAGE, peer));
  CHECK(xpc_dictionary_get_int64(event.object, "number") == child);
  xpc_release(event.object);
  CHECK((atomic_load(&words[0]) & SHIM_MUTEX_OWNER) == 5 &&
        (atomic_load(&words[32]) & SHIM_MUTEX_OWNER) == 5);

  struct waiting waiting = {.word = &words[32]};
  pthread_t thread;
  REQUIRE(pthread_create(&thread, NULL, wait_for, &waiting) == 0);
  usleep(30000);
  double before = shim_clock();
  CHECK(kill(child, SIGKILL) == 0);
  CHECK(pthread_join(thread, NULL) == 0);
  CHECK(waiting.result == SHIM_MUTEX_LOCKED_ABANDONED && shim_clock() - before < 5e9);
  for (int i = 0; i < 5000 && shim_word_load(&words[64]) == 0; i++) usleep(1000);
  CHECK(shim_word_load(&words[64]) == 1);
  CHECK(shim_mutex_wait(&words[0], 6, 0, 5000) == SHIM_MUTEX_LOCKED_ABANDONED);
  (void)wait_exit(child);
  expect_end(inbox, peer);
  shim_owner_free(owner);
  shim_link_cancel(listener);
  expect_end(inbox, listener);
  close_inbox(inbox);
  CHECK(munmap(words, 4096) == 0 && close(fd) == 0);
}

static void owners(void) {
  struct pair pair = open_pair();
  _Atomic uint32_t words[3] = {1, 2, 1};
  _Atomic uint32_t gone = 0;
  shim_owner *first = shim_owner_create(words, NULL, 4, 3, 1, &gone, NULL, NULL),
             *second = shim_owner_create(words, NULL, 4, 3, 2, NULL, NULL, NULL);
  REQUIRE(first != NULL && second != NULL);
  CHECK(shim_link_on_death(pair.link, shim_owner_death_call(), first) == 0);
  shim_link_forget_death(pair.link, first);
  shim_link_cancel(pair.link);
  shim_event event;
  REQUIRE(expect(pair.client, &event, SHIM_EVENT_ERROR, pair.link));
  CHECK(atomic_load(&words[0]) == 1 && atomic_load(&gone) == 0);             /* forgotten before */
  CHECK(shim_link_on_death(pair.link, shim_owner_death_call(), first) == 0); /* invalid already: at once */
  CHECK(atomic_load(&words[0]) == SHIM_MUTEX_ABANDONED && atomic_load(&words[2]) == SHIM_MUTEX_ABANDONED);
  CHECK(atomic_load(&words[1]) == 2 && atomic_load(&gone) == 1);
  CHECK(shim_link_on_death(pair.link, shim_owner_death_call(), second) == 0);
  CHECK(atomic_load(&words[1]) == SHIM_MUTEX_ABANDONED);
  shim_link_forget_death(pair.link, second);
  shim_link_release(pair.link); /* forgets the first by itself */
  shim_owner_free(first);
  shim_owner_free(second);
  pair.link = NULL;
  close_pair(&pair);
}

static void count_death(void *count) { atomic_fetch_add((_Atomic int *)count, 1); }

/* Each call runs once, whether it was given before the death, after it, or while the link dies. */
static void deaths(void) {
  for (int round = 0; round < 50; round++) {
    struct pair pair = open_pair();
    _Atomic int before[3] = {0, 0, 0}, forgotten = 0, during = 0, after = 0, withdrawn = 0;
    for (int i = 0; i < 3; i++) CHECK(shim_link_on_death(pair.peer, count_death, &before[i]) == 0);
    CHECK(shim_link_on_death(pair.peer, count_death, &forgotten) == 0);
    CHECK(shim_link_on_death(pair.peer, count_death, &withdrawn) == 0);
    shim_link_forget_death(pair.peer, &forgotten);
    shim_link_forget_death(pair.peer, &after); /* was never given */
    shim_link_cancel(round % 2 ? pair.link : pair.peer);
    for (volatile int i = 0; i < round * 1000; i++) continue;
    CHECK(shim_link_on_death(pair.peer, count_death, &during) == 0);
    shim_link_forget_death(pair.peer, &withdrawn);
    int seen = atomic_load(&withdrawn); /* whatever it is, it stays */
    shim_event event;
    REQUIRE(expect(pair.server, &event, SHIM_EVENT_ERROR, pair.peer));
    for (int i = 0; i < 3; i++) CHECK(atomic_load(&before[i]) == 1);
    CHECK(atomic_load(&forgotten) == 0 && atomic_load(&during) == 1);
    CHECK(seen <= 1 && atomic_load(&withdrawn) == seen);
    CHECK(shim_link_on_death(pair.peer, count_death, &after) == 0);
    CHECK(atomic_load(&after) == 1);
    shim_link_forget_death(pair.peer, &after);
    CHECK(atomic_load(&after) == 1);
    shim_link_release(pair.peer);
    pair.peer = NULL;
    expect_end(pair.client, pair.link);
    pair.link = NULL;
    close_pair(&pair);
  }
}

static void entries(void) {
  xpc_object_t dictionary = xpc_dictionary_create_empty();
  const char *keys[4] = {0};
  void *values[4] = {0};
  CHECK(shim_dictionary_entries(dictionary, keys, values, 4) == 0 && keys[0] == NULL);
  for (char key[2] = "a"; key[0] <= 'f'; key[0]++) xpc_dictionary_set_int64(dictionary, key, key[0]);
  CHECK(shim_dictionary_entries(dictionary, NULL, NULL, 0) == 6);
  CHECK(shim_dictionary_entries(dictionary, keys, values, 4) == 6);
  for (int i = 0; i < 4; i++) CHECK(xpc_int64_get_value(values[i]) == keys[i][0]);
  xpc_release(dictionary);
}

const struct test tests[] = {
  {"links: a queue goes with what is on it, and no wait is left", released_with_events},
  {"links: requests, replies, barriers, and a cancel in between", requests},
  {"links: a link that never lived ends like any other", ends_before_it_starts},
  {"links: what nobody drains stays in the sender", backpressure},
  {"links: a suspended link ends", ends_while_suspended},
  {"links: links end at any moment", storm},
  {"links: the end comes behind all requests and barriers", end_is_last},
  {"links: kill -9 of a holder frees its mutexes and wakes who waits", killed},
  {"links: an owner's death abandons what it held, unless it was forgotten", owners},
  {"links: a call for the death of a link runs once, and not after it was forgotten", deaths},
  {"links: entries of a dictionary", entries},
  {NULL, NULL},
};
