/*
 * links.c: XPC connections whose events go to a queue. How a link ends is in link_teardown.c.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dispatch/dispatch.h>
#include <xpc/xpc.h>

#include "link.h"

/* A link with more undrained messages, or bytes in them, than this is suspended until there are half as many. Half, so
 * that a drainer who takes them one at a time does not suspend and resume for each. */
#define MAX_UNDRAINED 64
#define MAX_UNDRAINED_BYTES (UINT64_C(16) << 20)

/* XPC's errors are constants, which are compared by address. */
int32_t shim_error_of(xpc_object_t error) {
  if (error == XPC_ERROR_CONNECTION_INTERRUPTED) return SHIM_ERROR_INTERRUPTED;
  if (error == XPC_ERROR_CONNECTION_INVALID) return SHIM_ERROR_INVALID;
  if (error == XPC_ERROR_TERMINATION_IMMINENT) return SHIM_ERROR_TERMINATING;
#if defined(__APPLE__)
  if (error == XPC_ERROR_PEER_CODE_SIGNING_REQUIREMENT) return SHIM_ERROR_REQUIREMENT;
#endif
  return SHIM_ERROR_OTHER;
}

static shim_link *create(shim_queue *queue, xpc_connection_t connection);

/* Ends a connection that gets no link. Activated first, since the last release of an inactive one is misuse. */
static void refuse(xpc_connection_t connection) {
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) { (void)event; });
  xpc_connection_activate(connection);
  xpc_connection_cancel(connection);
}

/* Puts one more undrained event of `link` on the queue, and suspends the link when there are too many. */
static void push_counted(shim_link *link, shim_node *node) {
  node->of = link;
  shim_link_retain(link);
  pthread_mutex_lock(&link->lock);
  link->undrained++;
  link->undrained_bytes += node->weight;
  bool many = link->undrained > MAX_UNDRAINED || link->undrained_bytes > MAX_UNDRAINED_BYTES;
  if (many && !link->suspended && !link->cancelled) {
    link->suspended = true;
    xpc_connection_suspend(link->connection);
  }
  pthread_mutex_unlock(&link->lock);
  /* Handlers of one connection never run concurrently, so no other event of the link comes in between. */
  shim_queue_push(link->queue, node);
}

void shim_link_drained(shim_link *link, uint64_t weight) {
  pthread_mutex_lock(&link->lock);
  link->undrained--;
  link->undrained_bytes -= weight;
  bool few = link->undrained <= MAX_UNDRAINED / 2 && link->undrained_bytes <= MAX_UNDRAINED_BYTES / 2;
  /* A cancel clears `suspended`: it has resumed the connection itself, and a second resume aborts. */
  if (link->suspended && few) {
    link->suspended = false;
    xpc_connection_resume(link->connection);
  }
  pthread_mutex_unlock(&link->lock);
  shim_link_drop(link);
}

static void on_message(shim_link *link, xpc_object_t message) {
  shim_node *node = calloc(1, sizeof *node);
  if (!node) return; /* dropped: its sender, if it waits for a reply, is told so by XPC */
  node->event = (shim_event){.kind = SHIM_EVENT_MESSAGE, .source = link->id, .object = xpc_retain(message)};
  node->weight = shim_message_weight(message);
  push_counted(link, node);
}

static void on_peer(shim_link *link, xpc_connection_t connection) {
  shim_node *node = calloc(1, sizeof *node);
  if (!node) {
    refuse(connection);
    return;
  }
  /* Borrowed from the runtime, which releases it after its final event; the link has its own reference. */
  shim_link *peer = create(link->queue, (xpc_connection_t)xpc_retain(connection));
  if (!peer) { /* and refused already */
    free(node);
    return;
  }
  node->event = (shim_event){.kind = SHIM_EVENT_PEER, .source = link->id, .link = peer};
  push_counted(link, node);
}

