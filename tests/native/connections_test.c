/*
 * connections_test.c: clients and services in processes of their own.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* "activated" NAME READY SOCKET: becomes the server as the system would start it, with its socket. */
int run_role(const char *role, char **arguments) {
  if (strcmp(role, "activated") != 0) return -1;
  int server = atoi(arguments[2]), ready = atoi(arguments[1]);
  if (ready == 3) ready = dup(ready);
  if (dup2(server, 3) != 3) return 1;
  char number[16];
  snprintf(number, sizeof number, "%d", (int)getpid());
  setenv("LISTEN_PID", number, 1);
  setenv("LISTEN_FDS", "1", 1);
  setenv("LISTEN_FDNAMES", arguments[0], 1);
  snprintf(number, sizeof number, "%d", ready);
  execl("/proc/self/exe", "/proc/self/exe", "--role", "server", arguments[0], number, (char *)NULL);
  return 1;
}

static void stop(pid_t pid) {
  kill(pid, SIGKILL);
  wait_exit(pid);
}

static void echo(void) {
  pid_t server = start_server("echo");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("echo", errors);
  CHECK(strcmp(xpc_connection_get_name(client), "echo") == 0);
  xpc_object_t request = make_request("ping");
  xpc_dictionary_set_string(request, "value", "hello");
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
  CHECK(xpc_dictionary_get_remote_connection(reply) == client);
  CHECK(strcmp(xpc_dictionary_get_string(reply, "value"), "hello") == 0);
  CHECK(xpc_dictionary_get_int64(reply, "pid") == server);
  CHECK(xpc_dictionary_get_int64(reply, "peer") == getpid());
  CHECK(xpc_connection_get_pid(client) == server);
  CHECK(xpc_connection_get_euid(client) == geteuid() && xpc_connection_get_egid(client) == getegid());
  xpc_release(reply);

  /* Many at once, each answered once. */
  enum { COUNT = 1000 };
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  __block _Atomic int answered = 0;
  _Atomic int *count = &answered;
  for (int i = 0; i < COUNT; i++) {
    xpc_dictionary_set_int64(request, "value", i); /* captured at the call */
    xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t answer) {
      CHECK(xpc_dictionary_get_int64(answer, "value") == i);
      if (atomic_fetch_add(&answered, 1) == COUNT - 1) dispatch_semaphore_signal(done);
    });
  }
  (void)count;
  CHECK(await(done));
  CHECK(atomic_load(&answered) == COUNT);
  xpc_release(request);
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(done);
  stop(server);
}

static void large_messages(void) {
  pid_t server = start_server("large");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("large", errors);
  const size_t sizes[] = {0, 1, 32 << 10, (32 << 10) + 1, 200 << 10, 1 << 20, 20 << 20, (64 << 20) - 4096};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    char *bytes = malloc(sizes[i] + 1);
    for (size_t j = 0; j < sizes[i]; j++) bytes[j] = (char)(j * 7);
    xpc_object_t request = make_request("ping");
    xpc_dictionary_set_data(request, "value", bytes, sizes[i]);
    xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
    size_t length = 99;
    const void *back = xpc_dictionary_get_data(reply, "value", &length);
    CHECK(length == sizes[i] && (length == 0 || memcmp(back, bytes, length) == 0));
    xpc_release(reply);
    xpc_release(request);
    free(bytes);
  }
  end_connection(client, errors);

  /* One that is too large ends the connection of whoever sends it, and says why. */
  client = connect_to("large", errors);
  char *bytes = calloc(1, 65 << 20);
  xpc_object_t request = make_request("ping");
  xpc_dictionary_set_data(request, "value", bytes, 65 << 20);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(client, request);
  CHECK(reply == XPC_ERROR_CONNECTION_INVALID);
  CHECK(await(errors));
  char *reason = xpc_connection_copy_invalidation_reason(client);
  CHECK(reason && strstr(reason, "64 MiB") != NULL);
  free(reason);
  free(bytes);
  xpc_release(request);
  xpc_release(client);
  dispatch_release(errors);
  stop(server);
}

static void no_service(void) {
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("nobody", errors);
  xpc_object_t reply = ask(client, "ping");
  CHECK(reply == XPC_ERROR_CONNECTION_INVALID);
  CHECK(await(errors));
  CHECK(last_error == XPC_ERROR_CONNECTION_INVALID);
  char *reason = xpc_connection_copy_invalidation_reason(client);
  CHECK(reason && strstr(reason, "nobody") != NULL);
  free(reason);
  reply = ask(client, "ping"); /* ended: at once */
  CHECK(reply == XPC_ERROR_CONNECTION_INVALID);
  xpc_release(client);
  dispatch_release(errors);
}

