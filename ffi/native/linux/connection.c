/*
 * connection.c: making, configuring, starting and ending connections; the calls of the public header.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

xpc_connection_t xpc_connection_make(enum xpc_role role, const char *name, dispatch_queue_t target) {
  xpc_connection_t connection = xpc_object_allocate(XPC_TYPE_CONNECTION, sizeof *connection);
  bool listener = role == XPC_ROLE_SERVICE_LISTENER || role == XPC_ROLE_ANONYMOUS_LISTENER;
  connection->role = role;
  connection->name = name ? xpc_copy_string(name) : NULL;
  connection->queue = dispatch_queue_create_with_target("xpc.connection", DISPATCH_QUEUE_SERIAL, target);
  xpc_queue_suspend(connection->queue); /* until it is activated */
  pthread_mutex_init(&connection->lock, NULL);
  connection->job.run = xpc_connection_step;
  connection->source.fd = -1;
  connection->source.ready = listener ? xpc_listener_ready : xpc_connection_ready;
  connection->port = (struct xpc_source){.fd = -1, .ready = xpc_listener_port_ready};
  connection->port_path = -1;
  connection->service.lock_fd = -1;
  connection->spare = -1;
  connection->unsent_end = &connection->unsent;
  connection->uid = (uid_t)-1;
  connection->gid = (gid_t)-1;
  return connection;
}

xpc_connection_t xpc_connection_create(const char *name, dispatch_queue_t targetq) {
  if (name) return xpc_connection_make(XPC_ROLE_SERVICE_CLIENT, name, targetq);
  xpc_connection_t listener = xpc_connection_make(XPC_ROLE_ANONYMOUS_LISTENER, NULL, targetq);
  /* Endpoints may be made before activation. If this fails, activation tries again, and says why. */
  char reason[XPC_REASON_SPACE];
  (void)xpc_port_open(listener, reason, sizeof reason);
  return listener;
}

xpc_connection_t xpc_connection_create_mach_service(const char *name, dispatch_queue_t targetq,
                                                    uint64_t flags) {
  if (!name) xpc_misuse("xpc_connection_create_mach_service: the name is NULL");
  bool listener = flags & XPC_CONNECTION_MACH_SERVICE_LISTENER;
  return xpc_connection_make(listener ? XPC_ROLE_SERVICE_LISTENER : XPC_ROLE_SERVICE_CLIENT, name, targetq);
}

xpc_connection_t xpc_connection_create_from_endpoint(xpc_endpoint_t endpoint) {
  xpc_object_expect(endpoint, XPC_TYPE_ENDPOINT, __func__);
  xpc_connection_t connection = xpc_connection_make(XPC_ROLE_ENDPOINT_CLIENT, NULL, NULL);
  connection->endpoint = xpc_retain(endpoint);
  return connection;
}

/* ---------------------------------------------------------------------------------- the last word ---- */

void xpc_connection_check_release(xpc_connection_t connection) {
  int32_t references = atomic_load(&connection->base.references);
  if (references > 2) return;
  pthread_mutex_lock(&connection->lock);
  bool last = references == (connection->self ? 2 : 1);
  const char *problem = NULL;
  if (connection->self && references == 1) {
    problem = "over-release: this reference belongs to the runtime";
  } else if (last && connection->phase == XPC_PHASE_INACTIVE && connection->role != XPC_ROLE_PEER) {
    problem = "the last release of an inactive connection";
  } else if (last && connection->suspensions && connection->role != XPC_ROLE_PEER) {
    problem = "the last release of a suspended connection";
  }
  pthread_mutex_unlock(&connection->lock);
  if (problem) xpc_misuse("xpc_release: %s", problem);
}

void xpc_connection_dispose(xpc_connection_t connection) {
  if (connection->finalizer && connection->context) {
    dispatch_async_f(connection->queue, connection->context, connection->finalizer);
  }
  xpc_block_release(connection->handler);
  xpc_queue_release(connection->queue);
  if (connection->endpoint) xpc_release(connection->endpoint);
  pthread_mutex_destroy(&connection->lock);
  free(connection->name);
  free(connection->reason);
}

/* ------------------------------------------------------------------------------ for the other files ---- */

void xpc_connection_wake(xpc_connection_t connection) {
  if (connection->scheduled) return;
  connection->scheduled = true;
  xpc_retain(connection);
  xpc_io_schedule(&connection->job);
}

void xpc_connection_retry(xpc_connection_t connection) {
  if (connection->scheduled) return;
  connection->scheduled = true;
  xpc_retain(connection);
  xpc_io_schedule_later(&connection->job);
}

