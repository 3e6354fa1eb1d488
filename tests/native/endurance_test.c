/*
 * endurance_test.c: thousands of connections leave nothing behind; floods stay where they come from.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xpc/linux.h>

#include "harness.h"

#if ADDRESS_SANITIZED || THREAD_SANITIZED
#define ROUNDS 600
#define SLACK_KILOBYTES (1 << 20)
#else
#define ROUNDS 2000
#define SLACK_KILOBYTES (24 << 10)
#endif

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

struct usage {
  size_t fds, threads, mappings, kilobytes;
};

static struct usage measure(void) {
  return (struct usage){count_fds(), count_threads(), count_mappings(), resident_kilobytes()};
}

/* Descriptors are exact; threads come and go with the pool, and each has its stack and arena mapped. */
static void check_usage(struct usage before) {
  struct usage after = measure();
  CHECK(after.fds == before.fds);
  CHECK(after.threads <= before.threads + 8);
  CHECK(after.mappings <= before.mappings + 64);
  CHECK(after.kilobytes <= before.kilobytes + SLACK_KILOBYTES);
}

static void service_rounds(void) {
  pid_t server = start_server("rounds");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t constant = connect_to("rounds", errors);
  struct usage before = {0};
  uint64_t fds = 0;
  for (int i = 0; i < ROUNDS; i++) {
    xpc_connection_t client = connect_to("rounds", errors);
    xpc_object_t reply = ask(client, "ping");
    CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
    xpc_release(reply);
    end_connection(client, errors);
    if (i != ROUNDS / 10) continue;
    before = measure();
    reply = ask(constant, "ping");
    fds = xpc_dictionary_get_uint64(reply, "fds");
    xpc_release(reply);
  }
  check_usage(before);
  uint64_t last = 0;
  for (int i = 0; i < 20000; i++) { /* until the service has seen the last one go */
    xpc_object_t reply = ask(constant, "ping");
    last = xpc_dictionary_get_uint64(reply, "fds");
    xpc_release(reply);
    if (last <= fds) break;
  }
  CHECK(last <= fds);
  end_connection(constant, errors);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
}

/* Both sides in one process: a listener, its endpoint, a client, a reply, the end; a sanitizer sees all. */
static void anonymous_rounds(void) {
  struct usage before = {0};
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), peers = dispatch_semaphore_create(0);
  dispatch_semaphore_t ended = dispatch_semaphore_create(0);
  for (int i = 0; i < ROUNDS; i++) {
    xpc_connection_t listener = xpc_connection_create(NULL, NULL);
    xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
      if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) {
        dispatch_semaphore_signal(ended);
        return;
      }
      xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
        if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) {
          dispatch_semaphore_signal(peers);
          return;
        }
        xpc_object_t reply = xpc_dictionary_create_reply(event);
        if (i % 3) xpc_connection_send_message((xpc_connection_t)peer, reply); /* else dropped */
        xpc_release(reply);
      });
      xpc_connection_activate((xpc_connection_t)peer);
    });
    xpc_connection_activate(listener);
    xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
    xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
    xpc_release(endpoint);
    xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(errors);
    });
    xpc_connection_activate(client);
    xpc_object_t request = make_request("x"), array = xpc_array_create_empty();
    for (int j = 0; j < i % 300; j++) xpc_array_set_fd(array, XPC_ARRAY_APPEND, STDOUT_FILENO);
    xpc_dictionary_set_value(request, "fds", array);
    xpc_release(array);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
    CHECK((xpc_get_type(reply) == XPC_TYPE_DICTIONARY) == (i % 3 != 0));
    xpc_release(reply);
    xpc_release(request);
    end_connection(client, errors);
    CHECK(await(peers));
    end_connection(listener, ended);
    if (i == ROUNDS / 10) before = measure();
  }
  check_usage(before);
  dispatch_release(errors);
  dispatch_release(peers);
  dispatch_release(ended);
}

/* A peer that is received and not wanted, one way or another. */
static void unwanted_peers(void) {
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  __block int count = 0;
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) dispatch_semaphore_signal(ended);
    else if (count++ % 2) xpc_connection_cancel((xpc_connection_t)peer); /* else forgotten */
  });
  xpc_connection_activate(listener);
  xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
  size_t fds = 0;
  for (int i = 0; i < 200; i++) {
    xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
    xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(errors);
    });
    xpc_connection_activate(client);
    CHECK(ask(client, "anybody?") == XPC_ERROR_CONNECTION_INVALID);
    CHECK(await(errors));
    xpc_release(client);
    if (i == 10) fds = count_fds();
  }
  CHECK(count_fds() <= fds + 2);
  xpc_release(endpoint);
  end_connection(listener, ended);
  dispatch_release(errors);
  dispatch_release(ended);
}

/* The peer's process is stopped: what it does not read must not pile up here without end. */
static void slow_peer_of(size_t size, int limit) {
  pid_t server = start_server("slow");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("slow", errors);
  xpc_release(ask(client, "ping"));
  kill(server, SIGSTOP);
  size_t before = resident_kilobytes();
  char *bytes = calloc(1, size);
  xpc_object_t message = make_request("ignored");
  xpc_dictionary_set_data(message, "bytes", bytes, size);
  int sent = 0;
  while (sent < limit && dispatch_semaphore_wait(errors, DISPATCH_TIME_NOW) != 0) {
    xpc_connection_send_message(client, message); /* never blocks */
    sent++;
  }
  CHECK(sent < limit);
  CHECK(ADDRESS_SANITIZED || THREAD_SANITIZED || resident_kilobytes() < before + (160 << 10));
  char *reason = xpc_connection_copy_invalidation_reason(client);
  CHECK(reason && strstr(reason, "too slow") != NULL);
  free(reason);
  free(bytes);
  xpc_release(message);
  xpc_release(client);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
}

