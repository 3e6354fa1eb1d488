/*
 * link_requests.c: requests and barriers of a link. Each ends with one event, before the link's final one.
 */
#include <errno.h>
#include <stdlib.h>

#include <xpc/xpc.h>

#include "link.h"

/* A request or a barrier starts, which keeps the link alive until finish_under_way. */
static void start_under_way(shim_link *link) {
  shim_link_retain(link);
  pthread_mutex_lock(&link->lock);
  link->under_way++;
  pthread_mutex_unlock(&link->lock);
}

/* Queues the end of a request or a barrier, and behind it the final event if that was held back for it. Both under the
 * lock: of two that end at once, neither may queue the final event before the other has queued its own. */
static void finish_under_way(shim_link *link, shim_node *node) {
  pthread_mutex_lock(&link->lock);
  shim_queue_push(link->queue, node);
  link->under_way--;
  shim_link_push_final(link);
  pthread_mutex_unlock(&link->lock);
  shim_link_drop(link);
}

int shim_link_request(shim_link *link, void *message, uint32_t request) {
  /* Before anything is sent: from then on the caller is promised one event. */
  shim_node *node = calloc(1, sizeof *node);
  if (!node) return -ENOMEM;
  start_under_way(link);
  xpc_connection_send_message_with_reply(link->connection, message, NULL, ^(xpc_object_t reply) {
    node->event.source = link->id;
    node->event.request = request;
    if (xpc_get_type(reply) == XPC_TYPE_DICTIONARY) {
      node->event.kind = SHIM_EVENT_REPLY;
      node->event.object = xpc_retain(reply);
    } else {
      node->event.kind = SHIM_EVENT_REPLY_ERROR;
      node->event.value = shim_error_of(reply);
      /* A client learns from its replies, not by an event, that the server fails its requirement. */
      if (node->event.value == SHIM_ERROR_REQUIREMENT) shim_link_cancel(link);
    }
    finish_under_way(link, node);
  });
  return 0;
}

int shim_link_barrier(shim_link *link, uint32_t request) {
  shim_node *node = calloc(1, sizeof *node);
  if (!node) return -ENOMEM;
  start_under_way(link);
  xpc_connection_send_barrier(link->connection, ^{
    node->event = (shim_event){.kind = SHIM_EVENT_BARRIER, .source = link->id, .request = request};
    finish_under_way(link, node);
  });
  return 0;
}
