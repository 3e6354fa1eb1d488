/*
 * links.c: XPC connections whose events go to a queue.
 *
 * Who keeps a link alive: its owner (until shim_link_release), its event handler (until the final INVALID),
 * each request and barrier under way, and each of its messages that nobody drained yet.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <dispatch/dispatch.h>
#include <xpc/xpc.h>

#include "internal.h"

/* A link with more undrained messages than this is suspended until there are half as many. */
#define MOST_UNDRAINED 64

struct shim_link {
  _Atomic uint32_t references;
  uint32_t id;
  shim_queue *queue;
  xpc_connection_t connection;
  shim_node *last; /* the place for the final event, until it comes */
  pthread_mutex_t lock;
  /* Under the lock: */
  uint32_t undrained;
  bool suspended;
  bool activated;
  bool cancelled;
  bool invalid;
  void *guarded; /* mutexes to abandon when the link becomes invalid, or NULL */
  uint32_t stride;
  uint32_t count;
  uint32_t owner;
  void *gone; /* a word to set then, or NULL */
};

static void retain(shim_link *link) { atomic_fetch_add(&link->references, 1); }

static void drop(shim_link *link) {
  if (atomic_fetch_sub(&link->references, 1) != 1) return;
  xpc_release(link->connection);
  pthread_mutex_destroy(&link->lock);
  free(link->last);
  shim_queue *queue = link->queue;
  free(link);
  shim_queue_drop(queue);
}

static int32_t error_of(xpc_object_t error) {
  if (error == XPC_ERROR_CONNECTION_INTERRUPTED) return SHIM_ERROR_INTERRUPTED;
  if (error == XPC_ERROR_CONNECTION_INVALID) return SHIM_ERROR_INVALID;
  if (error == XPC_ERROR_TERMINATION_IMMINENT) return SHIM_ERROR_TERMINATING;
#if defined(__APPLE__)
  if (error == XPC_ERROR_PEER_CODE_SIGNING_REQUIREMENT) return SHIM_ERROR_REQUIREMENT;
#endif
  return SHIM_ERROR_OTHER;
}

static void abandon_guarded(shim_link *link) {
  if (link->guarded == NULL) return;
  if (link->gone != NULL) shim_word_store(link->gone, 1);
  for (uint32_t i = 0; i < link->count; i++) {
    (void)shim_mutex_abandon((char *)link->guarded + (size_t)i * link->stride, link->owner);
  }
}

static shim_link *create(shim_queue *queue, xpc_connection_t connection);

/* Puts one more undrained event of `link` on the queue, and suspends the link when there are too many. */
static void push_counted(shim_link *link, shim_node *node) {
  node->of = link;
  retain(link);
  pthread_mutex_lock(&link->lock);
  link->undrained++;
  if (link->undrained > MOST_UNDRAINED && !link->suspended && !link->cancelled) {
    link->suspended = true;
    xpc_connection_suspend(link->connection);
  }
  pthread_mutex_unlock(&link->lock);
  shim_queue_push(link->queue, node);
}

void shim_link_drained(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  link->undrained--;
  if (link->suspended && link->undrained <= MOST_UNDRAINED / 2) {
    link->suspended = false;
    xpc_connection_resume(link->connection);
  }
  pthread_mutex_unlock(&link->lock);
  drop(link);
}

static void on_message(shim_link *link, xpc_object_t message) {
  shim_node *node = calloc(1, sizeof *node);
  if (node == NULL) return; /* dropped: its sender, if it waits for a reply, is told so by XPC */
  node->event = (shim_event){
      .kind = SHIM_EVENT_MESSAGE, .source = link->id, .object = xpc_retain(message)};
  push_counted(link, node);
}

static void on_peer(shim_link *link, xpc_connection_t connection) {
  shim_node *node = calloc(1, sizeof *node);
  /* Borrowed from the runtime, which gives it up after its final event; the link has its own reference. */
  shim_link *peer = node == NULL ? NULL : create(link->queue, (xpc_connection_t)xpc_retain(connection));
  if (peer == NULL) {
    free(node);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      (void)event;
    });
    xpc_connection_activate(connection);
    xpc_connection_cancel(connection);
    return;
  }
  node->event = (shim_event){.kind = SHIM_EVENT_PEER, .source = link->id, .link = peer};
  push_counted(link, node);
}

static void on_error(shim_link *link, xpc_object_t error) {
  int32_t value = error_of(error);
  shim_node *node;
  if (value == SHIM_ERROR_INVALID) {
    pthread_mutex_lock(&link->lock);
    node = link->invalid ? NULL : link->last;
    if (node != NULL) {
      link->last = NULL;
      link->invalid = true;
      abandon_guarded(link);
    }
    pthread_mutex_unlock(&link->lock);
    if (node == NULL) return; /* final means once */
  } else {
    node = calloc(1, sizeof *node);
    if (node == NULL) return; /* not final: what follows from it shows at the next send */
  }
  node->event = (shim_event){.kind = SHIM_EVENT_ERROR, .source = link->id, .value = value};
  shim_queue_push(link->queue, node);
  if (value == SHIM_ERROR_INVALID) drop(link); /* the event handler's reference */
}

