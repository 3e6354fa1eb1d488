/*
 * server.c: the service that the tests talk to: {op} says what to do.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

static xpc_object_t held; /* of "hold" */

static void serve_anonymously(xpc_object_t reply) {
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) return;
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) return;
      xpc_object_t answer = xpc_dictionary_create_reply(event);
      if (!answer) return;
      xpc_dictionary_set_int64(answer, "pid", getpid());
      xpc_connection_send_message(xpc_dictionary_get_remote_connection(event), answer);
      xpc_release(answer);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  xpc_object_t endpoint = xpc_endpoint_create(listener);
  xpc_dictionary_set_value(reply, "endpoint", endpoint);
  xpc_release(endpoint);
  xpc_release(listener); /* active: it keeps itself */
}

static void add_one_everywhere(xpc_object_t message, xpc_object_t reply) {
  void *address = NULL;
  size_t length = xpc_shmem_map(xpc_dictionary_get_value(message, "shmem"), &address);
  xpc_dictionary_set_uint64(reply, "mapped", length);
  for (size_t i = 0; i < length; i += 4096) ((unsigned char *)address)[i]++;
  if (length) munmap(address, length);
}

static void write_to_all(xpc_object_t message) {
  xpc_object_t fds = xpc_dictionary_get_array(message, "fds");
  for (size_t i = 0; i < xpc_array_get_count(fds); i++) {
    int fd = xpc_array_dup_fd(fds, i);
    char byte = (char)('a' + i % 26);
    if (write(fd, &byte, 1) != 1) abort();
    close(fd);
  }
}

static void connect_back(xpc_object_t message, xpc_object_t reply) {
  xpc_connection_t back = xpc_dictionary_create_connection(message, "endpoint");
  xpc_connection_set_event_handler(back, ^(xpc_object_t event) { (void)event; });
  xpc_connection_activate(back);
  xpc_object_t answer = ask(back, "called back");
  if (xpc_get_type(answer) == XPC_TYPE_DICTIONARY) {
    xpc_dictionary_set_int64(reply, "caller", xpc_dictionary_get_int64(answer, "pid"));
  }
  xpc_release(answer);
  xpc_connection_cancel(back);
  xpc_release(back);
}

static void push(xpc_connection_t peer, int64_t count) {
  xpc_object_t message = make_request("pushed");
  for (int64_t i = 0; i < count; i++) {
    xpc_dictionary_set_int64(message, "index", i);
    xpc_connection_send_message(peer, message);
  }
  xpc_release(message);
}

static void handle(xpc_connection_t peer, xpc_object_t message) {
  const char *op = xpc_dictionary_get_string(message, "op");
  if (!op) return;
  if (strcmp(op, "exit") == 0) _exit(0);
  if (strcmp(op, "stop") == 0) kill(getpid(), SIGKILL);
  if (strcmp(op, "drop") == 0) return;
  if (strcmp(op, "push") == 0) push(peer, xpc_dictionary_get_int64(message, "count"));
  if (strcmp(op, "hold") == 0) {
    held = xpc_retain(message);
    return;
  }
  if (strcmp(op, "hang up") == 0) {
    xpc_connection_cancel(peer);
    return;
  }
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_dictionary_set_value(reply, "value", xpc_dictionary_get_value(message, "value"));
  xpc_dictionary_set_int64(reply, "pid", getpid());
  xpc_dictionary_set_int64(reply, "peer", xpc_connection_get_pid(peer));
  xpc_dictionary_set_uint64(reply, "fds", count_fds());
  if (strcmp(op, "endpoint") == 0) serve_anonymously(reply);
  if (strcmp(op, "shmem") == 0) add_one_everywhere(message, reply);
  if (strcmp(op, "write") == 0) write_to_all(message);
  if (strcmp(op, "call back") == 0) connect_back(message, reply);
  xpc_connection_send_message(peer, reply);
  xpc_release(reply);
}

int run_server(const char *name, int ready) {
  xpc_connection_t listener =
    xpc_connection_create_mach_service(name, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) _exit(3);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) handle((xpc_connection_t)peer, event);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);

  /* It listens when it can reach itself: activations take effect in their order. */
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t self = connect_to(name, errors);
  xpc_object_t reply = ask(self, "ping");
  bool listening = xpc_get_type(reply) == XPC_TYPE_DICTIONARY;
  xpc_release(reply);
  end_connection(self, errors);
  if (!listening || write(ready, "!", 1) != 1) return 1;
  close(ready);
  dispatch_main();
}