static void interrupted(void) {
  pid_t server = start_server("again");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("again", errors);
  xpc_release(ask(client, "ping"));
  for (int i = 0; i < 3; i++) {
    xpc_object_t reply = ask(client, "stop"); /* kill -9 while the request is pending */
    CHECK(reply == XPC_ERROR_CONNECTION_INTERRUPTED);
    CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INTERRUPTED);
    wait_exit(server);
    server = start_server("again");
    reply = ask(client, "ping"); /* finds the new one */
    CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_int64(reply, "pid") == server);
    CHECK(xpc_connection_get_pid(client) == server);
    xpc_release(reply);
  }
  stop(server);
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INTERRUPTED);
  CHECK(ask(client, "ping") == XPC_ERROR_CONNECTION_INVALID); /* none is there now */
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INVALID);
  xpc_release(client);
  dispatch_release(errors);
}

static void cancelled(void) {
  pid_t server = start_server("cancel");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), replied = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("cancel", errors);
  xpc_object_t request = make_request("hold");
  __block xpc_object_t answer = NULL;
  xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
    answer = reply;
    dispatch_semaphore_signal(replied);
  });
  xpc_connection_cancel(client);
  xpc_connection_cancel(client);
  CHECK(await(replied) && answer == XPC_ERROR_CONNECTION_INVALID);
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INVALID);
  dispatch_semaphore_t barrier = dispatch_semaphore_create(0);
  xpc_connection_send_barrier(client, ^{
    dispatch_semaphore_signal(barrier);
  });
  CHECK(await(barrier));
  CHECK(dispatch_semaphore_wait(errors, DISPATCH_TIME_NOW) != 0); /* one final error, no more */
  xpc_release(request);
  xpc_release(client);
  dispatch_release(errors);
  dispatch_release(replied);
  dispatch_release(barrier);
  stop(server);
}

static void dropped_and_hung_up(void) {
  pid_t server = start_server("drop");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("drop", errors);
  CHECK(xpc_get_type(ask(client, "drop")) == XPC_TYPE_ERROR); /* released unanswered */
  xpc_object_t reply = ask(client, "ping");                    /* and the connection lives on */
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
  xpc_release(reply);
  CHECK(xpc_get_type(ask(client, "hang up")) == XPC_TYPE_ERROR);
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INTERRUPTED);
  reply = ask(client, "ping");
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
  xpc_release(reply);
  end_connection(client, errors);
  dispatch_release(errors);
  stop(server);
}

static void barrier_and_order(void) {
  pid_t server = start_server("order");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), barrier = dispatch_semaphore_create(0);
  dispatch_semaphore_t all = dispatch_semaphore_create(0);
  enum { COUNT = 5000 };
  __block int64_t next = 0;
  xpc_connection_t client = xpc_connection_create_mach_service("order", NULL, 0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) {
      CHECK(xpc_dictionary_get_int64(event, "index") == next);
      if (++next == COUNT) dispatch_semaphore_signal(all);
    } else {
      dispatch_semaphore_signal(errors);
    }
  });
  xpc_object_t request = make_request("push");
  xpc_dictionary_set_int64(request, "count", COUNT);
  xpc_connection_send_message(client, request); /* before activation: waits for it */
  xpc_connection_send_barrier(client, ^{
    dispatch_semaphore_signal(barrier);
  });
  CHECK(dispatch_semaphore_wait(barrier, DISPATCH_TIME_NOW) != 0);
  xpc_connection_resume(client); /* activates as well */
  CHECK(await(barrier));
  CHECK(await(all));
  xpc_release(request);
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(barrier);
  dispatch_release(all);
  stop(server);
}

