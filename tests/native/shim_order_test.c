/*
 * shim_order_test.c: what a link does with an XPC that is stricter, or slower, than the one of this system.
 *
 * Apple's libxpc may deliver replies and barriers after the final INVALID, and aborts at a resume that follows a
 * cancel. This program compiles the links a second time, under other names and against a libxpc of its own, which
 * delivers in the order that the test asks for and writes down what it is told.
 */
#define _GNU_SOURCE 1
#include <dispatch/dispatch.h>
#include <stdlib.h>
#include <string.h>
#include <xpc/xpc.h>

/* Other names for what these files define, since the library under test has it as well. */
#define shim_error_of order_error_of
#define shim_euid order_euid
#define shim_link_activate order_link_activate
#define shim_link_barrier order_link_barrier
#define shim_link_cancel order_link_cancel
#define shim_link_connection order_link_connection
#define shim_link_drained order_link_drained
#define shim_link_drop order_link_drop
#define shim_link_ended order_link_ended
#define shim_link_forget_death order_link_forget_death
#define shim_link_hand_over order_link_hand_over
#define shim_link_id order_link_id
#define shim_link_listen order_link_listen
#define shim_link_listen_anonymous order_link_listen_anonymous
#define shim_link_on_death order_link_on_death
#define shim_link_push_final order_link_push_final
#define shim_link_reason order_link_reason
#define shim_link_reject order_link_reject
#define shim_link_release order_link_release
#define shim_link_request order_link_request
#define shim_link_require order_link_require
#define shim_link_retain order_link_retain
#define shim_link_send order_link_send
#define shim_link_to_endpoint order_link_to_endpoint
#define shim_link_to_service order_link_to_service
#define shim_links_take_owned order_links_take_owned

#include "inbox.h"

/* The runtime of blocks, for which there is no header here. */
void *_Block_copy(const void *block);
void _Block_release(const void *block);

/* One connection at a time: what it was told, a letter each, and the blocks that it has. */
static struct {
  char calls[64];
  xpc_handler_t handler;
  xpc_handler_t replies[8];
  dispatch_block_t barriers[8];
  int reply_count, barrier_count;
} fake;

static void note_call(char letter) {
  size_t length = strlen(fake.calls);
  if (length + 1 < sizeof fake.calls) fake.calls[length] = letter;
}

static xpc_connection_t fake_create(void) {
  return (xpc_connection_t)xpc_dictionary_create_empty(); /* any object that can be released */
}

static void fake_handler(xpc_handler_t handler) {
  fake.handler = (xpc_handler_t)_Block_copy((const void *)handler);
}
static void fake_request(xpc_handler_t reply) {
  fake.replies[fake.reply_count++] = (xpc_handler_t)_Block_copy((const void *)reply);
}
static void fake_barrier(dispatch_block_t barrier) {
  fake.barriers[fake.barrier_count++] = (dispatch_block_t)_Block_copy((const void *)barrier);
}

#define xpc_connection_create_mach_service(name, queue, flags) ((void)(name), fake_create())
#define xpc_connection_set_event_handler(connection, ...) ((void)(connection), fake_handler(__VA_ARGS__))
#define xpc_connection_send_message_with_reply(connection, message, queue, ...)                              \
  ((void)(connection), (void)(message), fake_request(__VA_ARGS__))
#define xpc_connection_send_barrier(connection, ...) ((void)(connection), fake_barrier(__VA_ARGS__))
#define xpc_connection_activate(connection) ((void)(connection), note_call('a'))
#define xpc_connection_suspend(connection) ((void)(connection), note_call('s'))
#define xpc_connection_resume(connection) ((void)(connection), note_call('r'))
#define xpc_connection_cancel(connection) ((void)(connection), note_call('c'))

#include "../../ffi/native/shim/link_requests.c"
#include "../../ffi/native/shim/link_teardown.c"
#include "../../ffi/native/shim/links.c"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

static shim_link *open_fake(struct inbox *inbox) {
  memset(&fake, 0, sizeof fake);
  shim_link *link = order_link_to_service(inbox->queue, "fake");
  if (link == NULL) abort();
  order_link_activate(link);
  return link;
}

