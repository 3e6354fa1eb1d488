/*
 * strict_test.c: what macOS does and a lenient libxpc would not: clients speak first, a listener's end is the
 * end of its endpoints' connections, suspended connections send nothing, a cancel ends suspensions.
 */
#define _GNU_SOURCE 1
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

/* A listener in this process: its peers answer each request, and count what they get. */
struct service {
  xpc_connection_t listener;
  _Atomic int peers, messages, peers_ended;
  dispatch_semaphore_t ended, message, peer_ended;
  xpc_connection_t _Atomic last_peer; /* retained */
  _Atomic bool suspends;              /* the peer suspends itself before it answers */
};

static void on_request(struct service *service, xpc_connection_t peer, xpc_object_t message) {
  atomic_fetch_add(&service->messages, 1);
  if (atomic_load(&service->suspends)) xpc_connection_suspend(peer);
  dispatch_semaphore_signal(service->message);
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_connection_send_message(peer, reply);
  xpc_release(reply);
}

static void serve(struct service *service, xpc_connection_t listener) {
  *service = (struct service){.listener = listener};
  service->ended = dispatch_semaphore_create(0);
  service->message = dispatch_semaphore_create(0);
  service->peer_ended = dispatch_semaphore_create(0);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) {
      dispatch_semaphore_signal(service->ended);
      return;
    }
    atomic_fetch_add(&service->peers, 1);
    xpc_connection_t before = atomic_exchange(&service->last_peer, (xpc_connection_t)xpc_retain(peer));
    if (before) xpc_release(before);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) {
        on_request(service, (xpc_connection_t)peer, event);
      } else {
        dispatch_semaphore_t ended = service->peer_ended;
        dispatch_retain(ended);
        atomic_fetch_add(&service->peers_ended, 1); /* whoever sees the last one end frees the service */
        dispatch_semaphore_signal(ended);
        dispatch_release(ended);
      }
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
}

static void forget(struct service *service) {
  if (service->last_peer) xpc_release(service->last_peer);
  xpc_release(service->listener);
  dispatch_release(service->ended);
  dispatch_release(service->message);
  dispatch_release(service->peer_ended);
}

static void stop(struct service *service) {
  xpc_connection_cancel(service->listener);
  CHECK(await(service->ended));
  while (atomic_load(&service->peers_ended) < atomic_load(&service->peers)) CHECK(await(service->peer_ended));
  forget(service);
}

static xpc_connection_t client_of(struct service *service, dispatch_semaphore_t errors) {
  xpc_endpoint_t endpoint = xpc_endpoint_create(service->listener);
  xpc_connection_t client = xpc_connection_create_from_endpoint(endpoint);
  xpc_release(endpoint);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_ERROR) dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(client);
  return client;
}

static bool is_answered(xpc_connection_t client) {
  xpc_object_t reply = ask(client, "x");
  bool answered = xpc_get_type(reply) == XPC_TYPE_DICTIONARY;
  xpc_release(reply);
  return answered;
}

static void clients_speak_first_to(xpc_connection_t listener, const char *name) {
  struct service service;
  serve(&service, listener);
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t silent = name ? connect_to(name, errors) : client_of(&service, errors);
  xpc_connection_t other = name ? connect_to(name, errors) : client_of(&service, errors);
  /* Connections are accepted in their order: when the second is answered, the first was accepted. */
  CHECK(is_answered(other));
  CHECK(atomic_load(&service.peers) == 1);
  xpc_object_t message = make_request("first");
  xpc_connection_send_message(silent, message); /* no reply is needed */
  xpc_release(message);
  CHECK(await(service.message) && await(service.message));
  CHECK(atomic_load(&service.peers) == 2);
  /* One that comes and goes in silence is never heard of. */
  xpc_connection_t third = name ? connect_to(name, errors) : client_of(&service, errors);
  end_connection(third, errors);
  CHECK(is_answered(other));
  CHECK(atomic_load(&service.peers) == 2);
  end_connection(silent, errors);
  end_connection(other, errors);
  stop(&service);
  dispatch_release(errors);
}

static void clients_speak_first(void) {
  clients_speak_first_to(xpc_connection_create(NULL, NULL), NULL);
  clients_speak_first_to(
    xpc_connection_create_mach_service("strict", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER), "strict");
}

static void silent_clients_are_limited(void) {
  enum { SILENT = 300, LIMIT = 256 };
  struct service service;
  serve(&service, xpc_connection_create(NULL, NULL));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), others = dispatch_semaphore_create(0);
  xpc_connection_t honest = client_of(&service, others);
  CHECK(is_answered(honest));
  size_t fds = count_fds();
  xpc_connection_t silent[SILENT];
  for (int i = 0; i < SILENT; i++) silent[i] = client_of(&service, errors);
  for (int i = 0; i < SILENT - LIMIT; i++) CHECK(await(errors)); /* the oldest gave way */
  xpc_connection_t late = client_of(&service, others);
  CHECK(is_answered(late));
  CHECK(is_answered(honest));
  CHECK(is_answered(silent[SILENT - 1])); /* the newest did not */
  for (int i = SILENT - LIMIT; i < SILENT; i++) xpc_connection_cancel(silent[i]);
  for (int i = SILENT - LIMIT; i < SILENT; i++) CHECK(await(errors));
  for (int i = 0; i < SILENT; i++) xpc_release(silent[i]);
  end_connection(late, others);
  for (int i = 0; i < 20000 && count_fds() > fds; i++) CHECK(is_answered(honest));
  CHECK(count_fds() <= fds);
  end_connection(honest, others);
  stop(&service);
  dispatch_release(errors);
  dispatch_release(others);
}

