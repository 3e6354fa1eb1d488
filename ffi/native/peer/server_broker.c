/* server_broker.c: keeps the name of a server registered, at one broker after the other. */
#include <string.h>

#include "server.h"

/* Between two tries, in nanoseconds: it doubles up to the second number. */
#define FIRST_PAUSE UINT64_C(10000000)
#define LONGEST_PAUSE UINT64_C(500000000)

/* A try is over without a registration. */
static void give_up(struct xshm_server *server) {
  if (server->broker) {
    server->broker->context = NULL;
    shim_link_cancel(server->broker->link);
    server->broker = NULL;
  }
  server->asking = false;
  server->registered = false;
  server->settled = true; /* the first time: xshm_serve fails */
  server->retry_at = shim_now() + server->pause;
  server->pause = server->pause * 2 < LONGEST_PAUSE ? server->pause * 2 : LONGEST_PAUSE;
}

static void fail(struct xshm_server *server, const char *what, xpc_object_t reply) {
  const char *code = reply ? peer_refusal(reply) : "terminating";
  if (code && strcmp(code, "terminating") == 0) {
    (void)peer_fail(
      &server->failure, XSHM_NO_BROKER,
      "Cannot serve \"%s\": no broker runs at \"%s\"; start one (a Deno app with @xpc/shmem, or its agent)",
      server->name, server->service);
  } else {
    (void)peer_fail_reply(&server->failure, what, server->name, reply);
  }
  give_up(server);
}

static void on_registered(struct end *end, xpc_object_t reply) {
  struct xshm_server *server = (struct xshm_server *)end;
  if (!server->broker || !server->asking) return; /* it ended meanwhile, which was told */
  uint64_t generation;
  if (!reply || peer_refusal(reply) || !peer_integer(reply, "generation", PEER_END - 1, &generation)) {
    fail(server, "serve", reply);
    return;
  }
  server->registration = generation;
  server->asking = false;
  server->registered = !server->replaced;
  server->settled = true;
  server->pause = FIRST_PAUSE;
}

static void on_hello(struct end *end, xpc_object_t reply) {
  struct xshm_server *server = (struct xshm_server *)end;
  if (!server->broker || !server->asking) return; /* likewise */
  if (!reply || peer_refusal(reply) || !server->listener) {
    fail(server, "use a broker for", reply);
    return;
  }
  xpc_object_t endpoint =
    (xpc_object_t)xpc_endpoint_create((xpc_connection_t)shim_link_connection(server->listener->link));
  xpc_object_t request = broker_register(server->name, endpoint, server->registration);
  if (!end_request(end, server->broker, request, on_registered)) fail(server, "serve", NULL);
}

uint64_t server_keep_registered(struct end *end) {
  struct xshm_server *server = (struct xshm_server *)end;
  if (server->broker || server->asking || server->replaced) return UINT64_MAX;
  if (server->settled && !server->registration) return UINT64_MAX; /* the first try failed */
  if (server->pause == 0) server->pause = FIRST_PAUSE;
  if (shim_now() < server->retry_at) return server->retry_at;
  server->broker = end_add(end, shim_link_to_service(end->queue, server->service), &server->broker);
  if (!server->broker) {
    give_up(server);
    return server->retry_at;
  }
  server->asking = true;
  shim_link_activate(server->broker->link);
  if (!end_request(end, server->broker, broker_hello(), on_hello)) give_up(server);
  return server->broker ? UINT64_MAX : server->retry_at;
}

void server_broker_said(struct xshm_server *server, xpc_object_t message) {
  const char *event = peer_string(message, "event"), *name = peer_string(message, "name");
  if (!event || strcmp(event, "replaced") != 0 || !name || strcmp(name, server->name) != 0) return;
  uint64_t generation;
  /* It may come before the reply to the register that it undoes. */
  if (!peer_integer(message, "generation", PEER_END - 1, &generation)) return;
  if (!server->asking && generation != server->registration) return;
  server->replaced = true;
  server->registered = false;
}

void server_broker_ended(struct xshm_server *server) {
  bool was_asking = server->asking;
  server->broker = NULL;
  if (was_asking) fail(server, "serve", NULL);
  server->registered = false;
}