/* Delivers the end of the connection, after which its handler is gone. */
static void deliver_end(void) {
  fake.handler((xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INVALID);
  _Block_release((const void *)fake.handler);
  fake.handler = NULL;
}

static void deliver_reply(int number, xpc_object_t reply) {
  fake.replies[number](reply);
  _Block_release((const void *)fake.replies[number]);
}

static void deliver_barrier(int number) {
  fake.barriers[number]();
  _Block_release((const void *)fake.barriers[number]);
}

static bool nothing_waits(struct inbox *inbox) {
  shim_event event;
  return shim_queue_drain(inbox->queue, &event, 1) == 0;
}

/* The end is held back until the last request and the last barrier have ended, in whatever order they do. */
static void end_held_back(void) {
  struct inbox *inbox = open_inbox();
  shim_link *link = open_fake(inbox);
  xpc_object_t message = xpc_dictionary_create_empty();
  for (uint32_t i = 0; i < 3; i++) CHECK(order_link_request(link, message, i) == 0);
  for (uint32_t i = 3; i < 5; i++) CHECK(order_link_barrier(link, i) == 0);
  shim_event event;
  deliver_barrier(0);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_BARRIER, link) && CHECK(event.request == 3));
  deliver_end();
  CHECK(nothing_waits(inbox));
  deliver_reply(1, message); /* was on its way already */
  REQUIRE(expect(inbox, &event, SHIM_EVENT_REPLY, link) && CHECK(event.request == 1));
  xpc_release(event.object);
  deliver_reply(0, (xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INVALID);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_REPLY_ERROR, link) && CHECK(event.request == 0));
  CHECK(nothing_waits(inbox));
  deliver_reply(2, (xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INTERRUPTED);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_REPLY_ERROR, link));
  CHECK(event.request == 2 && event.value == SHIM_ERROR_INTERRUPTED);
  CHECK(nothing_waits(inbox));
  deliver_barrier(1);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_BARRIER, link) && CHECK(event.request == 4));
  CHECK(expect(inbox, &event, SHIM_EVENT_ERROR, link) && event.value == SHIM_ERROR_INVALID);
  CHECK(order_link_request(link, message, 5) ==
        0); /* what comes later than the end ends, and there is one end */
  deliver_reply(3, (xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INVALID);
  REQUIRE(expect(inbox, &event, SHIM_EVENT_REPLY_ERROR, link) && CHECK(event.request == 5));
  CHECK(nothing_waits(inbox));
  order_link_release(link);
  xpc_release(message);
  close_inbox(inbox);
}

/* The death is told at once, although the final event is not. */
static void death_not_held_back(void) {
  struct inbox *inbox = open_inbox();
  shim_link *link = open_fake(inbox);
  _Atomic uint32_t held = 5, gone = 0;
  shim_owner *owner = shim_owner_create(&held, NULL, 4, 1, 5, &gone, NULL, NULL);
  REQUIRE(owner != NULL && order_link_on_death(link, shim_owner_death_call(), owner) == 0);
  xpc_object_t message = xpc_dictionary_create_empty();
  CHECK(order_link_request(link, message, 0) == 0);
  deliver_end();
  CHECK(nothing_waits(inbox) && atomic_load(&gone) == 1 && atomic_load(&held) == SHIM_MUTEX_ABANDONED);
  shim_event event;
  deliver_reply(0, (xpc_object_t)(uintptr_t)XPC_ERROR_CONNECTION_INVALID);
  CHECK(expect(inbox, &event, SHIM_EVENT_REPLY_ERROR, link));
  CHECK(expect(inbox, &event, SHIM_EVENT_ERROR, link) && event.value == SHIM_ERROR_INVALID);
  order_link_release(link);
  shim_owner_free(owner);
  xpc_release(message);
  close_inbox(inbox);
}

/* Suspended, resumed and cancelled: each resume answers a suspend, and none comes after the cancel. */
static void resumed_before_cancelled(void) {
  struct inbox *inbox = open_inbox();
  shim_link *link = open_fake(inbox);
  xpc_object_t message = xpc_dictionary_create_empty();
  for (int i = 0; i <= MAX_UNDRAINED; i++) {
    CHECK(strcmp(fake.calls, "a") == 0);
    fake.handler(message);
  }
  CHECK(strcmp(fake.calls, "as") == 0);
  order_link_cancel(link);
  CHECK(strcmp(fake.calls, "asrc") == 0);
  order_link_cancel(link);
  for (int i = 0; i <= MAX_UNDRAINED; i++)
    fake.handler(message); /* were under way: too many, but it is cancelled */
  deliver_end();
  order_link_release(link);
  close_inbox(inbox); /* discards what waits, which drains the link */
  CHECK(strcmp(fake.calls, "asrc") == 0);
  xpc_release(message);
}

const struct test tests[] = {
  {"order: the end waits for replies and barriers that come late", end_held_back},
  {"order: the death of a link is told at once", death_not_held_back},
  {"order: a suspended link is resumed before it is cancelled", resumed_before_cancelled},
  {NULL, NULL},
};