void xpc_connection_fail(xpc_connection_t connection, const char *reason) {
  if (connection->cancelled) return;
  connection->cancelled = true;
  connection->reason = xpc_copy_string(reason);
  xpc_connection_wake(connection);
}

/* ------------------------------------------------------------------------------------- life cycle ---- */

void xpc_connection_set_target_queue(xpc_connection_t connection, dispatch_queue_t targetq) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  if (connection->phase != XPC_PHASE_INACTIVE) xpc_misuse("%s: the connection is active", __func__);
  xpc_queue_set_target(connection->queue, targetq);
  pthread_mutex_unlock(&connection->lock);
}

void xpc_connection_set_event_handler(xpc_connection_t connection, xpc_handler_t handler) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  void *copy = xpc_block_copy((const void *)handler);
  pthread_mutex_lock(&connection->lock);
  void *old = connection->handler;
  connection->handler = copy;
  pthread_mutex_unlock(&connection->lock);
  xpc_block_release(old);
}

/* Lock held. Whether the queue is to be resumed. */
static bool activate(xpc_connection_t connection) {
  if (connection->phase != XPC_PHASE_INACTIVE) return false;
  connection->phase = XPC_PHASE_RESOLVING;
  if (!connection->self) {
    connection->self = true;
    xpc_retain(connection);
  }
  bool listener =
    connection->role == XPC_ROLE_SERVICE_LISTENER || connection->role == XPC_ROLE_ANONYMOUS_LISTENER;
  /* Here and not on the I/O thread: whoever says "ready" after this call can be found. */
  if (listener && !connection->cancelled) xpc_listener_start(connection);
  xpc_connection_wake(connection);
  return true;
}

void xpc_connection_activate(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  bool activated = activate(connection);
  pthread_mutex_unlock(&connection->lock);
  if (activated) xpc_queue_resume(connection->queue);
}

void xpc_connection_suspend(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  connection->suspensions++;
  xpc_queue_suspend(connection->queue);
  xpc_connection_watch(connection);
  pthread_mutex_unlock(&connection->lock);
}

void xpc_connection_resume(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  if (connection->suspensions) {
    connection->suspensions--;
    xpc_connection_flush(connection);
    xpc_connection_watch(connection);
  } else if (!activate(connection)) {
    xpc_misuse("%s: resumed too often", __func__);
  }
  pthread_mutex_unlock(&connection->lock);
  xpc_queue_resume(connection->queue);
}

void xpc_connection_end(xpc_connection_t connection, const char *reason) {
  bool activated = false;
  pthread_mutex_lock(&connection->lock);
  if (connection->phase != XPC_PHASE_ENDED) {
    /* A peer that nobody wants is the runtime's to release, so its end has to come. */
    if (connection->role == XPC_ROLE_PEER) activated = activate(connection);
    xpc_connection_fail(connection, reason);
  }
  /* As on macOS, nothing holds back the end: a resume that comes now is one too many. */
  unsigned suspensions = connection->suspensions;
  connection->suspensions = 0;
  pthread_mutex_unlock(&connection->lock);
  if (activated) xpc_queue_resume(connection->queue);
  while (suspensions--) xpc_queue_resume(connection->queue);
}

void xpc_connection_cancel(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  xpc_connection_end(connection, "the connection was cancelled");
}

/* ------------------------------------------------------------------------------------- attributes ---- */

const char *xpc_connection_get_name(xpc_connection_t connection) {
  return ((xpc_connection_t)xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__))->name;
}

pid_t xpc_connection_get_pid(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  pid_t pid = connection->pid;
  pthread_mutex_unlock(&connection->lock);
  return pid;
}

uid_t xpc_connection_get_euid(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  uid_t uid = connection->uid;
  pthread_mutex_unlock(&connection->lock);
  return uid;
}

gid_t xpc_connection_get_egid(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  gid_t gid = connection->gid;
  pthread_mutex_unlock(&connection->lock);
  return gid;
}

char *xpc_connection_copy_invalidation_reason(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  char *reason = connection->reason ? xpc_copy_string(connection->reason) : NULL;
  pthread_mutex_unlock(&connection->lock);
  return reason;
}

void xpc_connection_set_context(xpc_connection_t connection, void *context) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  connection->context = context;
  pthread_mutex_unlock(&connection->lock);
}

void *xpc_connection_get_context(xpc_connection_t connection) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  void *context = connection->context;
  pthread_mutex_unlock(&connection->lock);
  return context;
}

void xpc_connection_set_finalizer_f(xpc_connection_t connection, xpc_finalizer_t finalizer) {
  xpc_object_expect(connection, XPC_TYPE_CONNECTION, __func__);
  pthread_mutex_lock(&connection->lock);
  connection->finalizer = finalizer;
  pthread_mutex_unlock(&connection->lock);
}
