/*
 * handlers_test.c: handlers that take their time, or wait for each other, hold nobody up.
 */
#define _GNU_SOURCE 1
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

static double now(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) abort();
  return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

typedef void (^message_handler)(xpc_connection_t peer, xpc_object_t message);

static xpc_connection_t listen_for(message_handler handler, dispatch_semaphore_t ended) {
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) {
      dispatch_semaphore_signal(ended);
      return;
    }
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) handler((xpc_connection_t)peer, event);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  return listener;
}

static xpc_connection_t client_of(xpc_connection_t listener, dispatch_semaphore_t errors) {
  xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
  xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
  xpc_release(endpoint);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_ERROR) dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(client);
  return client;
}

static void reply_to(xpc_connection_t peer, xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_dictionary_set_value(reply, "number", xpc_dictionary_get_value(message, "number"));
  xpc_connection_send_message(peer, reply);
  xpc_release(reply);
}

static bool answered(xpc_connection_t client, int64_t number) {
  xpc_object_t request = make_request("x");
  xpc_dictionary_set_int64(request, "number", number);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
  bool right =
    xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_int64(reply, "number") == number;
  xpc_release(reply);
  xpc_release(request);
  return right;
}

/* Handlers sit in something that this library knows nothing of; others are answered meanwhile. */
static void blocked(void) {
  enum { BLOCKED = 45 };
  int pipe_ends[2];
  REQUIRE(pipe(pipe_ends) == 0);
  int inner_end = pipe_ends[0];
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  __block _Atomic int sitting = 0;
  xpc_connection_t listener = listen_for(
    ^(xpc_connection_t peer, xpc_object_t message) {
      if (xpc_dictionary_get_value(message, "number") == NULL) {
        char byte;
        atomic_fetch_add(&sitting, 1);
        CHECK(read(inner_end, &byte, 1) == 1);
      }
      reply_to(peer, message);
    },
    ended);
  xpc_connection_t clients[BLOCKED], other = client_of(listener, errors);
  dispatch_semaphore_t replied = dispatch_semaphore_create(0);
  xpc_object_t request = make_request("sit");
  for (int i = 0; i < BLOCKED; i++) {
    clients[i] = client_of(listener, errors);
    xpc_connection_send_message_with_reply(clients[i], request, NULL, ^(xpc_object_t reply) {
      CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
      dispatch_semaphore_signal(replied);
    });
    if (i % 8 == 0) CHECK(answered(other, i));
  }
  for (int i = 0; i < 10000 && atomic_load(&sitting) < BLOCKED; i++) usleep(1000);
  CHECK(atomic_load(&sitting) == BLOCKED);
  double before = now();
  for (int i = 0; i < 100; i++) CHECK(answered(other, i));
  CHECK(now() - before < 5000);
  for (int i = 0; i < BLOCKED; i++) CHECK(write(pipe_ends[1], "!", 1) == 1);
  for (int i = 0; i < BLOCKED; i++) CHECK(await(replied));
  xpc_release(request);
  for (int i = 0; i < BLOCKED; i++) end_connection(clients[i], errors);
  end_connection(other, errors);
  end_connection(listener, ended);
  CHECK(close(pipe_ends[0]) == 0 && close(pipe_ends[1]) == 0);
  dispatch_release(errors);
  dispatch_release(ended);
  dispatch_release(replied);
}

/* A handler asks another service, whose handler asks a third, all in this process: at once, not after a tick. */
static void chained(void) {
  enum { CHAIN = 6, ROUNDS = 300 };
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  xpc_connection_t listeners[CHAIN], clients[CHAIN];
  for (int i = 0; i < CHAIN; i++) {
    xpc_connection_t further = i ? clients[i - 1] : NULL;
    listeners[i] = listen_for(
      ^(xpc_connection_t peer, xpc_object_t message) {
        if (further) CHECK(answered(further, xpc_dictionary_get_int64(message, "number") + 1));
        reply_to(peer, message);
      },
      ended);
    clients[i] = client_of(listeners[i], errors);
  }
  CHECK(answered(clients[CHAIN - 1], 0));
  double before = now();
  for (int i = 0; i < ROUNDS; i++) CHECK(answered(clients[CHAIN - 1], i));
  double each = (now() - before) / ROUNDS;
  CHECK(ADDRESS_SANITIZED || THREAD_SANITIZED || each < 2 * CHAIN); /* a tick for each would be more */
  for (int i = CHAIN - 1; i >= 0; i--) {
    end_connection(clients[i], errors);
    end_connection(listeners[i], ended);
  }
  dispatch_release(errors);
  dispatch_release(ended);
}

/* Handlers that compute: other connections are served meanwhile, each in order, none twice at a time. */
static void computing(void) {
  enum { CLIENTS = 6, COUNT = 40 };
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  xpc_connection_t listener = listen_for(
    ^(xpc_connection_t peer, xpc_object_t message) {
      double until = now() + (double)(xpc_dictionary_get_int64(message, "number") % 7);
      while (now() < until) continue;
      reply_to(peer, message);
    },
    ended);
  xpc_connection_t clients[CLIENTS];
  dispatch_semaphore_t replied = dispatch_semaphore_create(0);
  for (int i = 0; i < CLIENTS; i++) clients[i] = client_of(listener, errors);
  static int expected[CLIENTS]; /* guarded by the connection's own order */
  memset(expected, 0, sizeof expected);
  for (int j = 0; j < COUNT; j++) {
    for (int i = 0; i < CLIENTS; i++) {
      xpc_object_t request = make_request("x");
      xpc_dictionary_set_int64(request, "number", j);
      xpc_connection_send_message_with_reply(clients[i], request, NULL, ^(xpc_object_t reply) {
        CHECK(xpc_dictionary_get_int64(reply, "number") == expected[i]++);
        dispatch_semaphore_signal(replied);
      });
      xpc_release(request);
    }
  }
  for (int i = 0; i < CLIENTS * COUNT; i++) CHECK(await(replied));
  for (int i = 0; i < CLIENTS; i++) end_connection(clients[i], errors);
  end_connection(listener, ended);
  dispatch_release(errors);
  dispatch_release(ended);
  dispatch_release(replied);
}

const struct test tests[] = {
  {"handlers: however many are blocked, others are served", blocked},
  {"handlers: a handler may ask another", chained},
  {"handlers: those that compute keep to their order and to themselves", computing},
  {NULL, NULL},
};
