/*
 * peer.h: what the files of the native client and server share. The rules are in `src/link/PROTOCOL.md`.
 *
 * A client and a server are each an `end`: a thread of the library's own that drains the queue of events, and a lock.
 * The lock guards everything of the end but words in shared memory. The thread calls the functions of `end_calls` with
 * the lock held. What XPC's threads do themselves (the death of an owner of locks) needs no lock.
 */
#ifndef XPC_SHMEM_PEER_H
#define XPC_SHMEM_PEER_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include <xpc/xpc.h>

#include "../shim/internal.h"
#include "shmem_layout.h"
#include "xpc_shmem.h"

/* The numbers of regions, generations and lengths are below this, so that each is a double. */
#define PEER_END (UINT64_C(1) << 53)
/* An answer of the broker or the server takes no longer; launchd may start a broker only after 10 s. */
#define PEER_PATIENCE 30000.0
#define PEER_DEFAULT_BROKER "io.jsr.xpc.shmem"
#define PEER_DIGEST_BYTES 32

/* ------------------------------------------------------------------------------------------- end.c ---- */

struct end;

/* A connection or a listener of an end. */
struct link_entry {
  struct link_entry *next;
  shim_link *link;
  void *context; /* the server's: its client */
};

/* Called on the thread of the end, with its lock held. Any may be NULL, but `ended`. */
struct end_calls {
  void (*message)(struct end *end, struct link_entry *from, xpc_object_t message);
  void (*peer)(struct end *end, shim_link *link); /* takes the link over */
  void (*ended)(struct end *end, struct link_entry *entry);
  /* Descriptors to look at: fills in up to `capacity`, returns how many; and which are readable. */
  uint32_t (*poll_fill)(struct end *end, struct pollfd *polls, uint32_t capacity);
  void (*polled)(struct end *end, const struct pollfd *polls, uint32_t count);
  uint64_t (*tick)(struct end *end); /* does what is due; when to be called again: UINT64_MAX, never */
};

typedef void (*peer_then)(struct end *end, xpc_object_t reply); /* NULL: no answer came */

struct waiting {
  struct waiting *next;
  uint32_t request;
  bool done;
  xpc_object_t reply; /* retained */
  peer_then then;     /* NULL: a thread waits, and the structure is on its stack */
};

struct end {
  const struct end_calls *calls;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  pthread_t thread;
  shim_queue *queue;
  int32_t wake;    /* of the queue */
  int32_t poke[2]; /* for other threads, to have the thread look again; or -1 */
  bool started, failed, stopping;
  struct link_entry *links;
  struct waiting *waiting;
  uint32_t last_request;
  struct pollfd *polls;
  uint32_t poll_capacity,
    extra_polls; /* extra: how many descriptors there may be beside the two of the end */
  /* The words, for regions and streams: */
  shim_audience *audience;
  struct shmem_server_words *server; /* mapped read-only by a client */
  struct shmem_locks *locks;
  uint32_t owner;
  uint32_t *parked; /* our own, one a region */
  void *gone;       /* a word: not 0 once the server is gone; NULL at the server */
  bool is_watching; /* changes ring our descriptor */
  void (*committed)(struct end *end,
                    uint32_t index); /* a client's: after a commit, where no doorbell is; or NULL */
  struct xshm_region *regions;
  struct xshm_stream *streams;
};

/* Starts the thread. `end` is zeroed. An enum xshm_result; after a failure there is nothing to stop. */
int end_start(struct end *end, const struct end_calls *calls);
/* Cancels all links, and joins the thread. Without the lock. */
void end_stop(struct end *end);
void end_free_opened(struct end *end); /* frees the regions and streams that are open; no thread is at work */
void end_unmap(const shim_mapping *mapping); /* if it is mapped */
void end_poke(struct end *end);
/* All below with the lock. */
struct link_entry *end_add(struct end *end, shim_link *link, void *context); /* NULL: no memory; cancelled */
bool end_wait(struct end *end, uint64_t deadline); /* for a change; false when the time is over */
/* Sends a request, which it releases. The reply (retained), or NULL: no answer, or none in time. */
xpc_object_t end_ask(struct end *end, struct link_entry *entry, xpc_object_t request, uint64_t deadline);
bool end_request(struct end *end, struct link_entry *entry, xpc_object_t request, peer_then then);

