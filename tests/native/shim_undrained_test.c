/*
 * shim_undrained_test.c: messages that nobody drains wait in bounded memory, and none is lost.
 */
#define _GNU_SOURCE 1
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../ffi/native/shim/internal.h"
#include "harness.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

/* The next event of a queue, waiting for it at most 20 seconds. */
static bool next(shim_queue *queue, int32_t wake, shim_event *event) {
  while (shim_queue_drain(queue, event, 1) == 0) {
    char bytes[64];
    struct pollfd poller = {.fd = wake, .events = POLLIN};
    if (poll(&poller, 1, 20000) != 1 || read(wake, bytes, sizeof bytes) <= 0) return CHECK(false);
  }
  return true;
}

static void bounded(void) {
  enum { MESSAGES = 60, LENGTH = 4 << 20, LIMIT_KILOBYTES = 100 << 10 };
  int32_t wake = -1;
  shim_queue *queue = shim_queue_create(&wake);
  REQUIRE(queue);
  shim_link *listener = shim_link_listen_anonymous(queue);
  shim_link_activate(listener);
  xpc_endpoint_t endpoint = xpc_endpoint_create(shim_link_connection(listener));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
  xpc_release(endpoint);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_ERROR) dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(client);
  char *bytes = calloc(1, LENGTH);
  /* Each is sent, and its copy here freed, before the next: what then is resident is the receiver's. */
  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  shim_event event;
  xpc_connection_send_message(client, message);
  REQUIRE(next(queue, wake, &event) && event.kind == SHIM_EVENT_PEER);
  shim_link *peer = event.link;
  shim_link_activate(peer);
  REQUIRE(next(queue, wake, &event) && event.kind == SHIM_EVENT_MESSAGE);
  xpc_release(event.object);
  xpc_object_t data = xpc_data_create(bytes, LENGTH);
  free(bytes);
  xpc_dictionary_set_value(message, "data", data);
  xpc_release(data);
  size_t before = resident_kilobytes();
  dispatch_semaphore_t left = dispatch_semaphore_create(0);
  for (int i = 0; i < MESSAGES; i++) {
    xpc_dictionary_set_int64(message, "index", i);
    xpc_connection_send_message(client, message);
    xpc_connection_send_barrier(client, ^{ dispatch_semaphore_signal(left); });
    CHECK(await(left));
  }
  xpc_release(message);
  /* Nothing tells that nothing more comes: look for as long as it takes to receive all of them many times. */
  size_t most = 0;
  for (int i = 0; i < 500 && most < before + LIMIT_KILOBYTES; i++) {
    size_t now = resident_kilobytes();
    if (now > most) most = now;
    usleep(1000);
  }
  /* An address sanitizer keeps what was freed. */
  if (!CHECK(ADDRESS_SANITIZED || most < before + LIMIT_KILOBYTES)) printf("# %zu KiB more\n", most - before);
  for (int i = 0; i < MESSAGES; i++) {
    REQUIRE(next(queue, wake, &event) && event.kind == SHIM_EVENT_MESSAGE);
    CHECK(xpc_dictionary_get_int64(event.object, "index") == i);
    xpc_release(event.object);
  }
  end_connection(client, errors);
  CHECK(next(queue, wake, &event) && event.kind == SHIM_EVENT_ERROR);
  shim_link_release(peer);
  shim_link_cancel(listener);
  CHECK(next(queue, wake, &event) && event.kind == SHIM_EVENT_ERROR);
  shim_link_release(listener);
  shim_queue_release(queue);
  CHECK(close(wake) == 0);
  dispatch_release(errors);
  dispatch_release(left);
}

const struct test tests[] = {
  {"undrained: messages wait in bounded memory", bounded},
  {NULL, NULL},
};
