/*
 * echo_client.c NAME TEXT: asks the echo service once, synchronously, and once with a block. Pure XPC: the
 * same file compiles for macOS.
 */
#include <dispatch/dispatch.h>
#include <stdio.h>
#include <string.h>
#include <xpc/xpc.h>

static int check(xpc_object_t reply, const char *text) {
  if (xpc_get_type(reply) == XPC_TYPE_ERROR) {
    fprintf(stderr, "echo_client: %s\n", xpc_dictionary_get_string(reply, XPC_ERROR_KEY_DESCRIPTION));
    return 1;
  }
  const char *echo = xpc_dictionary_get_string(reply, "echo");
  return echo && strcmp(echo, text) == 0 ? 0 : 1;
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: echo_client NAME TEXT\n");
    return 2;
  }
  const char *text = arguments[2];
  dispatch_semaphore_t done = dispatch_semaphore_create(0);
  xpc_connection_t connection = xpc_connection_create_mach_service(arguments[1], NULL, 0);
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(done);
  });
  xpc_connection_activate(connection);

  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(message, "text", text);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, message);
  int failures = check(reply, text);
  xpc_release(reply);

  __block int failures_of_block = 1;
  dispatch_semaphore_t answered = dispatch_semaphore_create(0);
  xpc_connection_send_message_with_reply(connection, message, NULL, ^(xpc_object_t answer) {
    failures_of_block = check(answer, text);
    dispatch_semaphore_signal(answered);
  });
  dispatch_semaphore_wait(answered, DISPATCH_TIME_FOREVER);
  xpc_release(message);

  xpc_connection_cancel(connection);
  dispatch_semaphore_wait(done, DISPATCH_TIME_FOREVER);
  xpc_release(connection);
  dispatch_release(done);
  dispatch_release(answered);
  puts(failures + failures_of_block == 0 ? "ok echo" : "not ok echo");
  return failures + failures_of_block == 0 ? 0 : 1;
}
