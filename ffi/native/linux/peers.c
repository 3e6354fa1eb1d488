/*
 * peers.c: the connections that a listener accepted, from the moment they are accepted.
 *
 * As on macOS, a listener's handler learns of a client only with the client's first message; until then the
 * peer is "silent". A client can be silent for as long as it likes, so their number is limited: the oldest
 * gives way. (Clients that mean to talk do so at once; those that are many and say nothing are an attack.)
 *
 * A connection that was made from an endpoint ends with its listener; one to a service lives on.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "internal.h"

static void append(xpc_connection_t listener, struct xpc_peers *list, xpc_connection_t peer) {
  peer->listener = listener;
  peer->list = list;
  peer->next_peer = NULL;
  peer->previous_peer = list->last;
  if (list->last) list->last->next_peer = peer;
  else list->first = peer;
  list->last = peer;
  list->count++;
}

void xpc_peer_unlink(xpc_connection_t peer) {
  struct xpc_peers *list = peer->list;
  if (!list) return;
  if (peer->previous_peer) peer->previous_peer->next_peer = peer->next_peer;
  else list->first = peer->next_peer;
  if (peer->next_peer) peer->next_peer->previous_peer = peer->previous_peer;
  else list->last = peer->previous_peer;
  list->count--;
  peer->list = NULL;
  peer->listener = NULL;
}

/* Ends a silent peer, of which nobody was told. */
static void drop(xpc_connection_t peer) {
  xpc_peer_unlink(peer);
  pthread_mutex_lock(&peer->lock);
  xpc_connection_close(peer);
  peer->self = false;
  pthread_mutex_unlock(&peer->lock);
  xpc_release(peer);
}

/* Whether the client sent something; false and 0 in `error` where it hung up without. */
static bool has_spoken(int fd, int *error) {
  char byte;
  ssize_t got;
  do got = recv(fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  *error = got < 0 ? errno : 0;
  return got > 0;
}

static void introduce(xpc_connection_t peer) {
  xpc_connection_t listener = peer->listener;
  xpc_peer_unlink(peer);
  (void)xpc_io_watch(&peer->source, 0); /* until the handler activates it */
  peer->source.ready = xpc_connection_ready;
  if (peer->by_endpoint) append(listener, &listener->dependents, peer);
  xpc_deliver_peer(listener, peer);
}

static void silent_peer_ready(struct xpc_source *source) {
  xpc_connection_t peer =
    (xpc_connection_t)(void *)((char *)source - offsetof(struct _xpc_connection_s, source));
  int error;
  if (has_spoken(source->fd, &error)) introduce(peer);
  else if (error != EAGAIN) drop(peer);
}

void xpc_peers_add(xpc_connection_t listener, int fd, bool by_endpoint) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  int on = 1;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0 || size != sizeof credentials ||
      setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) {
    xpc_close(fd);
    return;
  }
  xpc_connection_t peer = xpc_connection_make(XPC_ROLE_PEER, NULL, NULL);
  peer->self = true; /* the reference it was made with is the runtime's */
  peer->by_endpoint = by_endpoint;
  peer->source = (struct xpc_source){.fd = fd, .ready = silent_peer_ready};
  peer->known = true;
  peer->pid = credentials.pid;
  peer->uid = credentials.uid;
  peer->gid = credentials.gid;
  append(listener, &listener->silent, peer);
  int error;
  if (has_spoken(fd, &error)) introduce(peer);
  else if (error != EAGAIN || !xpc_io_watch(&peer->source, EPOLLIN)) drop(peer);
  if (listener->silent.count <= XPC_SILENT_PEERS) return;
  /* In a job of the listener's: epoll may have reported the oldest peer already, with this listener. */
  pthread_mutex_lock(&listener->lock);
  xpc_connection_wake(listener);
  pthread_mutex_unlock(&listener->lock);
}

void xpc_peers_trim(xpc_connection_t listener) {
  while (listener->silent.count > XPC_SILENT_PEERS) drop(listener->silent.first);
}

void xpc_peers_end(xpc_connection_t listener) {
  while (listener->silent.first) drop(listener->silent.first);
  for (xpc_connection_t peer; (peer = listener->dependents.first);) {
    xpc_peer_unlink(peer);
    xpc_connection_end(peer, "its listener was cancelled");
  }
}
