/*
 * echo_server.c NAME: a service that answers every message with its own content. Pure XPC: the same file
 * compiles for macOS.
 */
#include <dispatch/dispatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xpc/xpc.h>

static void answer(xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_dictionary_set_value(reply, "echo", xpc_dictionary_get_value(message, "text"));
  xpc_dictionary_set_int64(reply, "pid", getpid());
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
}

static void accept_peer(xpc_connection_t peer) {
  xpc_connection_set_event_handler(peer, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) answer(event);
  });
  xpc_connection_activate(peer);
}

int main(int count, char **arguments) {
  if (count != 2) {
    fprintf(stderr, "usage: echo_server NAME\n");
    return 2;
  }
  xpc_connection_t listener =
    xpc_connection_create_mach_service(arguments[1], NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_CONNECTION) {
      accept_peer((xpc_connection_t)event);
    } else {
      fprintf(stderr, "echo_server: %s\n", xpc_dictionary_get_string(event, XPC_ERROR_KEY_DESCRIPTION));
      exit(1);
    }
  });
  xpc_connection_activate(listener);
  puts("ready");
  fflush(stdout);
  dispatch_main();
}
