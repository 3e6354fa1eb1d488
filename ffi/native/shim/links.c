/*
 * links.c: XPC connections whose events go to a queue.
 *
 * These keep a link alive: its owner (until shim_link_release), its event handler (until the final INVALID), each
 * request and barrier under way, and each of its messages that nobody drained yet.
 *
 * Locks are taken in this order: the link's, then the queue's. So whoever holds the queue's lock touches no more of a
 * link than its atomics and its place in the list. XPC's suspend and resume are called under the link's lock, which
 * keeps them in pairs; they call no handler. Activate and cancel are called without it.
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

/* A link with more undrained messages, or bytes in them, than this is suspended until there are half as many. Half, so that a drainer who
 * takes them one at a time does not suspend and resume for each. */
#define MAX_UNDRAINED 64
#define MAX_UNDRAINED_BYTES (UINT64_C(16) << 20)

/* What to call when a link becomes invalid. */
struct death_call {
  struct death_call *next;
  void (*call)(void *context);
  void *context;
};

struct shim_link {
  _Atomic uint32_t references;
  uint32_t id;
  shim_queue *queue;
  xpc_connection_t connection;
  shim_link *next;   /* in the queue's list of links, under the queue's lock */
  shim_link **place; /* what points at this link in that list */
  _Atomic bool
    owned; /* the owner of the queue has it: from its making or its PEER event, until its release */
  pthread_mutex_t lock;
  /* Under the lock: */
  shim_node *last; /* the place for the final event, until it is queued */
  struct death_call *death_calls;
  uint32_t undrained;
  uint64_t undrained_bytes;
  uint32_t under_way; /* requests and barriers that have not ended yet */
  bool suspended;
  bool activated;
  bool cancelled;
  bool invalid;
};

/* The callers have a reference already, so the count never comes back from zero. */
static void retain(shim_link *link) { atomic_fetch_add(&link->references, 1); }

static void drop(shim_link *link) {
  if (atomic_fetch_sub(&link->references, 1) != 1) return;
  /* The end of a dead realm may still find the link in the list, but nobody owns it any more, so it is left alone. */
  pthread_mutex_lock(shim_queue_lock(link->queue));
  *link->place = link->next;
  if (link->next) link->next->place = link->place;
  pthread_mutex_unlock(shim_queue_lock(link->queue));
  xpc_release(link->connection);
  pthread_mutex_destroy(&link->lock);
  free(link->last);
  while (link->death_calls) {
    struct death_call *call = link->death_calls;
    link->death_calls = call->next;
    free(call);
  }
  shim_queue *queue = link->queue;
  free(link);
  shim_queue_drop(queue);
}

/* The exchange makes sure that the owner's reference is dropped once, by the release or by the end of the realm. */
shim_link *shim_links_take_owned(shim_link *links) {
  for (shim_link *link = links; link; link = link->next) {
    if (atomic_exchange(&link->owned, false)) return link;
  }
  return NULL;
}

void shim_link_hand_over(shim_link *link) { atomic_store(&link->owned, true); }

/* XPC's errors are constants, which are compared by address. */
static int32_t error_of(xpc_object_t error) {
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
  retain(link);
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
  drop(link);
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

/* Queues the final event if it has come and nothing is under way any more. Under the lock. Its place was allocated with
 * the link: a final event that gets no memory would leave its owner waiting without end. */
static void push_final(shim_link *link) {
  if (!link->invalid || link->under_way > 0 || !link->last) return;
  shim_node *node = link->last; /* NULL from now on: a request after the end must not bring a second one */
  link->last = NULL;
  node->event = (shim_event){.kind = SHIM_EVENT_ERROR, .source = link->id, .value = SHIM_ERROR_INVALID};
  shim_queue_push(link->queue, node);
}

/* The connection is over. Libxpc may deliver replies and barriers after that, so the final event waits for them. */
static void on_invalid(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  bool first = !link->invalid;
  link->invalid = true;
  if (first) {
    /* Under the lock: shim_link_forget_death returns only when none of its calls runs, so that the caller may free the
     * context. The deaths are not held back: a thread may sleep for a mutex that the dead one holds. */
    for (struct death_call *call = link->death_calls; call; call = call->next) call->call(call->context);
    push_final(link);
  }
  pthread_mutex_unlock(&link->lock);
  if (first) drop(link); /* the event handler's reference */
}

static void on_error(shim_link *link, xpc_object_t error) {
  int32_t value = error_of(error);
  if (value == SHIM_ERROR_INVALID) {
    on_invalid(link);
    return;
  }
  shim_node *node = calloc(1, sizeof *node);
  if (!node) return; /* not final: what follows from it shows at the next send */
  node->event = (shim_event){.kind = SHIM_EVENT_ERROR, .source = link->id, .value = value};
  shim_queue_push(link->queue, node);
  /* A peer that fails the code-signing requirement stays connected unless somebody cancels the connection. */
  if (value == SHIM_ERROR_REQUIREMENT) shim_link_cancel(link);
}

/* A request or a barrier starts, which keeps the link alive until finish_under_way. */
static void start_under_way(shim_link *link) {
  retain(link);
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
  push_final(link);
  pthread_mutex_unlock(&link->lock);
  drop(link);
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
      node->event.value = error_of(reply);
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
  /* Only an active connection may be released, and only one that is not suspended has a final event. Resumed
   * before it is cancelled: a cancel resets the count of suspensions, and a resume after it aborts. */
  if (inactive) xpc_connection_activate(link->connection);
  if (suspended) xpc_connection_resume(link->connection);
  xpc_connection_cancel(link->connection);
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

void shim_link_release(shim_link *link) {
  /* First, while the reference still keeps the link: the end of the realm must not take what is released here. */
  atomic_store(&link->owned, false);
  drop(link);
}

void shim_link_reject(shim_link *link) {
  shim_link_cancel(link);
  drop(link);
}

int shim_link_on_death(shim_link *link, void (*call)(void *context), void *context) {
  struct death_call *added = malloc(sizeof *added);
  if (!added) return -ENOMEM;
  pthread_mutex_lock(&link->lock);
  *added = (struct death_call){.next = link->death_calls, .call = call, .context = context};
  link->death_calls = added;
  if (link->invalid) call(context); /* on_invalid has been through the list already */
  pthread_mutex_unlock(&link->lock);
  return 0;
}

void shim_link_forget_death(shim_link *link, void *context) {
  struct death_call *found = NULL;
  pthread_mutex_lock(&link->lock);
  for (struct death_call **place = &link->death_calls; *place; place = &(*place)->next) {
    if ((*place)->context != context) continue;
    found = *place;
    *place = found->next;
    break;
  }
  pthread_mutex_unlock(&link->lock);
  free(found);
}