static void suspended(void) {
  pid_t server = start_server("suspend");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), first = dispatch_semaphore_create(0);
  dispatch_semaphore_t all = dispatch_semaphore_create(0);
  enum { COUNT = 2000 };
  __block _Atomic int seen = 0;
  xpc_connection_t client = xpc_connection_create_mach_service("suspend", NULL, 0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) {
      dispatch_semaphore_signal(errors);
      return;
    }
    int now = atomic_fetch_add(&seen, 1) + 1;
    if (now == 1) {
      xpc_connection_suspend(client);
      dispatch_semaphore_signal(first);
    }
    if (now == COUNT) dispatch_semaphore_signal(all);
  });
  xpc_connection_activate(client);
  xpc_object_t request = make_request("push");
  xpc_dictionary_set_int64(request, "count", COUNT);
  xpc_connection_send_message(client, request);
  CHECK(await(first));
  CHECK(atomic_load(&seen) == 1);
  xpc_connection_resume(client);
  CHECK(await(all));
  xpc_release(request);
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(first);
  dispatch_release(all);
  stop(server);
}

static void one_listener(void) {
  pid_t server = start_server("taken");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  for (int i = 0; i < 2; i++) {
    xpc_connection_t second =
      xpc_connection_create_mach_service("taken", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
    xpc_connection_set_event_handler(second, ^(xpc_object_t event) {
      if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(errors);
    });
    xpc_connection_activate(second);
    if (i == 0) { /* taken by another process; the next by nobody */
      CHECK(await(errors));
      char *reason = xpc_connection_copy_invalidation_reason(second);
      CHECK(reason && strstr(reason, "already") != NULL);
      free(reason);
      stop(server);
    } else {
      dispatch_time_t soon = dispatch_time(DISPATCH_TIME_NOW, 50 * (int64_t)NSEC_PER_MSEC);
      CHECK(dispatch_semaphore_wait(errors, soon) != 0); /* nothing is wrong this time */
      end_connection(second, errors);
      char path[256];
      snprintf(path, sizeof path, "%s/xpc-shmem/taken.sock", getenv("XDG_RUNTIME_DIR"));
      struct stat status;
      CHECK(stat(path, &status) != 0 && errno == ENOENT); /* an orderly end leaves no socket */
    }
    if (i == 0) xpc_release(second);
  }
  dispatch_release(errors);
}

static void unsafe_directory(void) {
  char path[256];
  snprintf(path, sizeof path, "%s/xpc-shmem", getenv("XDG_RUNTIME_DIR"));
  REQUIRE(chmod(path, 0750) == 0);
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("any", errors);
  CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INVALID);
  char *reason = xpc_connection_copy_invalidation_reason(client);
  CHECK(reason && strstr(reason, "others can enter it") != NULL);
  free(reason);
  xpc_release(client);
  CHECK(chmod(path, 0700) == 0);
  dispatch_release(errors);
}

static void long_names(void) {
  char name[300], other[300];
  memset(name, 'n', sizeof name);
  name[sizeof name - 1] = 0;
  memcpy(other, name, sizeof name);
  other[250] = '/';
  const char *const names[] = {name, other, "with space/and slash", "..", ""};
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    pid_t server = start_server(names[i]);
    xpc_connection_t client = connect_to(names[i], errors);
    xpc_object_t reply = ask(client, "ping");
    CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_int64(reply, "pid") == server);
    xpc_release(reply);
    end_connection(client, errors);
    stop(server);
  }
  dispatch_release(errors);
}

static void finalize(void *context) { dispatch_semaphore_signal(context); }

static void context_and_handlers(void) {
  dispatch_semaphore_t finalized = dispatch_semaphore_create(0), gone = dispatch_semaphore_create(0);
  xpc_connection_t client = xpc_connection_create_mach_service("none", NULL, 0);
  xpc_connection_set_context(client, finalized);
  CHECK(xpc_connection_get_context(client) == finalized);
  xpc_connection_set_finalizer_f(client, finalize);
  CHECK(xpc_connection_get_pid(client) == 0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    CHECK(false);
    (void)event;
  });
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(gone);
  });
  dispatch_queue_t target = dispatch_queue_create("target", DISPATCH_QUEUE_SERIAL);
  xpc_connection_set_target_queue(client, target);
  dispatch_release(target);
  xpc_connection_activate(client);
  xpc_connection_activate(client);
  xpc_release(client); /* it keeps itself alive until the final error */
  CHECK(await(gone));
  CHECK(await(finalized));
  dispatch_release(finalized);
  dispatch_release(gone);
}