/* Takes over the reference to `connection`, also when it fails. */
static shim_link *create(shim_queue *queue, xpc_connection_t connection) {
  shim_link *link = connection == NULL ? NULL : calloc(1, sizeof *link);
  shim_node *last = link == NULL ? NULL : calloc(1, sizeof *last);
  if (last == NULL || pthread_mutex_init(&link->lock, NULL) != 0) {
    free(last);
    free(link);
    if (connection != NULL) {
      /* The last release of an inactive connection is misuse. */
      xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
        (void)event;
      });
      xpc_connection_activate(connection);
      xpc_connection_cancel(connection);
      xpc_release(connection);
    }
    return NULL;
  }
  atomic_init(&link->references, 2); /* the owner's and the event handler's */
  link->queue = shim_queue_retain(queue);
  link->id = shim_queue_next_id(queue);
  link->connection = connection;
  link->last = last;
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

shim_link *shim_link_to_service(shim_queue *queue, const char *name) {
  return create(queue, xpc_connection_create_mach_service(name, NULL, 0));
}

shim_link *shim_link_to_endpoint(shim_queue *queue, void *endpoint) {
  return create(queue, xpc_connection_create_from_endpoint((xpc_endpoint_t)endpoint));
}

shim_link *shim_link_listen(shim_queue *queue, const char *name) {
  return create(queue, xpc_connection_create_mach_service(name, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER));
}

shim_link *shim_link_listen_anonymous(shim_queue *queue) {
  return create(queue, xpc_connection_create(NULL, NULL));
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

void shim_link_send(shim_link *link, void *message) { xpc_connection_send_message(link->connection, message); }

int shim_link_request(shim_link *link, void *message, uint32_t request) {
  shim_node *node = calloc(1, sizeof *node);
  if (node == NULL) return -ENOMEM;
  retain(link);
  xpc_connection_send_message_with_reply(link->connection, message, NULL, ^(xpc_object_t reply) {
    node->event.source = link->id;
    node->event.request = request;
    if (xpc_get_type(reply) == XPC_TYPE_DICTIONARY) {
      node->event.kind = SHIM_EVENT_REPLY;
      node->event.object = xpc_retain(reply);
    } else {
      node->event.kind = SHIM_EVENT_REPLY_ERROR;
      node->event.value = error_of(reply);
    }
    shim_queue_push(link->queue, node);
    drop(link);
  });
  return 0;
}

int shim_link_barrier(shim_link *link, uint32_t request) {
  shim_node *node = calloc(1, sizeof *node);
  if (node == NULL) return -ENOMEM;
  retain(link);
  xpc_connection_send_barrier(link->connection, ^{
    node->event = (shim_event){.kind = SHIM_EVENT_BARRIER, .source = link->id, .request = request};
    shim_queue_push(link->queue, node);
    drop(link);
  });
  return 0;
}

void shim_link_cancel(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  bool first = !link->cancelled;
  bool inactive = !link->activated;
  bool suspended = link->suspended;
  link->cancelled = true;
  link->activated = true;
  link->suspended = false;
  pthread_mutex_unlock(&link->lock);
  if (!first) return;
  /* Only an active connection may be released, and only one that is not suspended has a final event. */
  if (inactive) xpc_connection_activate(link->connection);
  /* Before the cancel, which ends the suspension itself: a resume after it would be one too many. */
  if (suspended) xpc_connection_resume(link->connection);
  xpc_connection_cancel(link->connection);
}

uint32_t shim_link_reason(const shim_link *link, char *buffer, uint32_t size) {
  if (size == 0) return 0;
  buffer[0] = '\0';
  char *reason = xpc_connection_copy_invalidation_reason(link->connection);
  if (reason == NULL) return 0;
  (void)snprintf(buffer, size, "%s", reason);
  free(reason);
  return (uint32_t)strlen(buffer);
}

void shim_link_release(shim_link *link) { drop(link); }

void shim_link_reject(shim_link *link) {
  shim_link_cancel(link);
  drop(link);
}

void shim_link_guard(shim_link *link, void *words, uint32_t stride, uint32_t count, uint32_t owner,
                     void *gone) {
  pthread_mutex_lock(&link->lock);
  link->guarded = words;
  link->stride = stride;
  link->count = count;
  link->owner = owner;
  link->gone = gone;
  if (link->invalid) abandon_guarded(link);
  pthread_mutex_unlock(&link->lock);
}

void shim_link_unguard(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  link->guarded = NULL;
  pthread_mutex_unlock(&link->lock);
}
