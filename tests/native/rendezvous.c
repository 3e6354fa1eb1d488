/*
 * rendezvous.c NAME agent|owner|client: an anonymous listener is found through a service, as two apps find
 * each other through a launch agent. The owner puts its listener's endpoint, the client gets it and from then
 * on talks to the owner alone. Pure XPC: the same file compiles for macOS.
 */
#include <dispatch/dispatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xpc/xpc.h>

static xpc_object_t kept; /* the agent's: the endpoint that was put; only handlers on one queue touch it */

static void report(const char *line) {
  puts(line);
  fflush(stdout);
}

static int fail(const char *what, xpc_object_t event) {
  const char *why = xpc_get_type(event) == XPC_TYPE_ERROR
                      ? xpc_dictionary_get_string(event, XPC_ERROR_KEY_DESCRIPTION)
                      : "an unexpected answer";
  fprintf(stderr, "rendezvous: %s: %s\n", what, why);
  return 1;
}

/* ------------------------------------------------------------------------------------------ agent ---- */

static void serve(xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_object_t put = xpc_dictionary_get_value(message, "put");
  if (put && xpc_get_type(put) == XPC_TYPE_ENDPOINT) {
    if (kept) xpc_release(kept);
    kept = xpc_retain(put);
  } else {
    xpc_dictionary_set_value(reply, "endpoint", kept); /* nothing where nothing was put */
  }
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
}

static int run_agent(const char *name) {
  dispatch_queue_t queue = dispatch_queue_create("agent", DISPATCH_QUEUE_SERIAL);
  xpc_connection_t listener =
    xpc_connection_create_mach_service(name, queue, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) exit(fail("listening", peer));
    xpc_connection_set_target_queue((xpc_connection_t)peer, queue);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) serve(event);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  report("ready");
  dispatch_main();
}

/* --------------------------------------------------------------------------------- owner and client ---- */

static xpc_connection_t activated(xpc_connection_t connection) {
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    (void)event; /* what matters comes as a reply */
  });
  xpc_connection_activate(connection);
  return connection;
}

static void greet(xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  char text[256];
  (void)snprintf(text, sizeof text, "hello %.200s", xpc_dictionary_get_string(message, "name"));
  xpc_dictionary_set_string(reply, "text", text);
  xpc_dictionary_set_int64(reply, "pid", getpid());
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
}

static int run_owner(const char *name) {
  xpc_connection_t listener = xpc_connection_create(NULL, NULL);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) return;
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) greet(event);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);

  xpc_connection_t agent = activated(xpc_connection_create_mach_service(name, NULL, 0));
  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
  xpc_dictionary_set_value(message, "put", endpoint);
  xpc_release(endpoint);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(agent, message);
  xpc_release(message);
  if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) return fail("putting the endpoint", reply);
  xpc_release(reply);
  char line[32];
  (void)snprintf(line, sizeof line, "%d", (int)getpid());
  report(line);
  dispatch_main();
}

static int run_client(const char *name) {
  xpc_connection_t agent = activated(xpc_connection_create_mach_service(name, NULL, 0));
  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(agent, message);
  if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) return fail("getting the endpoint", reply);
  xpc_object_t endpoint = xpc_dictionary_get_value(reply, "endpoint");
  if (!endpoint || xpc_get_type(endpoint) != XPC_TYPE_ENDPOINT) return fail("no endpoint was put", reply);

  xpc_connection_t owner = activated(xpc_connection_create_from_endpoint((xpc_endpoint_t)endpoint));
  xpc_release(reply);
  xpc_dictionary_set_string(message, "name", "client");
  reply = xpc_connection_send_message_with_reply_sync(owner, message);
  xpc_release(message);
  if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) return fail("asking the owner", reply);
  const char *text = xpc_dictionary_get_string(reply, "text");
  if (!text || strcmp(text, "hello client") != 0) return fail("the owner's greeting", reply);
  char line[64];
  (void)snprintf(line, sizeof line, "greeted by %d", (int)xpc_dictionary_get_int64(reply, "pid"));
  bool same = xpc_connection_get_pid(owner) == xpc_dictionary_get_int64(reply, "pid");
  xpc_release(reply);
  xpc_connection_cancel(owner);
  xpc_release(owner);
  xpc_connection_cancel(agent);
  xpc_release(agent);
  report(line);
  return same ? 0 : 1;
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[2], "agent") == 0) return run_agent(arguments[1]);
  if (count == 3 && strcmp(arguments[2], "owner") == 0) return run_owner(arguments[1]);
  if (count == 3 && strcmp(arguments[2], "client") == 0) return run_client(arguments[1]);
  fprintf(stderr, "usage: rendezvous NAME agent|owner|client\n");
  return 2;
}
