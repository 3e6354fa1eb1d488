/*
 * misuse_test.c: each misuse ends the process with SIGABRT and a line that says which it was.
 */
#define _GNU_SOURCE 1
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static void ignore_events(xpc_connection_t connection) {
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) { (void)event; });
}

static void over_release(void) {
  xpc_object_t object = xpc_int64_create(1);
  xpc_release(object);
  xpc_release(object);
}

static void inactive(void) { xpc_release(xpc_connection_create_mach_service("x", NULL, 0)); }

static void suspended(void) {
  xpc_connection_t connection = xpc_connection_create(NULL, NULL);
  ignore_events(connection);
  xpc_connection_activate(connection);
  /* Its activation is over once it has been reached; nothing else holds a reference then. */
  xpc_connection_t client = xpc_connection_create_mach_service("x", NULL, 0);
  dispatch_semaphore_t failed = dispatch_semaphore_create(0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    (void)event;
    dispatch_semaphore_signal(failed);
  });
  xpc_connection_activate(client);
  await(failed);
  xpc_connection_suspend(connection);
  xpc_release(connection);
}

static void resumed_too_often(void) {
  xpc_connection_t connection = xpc_connection_create(NULL, NULL);
  ignore_events(connection);
  xpc_connection_resume(connection);
  xpc_connection_resume(connection);
}

static void resumed_after_cancel(void) {
  xpc_connection_t connection = xpc_connection_create(NULL, NULL);
  ignore_events(connection);
  xpc_connection_activate(connection);
  xpc_connection_suspend(connection);
  xpc_connection_cancel(connection);
  xpc_connection_resume(connection);
}

static void not_a_dictionary(void) {
  xpc_connection_t connection = xpc_connection_create_mach_service("x", NULL, 0);
  xpc_connection_send_message(connection, xpc_string_create("x"));
}

static void unsendable_value(void) {
  xpc_connection_t connection = xpc_connection_create_mach_service("x", NULL, 0);
  xpc_object_t message = xpc_dictionary_create_empty();
  xpc_dictionary_set_value(message, "connection", connection);
  xpc_connection_send_message(connection, message);
}

static void wrong_type(void) { xpc_connection_activate((xpc_connection_t)xpc_string_create("x")); }

static void wrong_container(void) { xpc_dictionary_set_bool(xpc_array_create_empty(), "x", true); }

static void out_of_range(void) { xpc_array_set_bool(xpc_array_create_empty(), 0, true); }

static void foreign_memory(void) {
  void *memory = malloc(4096);
  xpc_object_t box = xpc_shmem_create(memory, 4096);
  (void)box;
}

static void endpoint_of_client(void) {
  xpc_endpoint_t endpoint = xpc_endpoint_create(xpc_connection_create_mach_service("x", NULL, 0));
  (void)endpoint;
}

static void late_target(void) {
  xpc_connection_t connection = xpc_connection_create(NULL, NULL);
  ignore_events(connection);
  xpc_connection_activate(connection);
  xpc_connection_set_target_queue(connection, NULL);
}

/* A listener and a client in this process; `use` gets the received peer. Never returns. */
static void with_peer(void (^use)(xpc_connection_t peer)) {
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) == XPC_TYPE_CONNECTION) use((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
  xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
  ignore_events(client);
  xpc_connection_activate(client);
  xpc_release(ask(client, "something"));
  dispatch_semaphore_wait(dispatch_semaphore_create(0), dispatch_time(0, 10 * (int64_t)NSEC_PER_SEC));
}

static void endpoint_of_peer(void) {
  with_peer(^(xpc_connection_t peer) {
    xpc_endpoint_t endpoint = xpc_endpoint_create(peer);
    (void)endpoint;
  });
}

static void no_handler(void) {
  with_peer(^(xpc_connection_t peer) { xpc_connection_activate(peer); });
}

static void released_peer(void) {
  with_peer(^(xpc_connection_t peer) {
    ignore_events(peer);
    xpc_connection_activate(peer);
    for (int i = 0; i < 8; i++) xpc_release(peer);
  });
}

static void wrong_reply(void) {
  with_peer(^(xpc_connection_t peer) {
    xpc_connection_set_event_handler(peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) return;
      xpc_connection_t other = xpc_connection_create_mach_service("x", NULL, 0);
      xpc_connection_send_message(other, xpc_dictionary_create_reply(event));
    });
    xpc_connection_activate(peer);
  });
}

static const struct {
  const char *name;
  void (*run)(void);
  const char *message;
} misuses[] = {
  {"over-release", over_release, "over-release"},
  {"last release of an inactive connection", inactive, "last release of an inactive connection"},
  {"last release of a suspended connection", suspended, "last release of a suspended connection"},
  {"resuming too often", resumed_too_often, "resumed too often"},
  {"resuming after a cancel", resumed_after_cancel, "resumed too often"},
  {"sending what is not a dictionary", not_a_dictionary, "given a string, needs a dictionary"},
  {"sending a connection", unsendable_value, "a connection cannot be sent"},
  {"a string for a connection", wrong_type, "given a string, needs a connection"},
  {"an array for a dictionary", wrong_container, "given a array, needs a dictionary"},
  {"an index out of range", out_of_range, "out of range"},
  {"boxing malloc'ed memory", foreign_memory, "not memory of xpc_linux_shmem_allocate"},
  {"an endpoint of a client", endpoint_of_client, "does not listen"},
  {"an endpoint of a received peer", endpoint_of_peer, "an endpoint of a received peer"},
  {"a target queue after activation", late_target, "the connection is active"},
  {"a message on a peer without a handler", no_handler, "without a handler"},
  {"releasing the runtime's reference", released_peer, "release"}, /* whichever side notices first */
  {"a reply through the wrong connection", wrong_reply, "a reply through the wrong connection"},
};

int run_role(const char *role, char **arguments) {
  (void)arguments;
  struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
  signal(SIGABRT, SIG_DFL);
  misuses[atoi(role)].run();
  return 0;
}

static void all_abort(void) {
  for (size_t i = 0; i < sizeof misuses / sizeof *misuses; i++) {
    char number[8], text[8192];
    snprintf(number, sizeof number, "%zu", i);
    int errors;
    pid_t pid = spawn_role(number, NULL, &errors);
    size_t length = 0;
    for (ssize_t got; (got = read(errors, text + length, sizeof text - 1 - length)) > 0;) {
      length += (size_t)got;
    }
    close(errors);
    text[length] = 0;
    int status = wait_exit(pid);
    bool aborted = WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
    bool named = strstr(text, "xpc: API misuse: ") && strstr(text, misuses[i].message);
    /* A sanitizer sees the freed memory first. */
    bool sanitized = ADDRESS_SANITIZED || THREAD_SANITIZED;
    bool seen = sanitized && strstr(text, "use-after-free") != NULL && status != 0;
    if (!CHECK((aborted && named) || seen)) printf("# %s: status %#x: %s\n", misuses[i].name, status, text);
  }
}

const struct test tests[] = {
  {"misuse: each aborts and says which it was", all_abort},
  {NULL, NULL},
};
