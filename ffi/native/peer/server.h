/* server.h: what the files of the native server share. All of it is guarded by the lock of the end. */
#ifndef XPC_SHMEM_SERVER_H
#define XPC_SHMEM_SERVER_H

#include "peer.h"

/* A reader of a stream. */
struct served_reader {
  struct served_reader *next;
  struct xshm_stream *stream;
  uint64_t number;
  shim_mapping leases;
  int32_t place; /* in the stream's writer */
};

/* A client, from its connection on. */
struct served_client {
  struct served_client *next;
  struct link_entry *entry;
  uint32_t owner; /* 0: it has not said hello */
  shim_mapping words;
  shim_owner *death;
  int32_t bell;     /* to ring the client by, or -1 */
  int32_t own_bell; /* our end of the one that the client rings, or -1 */
  bool has_bell;    /* of ours */
  int32_t member;   /* in the audience */
  struct served_reader *readers;
};

struct xshm_server {
  struct end end;
  struct link_entry *listener, *broker; /* NULL once they are over */
  struct served_client *clients;
  uint32_t last_owner;
  uint64_t last_reader;
  bool relaying;
  uint64_t relayed[SHMEM_MAX_REGIONS]; /* the newest revision that the clients were told */
  shim_mapping words, locks;
  char *name, *service;
  bool has_schema;
  uint8_t schema[PEER_DIGEST_BYTES];
  int32_t bell[2]; /* our descriptor, and the end that we ring */
  /* The registration: server_broker.c. */
  bool asking, registered, settled, replaced;
  uint64_t registration, retry_at, pause;
  xshm_error failure; /* of the first registration */
};

/* server_broker.c */
uint64_t server_keep_registered(struct end *end); /* the tick of the end */
void server_broker_said(struct xshm_server *server, xpc_object_t message);
void server_broker_ended(struct xshm_server *server);

/* server_requests.c */
void server_receive(struct end *end, struct link_entry *from, xpc_object_t message);

/* server.c */
uint32_t server_count(const struct xshm_server *server); /* the clients that said hello */
void server_relay(struct xshm_server *server);           /* wakes clients for what others committed */
void server_rung(struct xshm_server *server);            /* a client rang, or may have meant to */
void server_notify(struct xshm_server *server);          /* rings our descriptor */
void server_watch_clients(struct xshm_server *server);   /* with two clients or more, begins to relay */
/* A doorbell of ours for the client: what to give it, or -1. The caller closes it. */
int32_t server_make_bell(struct xshm_server *server, struct served_client *client);
void server_remove_reader(struct served_client *client, struct served_reader *reader);

#endif