static void one_target(void) {
  pid_t server = start_server("target");
  dispatch_queue_t target = dispatch_queue_create("shared", DISPATCH_QUEUE_SERIAL);
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), done = dispatch_semaphore_create(0);
  enum { CLIENTS = 8, COUNT = 200 };
  __block int unguarded = 0; /* the shared queue is what guards it */
  xpc_connection_t clients[CLIENTS];
  xpc_object_t request = make_request("push");
  xpc_dictionary_set_int64(request, "count", COUNT);
  for (int i = 0; i < CLIENTS; i++) {
    clients[i] = xpc_connection_create_mach_service("target", target, 0);
    xpc_connection_set_event_handler(clients[i], ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_ERROR) dispatch_semaphore_signal(errors);
      else if (++unguarded == CLIENTS * COUNT) dispatch_semaphore_signal(done);
    });
    xpc_connection_activate(clients[i]);
    xpc_connection_send_message(clients[i], request);
  }
  CHECK(await(done));
  for (int i = 0; i < CLIENTS; i++) end_connection(clients[i], errors);
  xpc_release(request);
  dispatch_release(target);
  dispatch_release(errors);
  dispatch_release(done);
  stop(server);
}

static pid_t start_activated(const char *name, int server) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  char ready[16], socket_number[16], byte;
  snprintf(ready, sizeof ready, "%d", ends[1]);
  snprintf(socket_number, sizeof socket_number, "%d", server);
  pid_t pid = spawn_role("activated", (const char *[]){name, ready, socket_number, NULL}, NULL);
  close(ends[1]);
  CHECK(read(ends[0], &byte, 1) == 1);
  close(ends[0]);
  return pid;
}

/* The system holds the socket and starts the service when somebody comes, again and again. */
static void socket_activation(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%.60s/xpc-shmem/on.demand.sock",
           getenv("XDG_RUNTIME_DIR"));
  int server = socket(AF_UNIX, SOCK_SEQPACKET, 0);
  REQUIRE(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 8) == 0);
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), replied = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("on.demand", errors);
  xpc_object_t request = make_request("ping");
  for (int i = 0; i < 2; i++) {
    __block int64_t answered_by = 0;
    xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
      answered_by = xpc_dictionary_get_int64(reply, "pid");
      dispatch_semaphore_signal(replied);
    });
    pid_t pid = start_activated("on.demand", server);
    CHECK(await(replied) && answered_by == pid);
    stop(pid);
    CHECK(await(errors) && last_error == XPC_ERROR_CONNECTION_INTERRUPTED);
  }
  xpc_release(request);

  /* Without the system's descriptor nobody takes the name away, although its lock is free. */
  dispatch_semaphore_t refused = dispatch_semaphore_create(0);
  xpc_connection_t thief =
    xpc_connection_create_mach_service("on.demand", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(thief, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(refused);
  });
  xpc_connection_activate(thief);
  CHECK(await(refused));
  CHECK(access(address.sun_path, F_OK) == 0);
  xpc_release(thief);
  dispatch_release(refused);
  end_connection(client, errors);
  dispatch_release(errors);
  dispatch_release(replied);
  close(server);
  unlink(address.sun_path);
}

static void stale_activation(void) {
  setenv("LISTEN_PID", "1", 1);
  setenv("LISTEN_FDS", "1", 1);
  pid_t server = start_server("not activated");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("not activated", errors);
  xpc_object_t reply = ask(client, "ping");
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
  xpc_release(reply);
  end_connection(client, errors);
  dispatch_release(errors);
  unsetenv("LISTEN_PID");
  unsetenv("LISTEN_FDS");
  stop(server);
}

const struct test tests[] = {
  {"connections: requests are answered, by the process they went to", echo},
  {"connections: messages of all sizes up to 64 MiB arrive", large_messages},
  {"connections: a client of no service becomes invalid", no_service},
  {"connections: a client survives kill -9 of its service", interrupted},
  {"connections: cancel settles what is pending, then says so once", cancelled},
  {"connections: a dropped request and a closed peer are errors, not hangs", dropped_and_hung_up},
  {"connections: messages stay in order, barriers come after them", barrier_and_order},
  {"connections: nothing is handled while suspended, and nothing lost", suspended},
  {"connections: a name has one listener; a dead one's is free", one_listener},
  {"connections: a directory that others can enter is refused", unsafe_directory},
  {"connections: names of any length and kind", long_names},
  {"connections: context, finalizer, replaced handler, early release", context_and_handlers},
  {"connections: connections with one target queue exclude each other", one_target},
  {"connections: a socket of the system's starts the service on demand", socket_activation},
  {"connections: another process's activation is ignored", stale_activation},
  {NULL, NULL},
};