static void on_error(shim_link *link, xpc_object_t error) {
  int32_t value = shim_error_of(error);
  if (value == SHIM_ERROR_INVALID) {
    shim_link_ended(link);
    return;
  }
  shim_node *node = calloc(1, sizeof *node);
  if (!node) return; /* not final: what follows from it shows at the next send */
  node->event = (shim_event){.kind = SHIM_EVENT_ERROR, .source = link->id, .value = value};
  shim_queue_push(link->queue, node);
  /* A peer that fails the code-signing requirement stays connected unless somebody cancels the connection. */
  if (value == SHIM_ERROR_REQUIREMENT) shim_link_cancel(link);
}

/* Takes over the reference to `connection`, also when it fails. */
static shim_link *create(shim_queue *queue, xpc_connection_t connection) {
  shim_link *link = connection ? calloc(1, sizeof *link) : NULL;
  shim_node *last = link ? calloc(1, sizeof *last) : NULL;
  if (!last || pthread_mutex_init(&link->lock, NULL) != 0) {
    free(last);
    free(link);
    if (connection) {
      refuse(connection);
      xpc_release(connection);
    }
    return NULL;
  }
  atomic_init(&link->references, 2); /* the owner's and the event handler's */
  atomic_init(&link->owned, false);
  link->queue = shim_queue_retain(queue);
  link->id = shim_queue_next_id(queue);
  link->connection = connection;
  link->last = last;
  /* A list with back pointers: a server may have thousands of links, and each leaves when it likes. */
  pthread_mutex_lock(shim_queue_lock(queue));
  link->place = shim_queue_links(queue);
  link->next = *link->place;
  if (link->next) link->next->place = &link->next;
  *link->place = link;
  pthread_mutex_unlock(shim_queue_lock(queue));
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    xpc_type_t type = xpc_get_type(event);
    if (type == XPC_TYPE_DICTIONARY) {
      on_message(link, event);
    } else if (type == XPC_TYPE_CONNECTION) {
      on_peer(link, (xpc_connection_t)event);
    } else if (type == XPC_TYPE_ERROR) {
      on_error(link, event);
    }
  });
  return link;
}

/* For the owner of the queue, who asks for the link. */
static shim_link *create_owned(shim_queue *queue, xpc_connection_t connection) {
  shim_link *link = create(queue, connection);
  if (link) shim_link_hand_over(link);
  return link;
}

shim_link *shim_link_to_service(shim_queue *queue, const char *name) {
  return create_owned(queue, xpc_connection_create_mach_service(name, NULL, 0));
}

shim_link *shim_link_to_endpoint(shim_queue *queue, void *endpoint) {
  return create_owned(queue, xpc_connection_create_from_endpoint((xpc_endpoint_t)endpoint));
}

shim_link *shim_link_listen(shim_queue *queue, const char *name) {
  return create_owned(queue,
                      xpc_connection_create_mach_service(name, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER));
}

shim_link *shim_link_listen_anonymous(shim_queue *queue) {
  return create_owned(queue, xpc_connection_create(NULL, NULL));
}

uint32_t shim_link_id(const shim_link *link) { return link->id; }

void *shim_link_connection(const shim_link *link) { return link->connection; }

uint32_t shim_euid(void) { return (uint32_t)geteuid(); }

int shim_link_require(shim_link *link, const char *requirement) {
#if defined(__APPLE__)
  return xpc_connection_set_peer_code_signing_requirement(link->connection, requirement) == 0 ? 0 : -EINVAL;
#else
  (void)link;
  (void)requirement;
  return -ENOTSUP;
#endif
}

void shim_link_activate(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  bool first = !link->activated;
  link->activated = true;
  pthread_mutex_unlock(&link->lock);
  if (first) xpc_connection_activate(link->connection);
}

void shim_link_send(shim_link *link, void *message) {
  xpc_connection_send_message(link->connection, message);
}

uint32_t shim_link_reason(const shim_link *link, char *buffer, uint32_t size) {
  if (size == 0) return 0;
  buffer[0] = '\0';
  char *reason = xpc_connection_copy_invalidation_reason(link->connection);
  if (!reason) return 0;
  (void)snprintf(buffer, size, "%s", reason); /* for people, who do without the end of a long one */
  free(reason);
  return (uint32_t)strlen(buffer);
}
