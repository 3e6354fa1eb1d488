/*
 * transfer_test.c: endpoints, shared memory and descriptors on their way between processes.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xpc/linux.h>

#include "harness.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

static void stop(pid_t pid) {
  kill(pid, SIGKILL);
  wait_exit(pid);
}

static xpc_connection_t connect_endpoint(xpc_object_t endpoint, dispatch_semaphore_t errors) {
  xpc_connection_t connection = xpc_connection_create_from_endpoint(endpoint);
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    if (xpc_get_type(event) != XPC_TYPE_ERROR) return;
    last_error = event;
    dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(connection);
  return connection;
}

static void endpoints(void) {
  pid_t server = start_server("endpoints");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), direct_errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("endpoints", errors);
  xpc_object_t reply = ask(client, "endpoint");
  xpc_object_t endpoint = xpc_retain(xpc_dictionary_get_value(reply, "endpoint"));
  CHECK(xpc_get_type(endpoint) == XPC_TYPE_ENDPOINT);
  xpc_release(reply);
  enum { COUNT = 20 };
  xpc_connection_t direct[COUNT];
  for (int i = 0; i < COUNT; i++) {
    direct[i] = connect_endpoint(endpoint, direct_errors);
    reply = ask(direct[i], "who");
    CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_int64(reply, "pid") == server);
    CHECK(xpc_connection_get_pid(direct[i]) == server && xpc_connection_get_euid(direct[i]) == geteuid());
    xpc_release(reply);
  }
  stop(server);
  for (int i = 0; i < COUNT; i++) CHECK(await(direct_errors) && last_error != NULL);
  for (int i = 0; i < COUNT; i++) { /* an endpoint's connection never comes back */
    CHECK(ask(direct[i], "who") == XPC_ERROR_CONNECTION_INVALID);
    xpc_release(direct[i]);
  }
  xpc_connection_t late = connect_endpoint(endpoint, direct_errors); /* a stale endpoint */
  CHECK(ask(late, "who") == XPC_ERROR_CONNECTION_INVALID);
  CHECK(await(direct_errors));
  xpc_release(late);
  xpc_release(endpoint);
  CHECK(await(errors)); /* the service's own connection was interrupted meanwhile */
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(direct_errors);
}

/* Our own listener, anonymous or a service, reached by the server through an endpoint that we send. */
static void called_back_at(xpc_connection_t listener) {
  pid_t server = start_server("callback");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), ended = dispatch_semaphore_create(0);
  dispatch_semaphore_t peer_ended = dispatch_semaphore_create(0);
  __block pid_t caller = 0;
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) == XPC_TYPE_ERROR) {
      dispatch_semaphore_signal(ended);
      return;
    }
    caller = xpc_connection_get_pid((xpc_connection_t)peer);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_ERROR) {
        CHECK(event == XPC_ERROR_CONNECTION_INVALID);
        dispatch_semaphore_signal(peer_ended);
        return;
      }
      xpc_object_t answer = xpc_dictionary_create_reply(event);
      CHECK(xpc_dictionary_create_reply(event) == NULL);
      xpc_dictionary_set_int64(answer, "pid", getpid());
      xpc_connection_send_message(xpc_dictionary_get_remote_connection(event), answer);
      xpc_release(answer);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  xpc_connection_t client = connect_to("callback", errors);
  xpc_object_t request = make_request("call back");
  xpc_dictionary_set_connection(request, "endpoint", listener);
  xpc_object_t copy = xpc_copy(request);
  CHECK(xpc_equal(copy, request) && xpc_hash(copy) == xpc_hash(request));
  xpc_release(copy);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
  CHECK(xpc_dictionary_get_int64(reply, "caller") == getpid());
  CHECK(caller == server);
  CHECK(await(peer_ended));
  xpc_release(reply);
  xpc_release(request);
  end_connection(client, errors);
  end_connection(listener, ended);
  dispatch_release(errors);
  dispatch_release(ended);
  dispatch_release(peer_ended);
  stop(server);
}

static void called_back(void) {
  called_back_at(xpc_connection_create(NULL, NULL));
  called_back_at(xpc_connection_create_mach_service("our own", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER));
}

static void shared_memory(void) {
  pid_t server = start_server("shmem");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("shmem", errors);
  xpc_release(ask(client, "ping"));
  size_t fds = count_fds(), mappings = count_mappings();
  const size_t lengths[] = {1, 4096, 100000, 100 << 20};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    unsigned char *bytes = xpc_linux_shmem_allocate(lengths[i]);
    xpc_object_t request = make_request("shmem"), box = xpc_shmem_create(bytes, lengths[i]);
    xpc_dictionary_set_value(request, "shmem", box);
    xpc_release(box);
    for (int round = 1; round <= 3; round++) {
      xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
      CHECK(xpc_dictionary_get_uint64(reply, "mapped") == (lengths[i] + 4095) / 4096 * 4096);
      CHECK(bytes[0] == round && bytes[(lengths[i] - 1) / 4096 * 4096] == round);
      xpc_release(reply);
    }
    xpc_release(request);
    CHECK(xpc_linux_shmem_deallocate(bytes, lengths[i]) == 0);
  }
  CHECK(count_fds() == fds);
  CHECK(ADDRESS_SANITIZED || THREAD_SANITIZED || count_mappings() <= mappings + 2);
  end_connection(client, errors);
  dispatch_release(errors);
  stop(server);
}

static void descriptors(void) {
  pid_t server = start_server("fds");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("fds", errors);
  xpc_object_t reply = ask(client, "ping");
  uint64_t server_fds = xpc_dictionary_get_uint64(reply, "fds");
  xpc_release(reply);
  size_t fds = count_fds();
  const size_t counts[] = {1, 252, 253, 254, 506, 800}; /* around what fits in one packet */
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    for (int large = 0; large < 2; large++) {
      int ends[2];
      REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
      xpc_object_t request = make_request("write"), array = xpc_array_create_empty();
      xpc_object_t fd = xpc_fd_create(ends[1]);
      for (size_t j = 0; j < counts[i]; j++) xpc_array_append_value(array, fd);
      xpc_release(fd);
      xpc_dictionary_set_value(request, "fds", array);
      xpc_release(array);
      char *padding = large ? calloc(1, 100000) : NULL;
      if (padding) xpc_dictionary_set_data(request, "padding", padding, 100000);
      free(padding);
      close(ends[1]);
      reply = xpc_connection_send_message_with_reply_sync(client, request);
      CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
      xpc_release(request);
      xpc_release(reply);
      char bytes[1024];
      size_t got = 0;
      for (ssize_t now; (now = read(ends[0], bytes + got, sizeof bytes - got)) > 0;) got += (size_t)now;
      CHECK(got == counts[i]); /* and the end of the file came: the server closed all of its own */
      for (size_t j = 0; j < got; j++) CHECK(bytes[j] == (char)('a' + j % 26));
      close(ends[0]);
    }
  }
  CHECK(count_fds() == fds);
  reply = ask(client, "ping");
  /* Fewer, where the first count saw a connection that was just ending; a leak would be hundreds more. */
  CHECK(xpc_dictionary_get_uint64(reply, "fds") <= server_fds);
  xpc_release(reply);
  end_connection(client, errors);
  dispatch_release(errors);
  stop(server);
}

const struct test tests[] = {
  {"transfer: an endpoint leads to its listener, many times, and never back from the dead", endpoints},
  {"transfer: a listener's endpoint works in another process", called_back},
  {"transfer: both sides see one memory", shared_memory},
  {"transfer: any number of descriptors arrives, in order, and is closed", descriptors},
  {NULL, NULL},
};