/* ----------------------------------------------------------------------------------------- values.c ---- */

xpc_object_t peer_request(const char *op);
void peer_set(xpc_object_t dictionary, const char *key, xpc_object_t value); /* releases it; NULL: nothing */
bool peer_integer(xpc_object_t dictionary, const char *key, uint64_t most, uint64_t *value);
xpc_object_t peer_typed(xpc_object_t dictionary, const char *key, xpc_type_t type); /* NULL: it is not that */
const char *peer_string(xpc_object_t dictionary, const char *key);                  /* NULL likewise */
/* Of a reply: NULL where it is ok, else the code; "unusable" where it is no reply. */
const char *peer_refusal(xpc_object_t reply);
bool peer_lists(xpc_object_t dictionary, const char *key, const char *text); /* an array of strings with it */
char *peer_copy(const char *text);                                           /* NULL: no memory */
bool peer_is_text(const char *text); /* 1 to 128 UTF-16 code units of UTF-8 without control characters */
bool peer_is_service_name(const char *name);
void peer_sha256(const char *text, uint8_t digest[PEER_DIGEST_BYTES]);

/* Fills in the error, if there is one to fill in. Returns the code. */
__attribute__((format(printf, 3, 4))) int peer_fail(xshm_error *error, int code, const char *format, ...);
/* Tells of a reply that is a refusal or does not come. */
int peer_fail_reply(xshm_error *error, const char *what, const char *name, xpc_object_t reply);

/* ----------------------------------------------------------------------------------------- broker.c ---- */

xpc_object_t broker_hello(void);
xpc_object_t broker_register(const char *name, xpc_object_t endpoint, uint64_t after);
/* Finds the registration of `name` above `*after`. The endpoint (retained), or NULL and an error; `*broker` is kept for
 * the next call, and NULL where it is over. */
xpc_object_t broker_find(struct end *end, struct link_entry **broker, const char *service, const char *name,
                         uint64_t deadline, bool at_once, uint64_t *after, xshm_error *error);

/* ----------------------------------------------------------------------------------------- region.c ---- */

struct xshm_region {
  struct xshm_region *next;
  struct end *end;
  char *name;
  uint32_t index;
  uint64_t generation, length;
  shim_mapping memory; /* `fd`: the server's, of a region that clients may only read */
  bool is_shared;      /* clients may write */
  bool is_writable;    /* by this side */
  void *revision;
  void *mutex;       /* NULL: none for this side */
  atomic_uint holds; /* how often this side has it locked: 0 or 1 */
};

/* Puts the region into the list, with its words. */
void region_add(struct end *end, struct xshm_region *region);
void region_free(struct xshm_region *region);    /* unmaps it */
void end_watch(struct end *end, uint32_t index); /* the descriptor rings for it from now on */
void end_watch_all(struct end *end);
void end_commit(struct end *end, uint32_t index);
void end_unlock_all(struct end *end);
bool bell_take(int fd); /* all bytes that are there; false at the end of the stream */
void bell_close(int32_t *fd);

/* ----------------------------------------------------------------------------------------- stream.c ---- */

struct xshm_stream {
  struct xshm_stream *next;
  struct end *end;
  char *name;
  uint32_t index, slots;
  uint64_t generation, length, offset, stride, number; /* number: of the reader */
  shim_mapping memory, leases;
  void *revision;
  uint64_t loaned; /* a bit for each slot */
  shim_stream_reader *reader;
  shim_stream_writer *writer;
};

void stream_free(struct xshm_stream *stream);

#endif