static void a_listeners_end(void) {
  for (int i = 0; i < 50; i++) {
    struct service service;
    serve(&service, xpc_connection_create(NULL, NULL));
    dispatch_semaphore_t errors = dispatch_semaphore_create(0), silent_errors = dispatch_semaphore_create(0);
    xpc_connection_t client = client_of(&service, errors), silent = client_of(&service, silent_errors);
    CHECK(is_answered(client));
    xpc_connection_cancel(service.listener);
    CHECK(await(service.ended));
    CHECK(await(service.peer_ended)); /* the server's side */
    CHECK(await(errors));             /* the client's */
    CHECK(await(silent_errors));
    char *reason = xpc_connection_copy_invalidation_reason(service.last_peer);
    CHECK(reason && strstr(reason, "listener was cancelled"));
    free(reason);
    CHECK(ask(client, "x") == XPC_ERROR_CONNECTION_INVALID);
    xpc_release(client);
    xpc_release(silent);
    forget(&service);
    dispatch_release(errors);
    dispatch_release(silent_errors);
  }
}

/* The connections of a service do not depend on its listener. */
static void a_services_end(void) {
  struct service service;
  serve(&service, xpc_connection_create_mach_service("ends", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), direct_errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("ends", errors), direct = client_of(&service, direct_errors);
  CHECK(is_answered(client) && is_answered(direct));
  xpc_connection_cancel(service.listener);
  CHECK(await(service.ended));
  CHECK(await(direct_errors)); /* that one came through an endpoint */
  CHECK(is_answered(client));
  end_connection(client, errors);
  while (atomic_load(&service.peers_ended) < 2) CHECK(await(service.peer_ended));
  xpc_release(direct);
  forget(&service);
  dispatch_release(errors);
  dispatch_release(direct_errors);
}

static void suspended_clients_send_nothing(void) {
  struct service service;
  serve(&service, xpc_connection_create(NULL, NULL));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = client_of(&service, errors), other = client_of(&service, errors);
  CHECK(is_answered(client) && is_answered(other));
  CHECK(atomic_load(&service.messages) == 2);
  xpc_connection_suspend(client);
  xpc_connection_suspend(client);
  xpc_object_t message = make_request("held");
  for (int i = 0; i < 3; i++) xpc_connection_send_message(client, message);
  xpc_release(message);
  CHECK(is_answered(other));
  CHECK(atomic_load(&service.messages) == 3);
  xpc_connection_resume(client);
  CHECK(is_answered(other));
  CHECK(atomic_load(&service.messages) == 4);
  xpc_connection_resume(client);
  for (int i = 0; i < 7; i++) CHECK(await(service.message));
  CHECK(atomic_load(&service.messages) == 7);
  end_connection(client, errors);
  end_connection(other, errors);
  stop(&service);
  dispatch_release(errors);
}

static void suspended_peers_do_not_answer(void) {
  struct service service;
  serve(&service, xpc_connection_create(NULL, NULL));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0), replied = dispatch_semaphore_create(0);
  xpc_connection_t other = client_of(&service, errors);
  CHECK(is_answered(other) && await(service.message));
  xpc_connection_t client = client_of(&service, errors);
  atomic_store(&service.suspends, true);
  xpc_object_t request = make_request("x");
  xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
    CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
    dispatch_semaphore_signal(replied);
  });
  xpc_release(request);
  CHECK(await(service.message));
  atomic_store(&service.suspends, false);
  for (int i = 0; i < 20; i++) CHECK(is_answered(other));
  CHECK(dispatch_semaphore_wait(replied, DISPATCH_TIME_NOW) != 0);
  xpc_connection_resume(service.last_peer);
  CHECK(await(replied));
  end_connection(client, errors);
  end_connection(other, errors);
  stop(&service);
  dispatch_release(errors);
  dispatch_release(replied);
}

static void a_cancel_ends_suspensions(void) {
  struct service service;
  serve(&service, xpc_connection_create(NULL, NULL));
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  for (int i = 0; i < 3; i++) {
    xpc_connection_t client = client_of(&service, errors);
    CHECK(is_answered(client));
    for (int j = 0; j <= i; j++) xpc_connection_suspend(client);
    end_connection(client, errors); /* and its last release is no misuse */
  }
  stop(&service);
  dispatch_release(errors);
}

static void activation_binds(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%.60s/xpc-shmem/at.once.sock",
           getenv("XDG_RUNTIME_DIR"));
  for (int i = 0; i < 200; i++) {
    struct service service;
    serve(&service,
          xpc_connection_create_mach_service("at.once", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER));
    int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    CHECK(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
    close(client);
    stop(&service);
  }
}

const struct test tests[] = {
  {"strict: a listener learns of a client with its first message", clients_speak_first},
  {"strict: of clients that say nothing the oldest give way", silent_clients_are_limited},
  {"strict: a listener that is cancelled ends its endpoints' connections", a_listeners_end},
  {"strict: a service that is cancelled keeps its connections", a_services_end},
  {"strict: a suspended client sends nothing", suspended_clients_send_nothing},
  {"strict: a suspended peer does not answer", suspended_peers_do_not_answer},
  {"strict: a cancel ends suspensions", a_cancel_ends_suspensions},
  {"strict: a service can be found when its activation returns", activation_binds},
  {NULL, NULL},
};
