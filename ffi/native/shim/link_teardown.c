/*
 * link_teardown.c: how a link ends: its final event, those who are told of the death, and the last reference.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <xpc/xpc.h>

#include "link.h"

/* The callers have a reference already, so the count never comes back from zero. */
void shim_link_retain(shim_link *link) { atomic_fetch_add(&link->references, 1); }

void shim_link_drop(shim_link *link) {
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

/* Queues the final event if it has come and nothing is under way any more. Under the lock. Its place was allocated with
 * the link: a final event that gets no memory would leave its owner waiting without end. */
void shim_link_push_final(shim_link *link) {
  if (!link->invalid || link->under_way > 0 || !link->last) return;
  shim_node *node = link->last; /* NULL from now on: a request after the end must not bring a second one */
  link->last = NULL;
  node->event = (shim_event){.kind = SHIM_EVENT_ERROR, .source = link->id, .value = SHIM_ERROR_INVALID};
  shim_queue_push(link->queue, node);
}

/* The connection is over. Libxpc may deliver replies and barriers after that, so the final event waits for them. */
void shim_link_ended(shim_link *link) {
  pthread_mutex_lock(&link->lock);
  bool first = !link->invalid;
  link->invalid = true;
  if (first) {
    /* Under the lock: shim_link_forget_death returns only when none of its calls runs, so that the caller may free the
     * context. The deaths are not held back: a thread may sleep for a mutex that the dead one holds. */
    for (struct death_call *call = link->death_calls; call; call = call->next) call->call(call->context);
    shim_link_push_final(link);
  }
  pthread_mutex_unlock(&link->lock);
  if (first) shim_link_drop(link); /* the event handler's reference */
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

void shim_link_release(shim_link *link) {
  /* First, while the reference still keeps the link: the end of the realm must not take what is released here. */
  atomic_store(&link->owned, false);
  shim_link_drop(link);
}

void shim_link_reject(shim_link *link) {
  shim_link_cancel(link);
  shim_link_drop(link);
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
