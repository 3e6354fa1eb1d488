/*
 * link.h: what a link is, for the files that make it: links.c, link_requests.c, link_teardown.c.
 *
 * These keep a link alive: its owner (until shim_link_release), its event handler (until the final INVALID), each
 * request and barrier under way, and each of its messages that nobody drained yet.
 *
 * Locks are taken in this order: the link's, then the queue's. So whoever holds the queue's lock touches no more of a
 * link than its atomics and its place in the list. XPC's suspend and resume are called under the link's lock, which
 * keeps them in pairs; they call no handler. Activate and cancel are called without it.
 */
#ifndef XPC_SHMEM_LINK_H
#define XPC_SHMEM_LINK_H

#include <stdatomic.h>

#include <xpc/xpc.h>

#include "internal.h"

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

/* links.c: one of enum shim_error. */
int32_t shim_error_of(xpc_object_t error);

/* link_teardown.c */
void shim_link_retain(shim_link *link);     /* by whoever has a reference already */
void shim_link_drop(shim_link *link);       /* the last one frees the link */
void shim_link_push_final(shim_link *link); /* if the end has come and nothing is under way; under the lock */
void shim_link_ended(shim_link *link); /* the connection is over: XPC said so, for the first time or again */

#endif