static void slow_peer(void) {
  slow_peer_of(1, 2000000);
  slow_peer_of(1 << 20, 2000);
}

/* We do not take what the service sends: it stays there. */
static void flooded(void) {
  pid_t server = start_server("flood");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), first = dispatch_semaphore_create(0);
  dispatch_semaphore_t go_on = dispatch_semaphore_create(0), all = dispatch_semaphore_create(0);
  enum { COUNT = 15000 }; /* below what the service may keep unsent */
  __block _Atomic int seen = 0;
  xpc_connection_t client = xpc_connection_create_mach_service("flood", NULL, 0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) {
      dispatch_semaphore_signal(errors);
      return;
    }
    int now = atomic_fetch_add(&seen, 1) + 1;
    if (now == 1) {
      dispatch_semaphore_signal(first);
      await(go_on); /* a handler that takes its time */
    }
    if (now == COUNT) dispatch_semaphore_signal(all);
  });
  xpc_connection_activate(client);
  xpc_object_t request = make_request("push");
  xpc_dictionary_set_int64(request, "count", COUNT);
  size_t before = resident_kilobytes();
  xpc_connection_send_message(client, request);
  CHECK(await(first));
  xpc_connection_t other = connect_to("flood", errors);
  xpc_release(ask(other, "ping")); /* the service is done with sending, and as alive as ever */
  end_connection(other, errors);
  CHECK(ADDRESS_SANITIZED || THREAD_SANITIZED || resident_kilobytes() < before + 4096);
  dispatch_semaphore_signal(go_on);
  CHECK(await(all)); /* and nothing was lost */
  xpc_release(request);
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(first);
  dispatch_release(go_on);
  dispatch_release(all);
  kill(server, SIGKILL);
  wait_exit(server);
}

/* Everything at once from many threads, ended at any moment. */
static void storm(void) {
  pid_t server = start_server("storm");
  enum { WORKERS = 8, EACH = 60 };
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  for (int worker = 0; worker < WORKERS; worker++) {
    dispatch_async(dispatch_get_global_queue(0, 0), ^{
      for (int i = 0; i < EACH; i++) {
        dispatch_semaphore_t errors = dispatch_semaphore_create(0), replied = dispatch_semaphore_create(0);
        xpc_connection_t client = xpc_connection_create_mach_service("storm", NULL, 0);
        xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
          if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(errors);
        });
        xpc_connection_activate(client);
        xpc_object_t request = make_request(i % 4 == 0 ? "hang up" : i % 4 == 1 ? "hold" : "ping");
        for (int j = 0; j < 5; j++) {
          xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
            (void)reply;
            dispatch_semaphore_signal(replied);
          });
          if (j == i % 7) xpc_connection_suspend(client);
        }
        if (i % 7 < 5) xpc_connection_resume(client);
        xpc_connection_cancel(client);
        for (int j = 0; j < 5; j++) CHECK(await(replied));
        CHECK(await(errors)); /* the final event: nothing signals it any more */
        xpc_release(request);
        xpc_release(client);
        dispatch_release(errors);
        dispatch_release(replied);
      }
      dispatch_semaphore_signal(done);
    });
  }
  for (int worker = 0; worker < WORKERS; worker++) CHECK(await(done));
  dispatch_release(done);
  kill(server, SIGKILL);
  wait_exit(server);
}

/* One descriptor is left, for the client: the listener takes it once there are more. */
static void no_descriptors(void) {
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), replied = dispatch_semaphore_create(0);
  dispatch_semaphore_t left = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  xpc_connection_t listener =
    xpc_connection_create_mach_service("poor", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) {
      dispatch_semaphore_signal(ended);
      return;
    }
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) return;
      xpc_object_t reply = xpc_dictionary_create_reply(event);
      xpc_connection_send_message((xpc_connection_t)peer, reply);
      xpc_release(reply);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  xpc_connection_t early = connect_to("poor", errors); /* so that the listener is known to listen */
  xpc_release(ask(early, "x"));

  struct rlimit before;
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  int next = dup(STDOUT_FILENO);
  close(next);
  struct rlimit tight = {.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
  xpc_connection_t client = connect_to("poor", errors);
  xpc_object_t request = make_request("x");
  __block bool answered = false;
  xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
    answered = xpc_get_type(reply) == XPC_TYPE_DICTIONARY;
    dispatch_semaphore_signal(replied);
  });
  xpc_connection_send_barrier(client, ^{ dispatch_semaphore_signal(left); });
  CHECK(await(left));
  xpc_connection_t refused = connect_to("poor", errors); /* not even a socket for this one */
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INVALID);
  xpc_release(refused);
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(await(replied) && answered);
  xpc_release(request);
  end_connection(client, errors);
  end_connection(early, errors);
  end_connection(listener, ended);
  dispatch_release(errors);
  dispatch_release(replied);
  dispatch_release(left);
  dispatch_release(ended);
}

const struct test tests[] = {
  {"endurance: connections to a service leave nothing behind", service_rounds},
  {"endurance: listeners, endpoints and peers leave nothing behind", anonymous_rounds},
  {"endurance: a peer that nobody wants is closed", unwanted_peers},
  {"endurance: a peer that does not read ends its connection, in bounded memory", slow_peer},
  {"endurance: a flood stays with its sender until it is wanted", flooded},
  {"endurance: a listener out of descriptors goes on when there are some", no_descriptors},
  {"endurance: connections end at any moment, from many threads", storm},
  {NULL, NULL},
};
