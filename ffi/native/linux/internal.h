/*
 * internal.h: what the files of this libxpc share. From the bottom up: misuse, objects, wire, queues, I/O,
 * connections. Nothing here is exported.
 */
#ifndef XPC_LINUX_INTERNAL_H
#define XPC_LINUX_INTERNAL_H

#ifndef _GNU_SOURCE
#error "Define _GNU_SOURCE before the first include."
#endif

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <dispatch/dispatch.h>
#include <xpc/linux.h>
#include <xpc/xpc.h>

#pragma GCC visibility push(hidden)

/* ------------------------------------------------------------------------------ misuse.c, memory ---- */

_Noreturn void xpc_misuse(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Never NULL: without memory the process ends, as every caller of libxpc assumes. */
void *xpc_allocate(size_t size); /* zeroed */
void *xpc_resize(void *memory, size_t count, size_t size);
char *xpc_copy_string(const char *string);

void xpc_close(int fd); /* keeps errno; -1 is allowed */

/* --------------------------------------------------------------------------------------- objects ---- */

enum xpc_kind {
  XPC_KIND_NULL = 1,
  XPC_KIND_BOOL,
  XPC_KIND_INT64,
  XPC_KIND_UINT64,
  XPC_KIND_DOUBLE,
  XPC_KIND_DATE,
  XPC_KIND_DATA,
  XPC_KIND_STRING,
  XPC_KIND_UUID,
  XPC_KIND_FD,
  XPC_KIND_SHMEM,
  XPC_KIND_ENDPOINT,
  XPC_KIND_ARRAY,
  XPC_KIND_DICTIONARY,
  XPC_KIND_ERROR,
  XPC_KIND_CONNECTION,
};

struct _xpc_type_s {
  const char *name;
  enum xpc_kind kind;
};

#define XPC_IMMORTAL INT32_MAX

/* The count comes after 16 bytes that free() may overwrite, so that an over-release is still seen. */
struct xpc_object {
  const struct _xpc_type_s *type;
  uint64_t magic;
  _Atomic int32_t references;
};

#define XPC_MAGIC UINT64_C(0x7463656a624f4350)
#define XPC_STATIC_OBJECT(kind_type)                                                                         \
  { .type = (kind_type), .magic = XPC_MAGIC, .references = XPC_IMMORTAL }

struct _xpc_bool_s {
  struct xpc_object base;
  bool value;
};

struct xpc_number { /* int64, uint64, double, date */
  struct xpc_object base;
  union {
    int64_t i;
    uint64_t u;
    double d;
  } value;
};

struct xpc_uuid {
  struct xpc_object base;
  uint8_t bytes[16];
};

struct xpc_bytes { /* data, string: a NUL follows the bytes */
  struct xpc_object base;
  size_t length;
  const char *bytes;
};

struct xpc_fd {
  struct xpc_object base;
  int fd;
};

struct xpc_memory; /* a shared descriptor, shmem.c */
struct xpc_shmem {
  struct xpc_object base;
  struct xpc_memory *memory;
  uint64_t length;
};

struct _xpc_endpoint_s {
  struct xpc_object base;
  int fd; /* an O_PATH descriptor of the port's file; -1 leads nowhere */
};

struct xpc_array {
  struct xpc_object base;
  xpc_object_t *values;
  size_t count, capacity;
};

struct xpc_entry {
  char *key;
  xpc_object_t value;
};

/* Also an error: then constant, with its description as the only entry. */
struct _xpc_dictionary_s {
  struct xpc_object base;
  struct xpc_entry *entries; /* in byte order of the keys */
  size_t count, capacity;
  xpc_connection_t remote;  /* where it came from, or where it has to go; retained */
  _Atomic uint64_t awaited; /* the request this message makes; 0: no reply is awaited */
  _Atomic uint64_t answers; /* the request that this dictionary replies to; 0: none */
  uint32_t incarnation;     /* of `remote`, when the request came */
};

void *xpc_object_allocate(xpc_type_t type, size_t size); /* one reference */
xpc_object_t xpc_object_expect(xpc_object_t object, xpc_type_t type, const char *function);
static inline enum xpc_kind xpc_kind_of(xpc_object_t object) {
  return ((const struct xpc_object *)object)->type->kind;
}

void xpc_array_dispose(struct xpc_array *array);
void xpc_dictionary_dispose(struct _xpc_dictionary_s *dictionary);
/* Takes over `key` and `value`; for a key above all others. False if it is not. */
bool xpc_dictionary_append(xpc_object_t dictionary, char *key, xpc_object_t value);
struct _xpc_dictionary_s *xpc_dictionary_of(xpc_object_t object); /* also errors; else NULL */

xpc_object_t xpc_data_adopt(xpc_type_t type, const void *bytes, size_t length);
xpc_object_t xpc_fd_adopt(int fd);
xpc_object_t xpc_endpoint_adopt(int fd);
xpc_object_t xpc_shmem_adopt(int fd, uint64_t length);
int xpc_shmem_descriptor(xpc_object_t shmem);
void xpc_shmem_dispose(struct xpc_shmem *shmem);
bool xpc_same_file(int a, int b);
size_t xpc_file_hash(int fd);

/* ------------------------------------------------------------------------------------------ wire ---- */

#define XPC_MESSAGE_LIMIT (UINT64_C(64) << 20)
#define XPC_DEPTH_LIMIT 64
#define XPC_FD_LIMIT 4096
#define XPC_VALUE_LIMIT (UINT32_C(1) << 16) /* in all containers of a message together */

/* A message as it was when it was sent. */
struct xpc_capture {
  uint8_t *bytes;
  size_t length, capacity;
  xpc_object_t *holders; /* retained: the objects whose descriptors travel, in order */
  size_t holder_count, holder_capacity;
};

/* NULL, or why the dictionary is too large. Aborts for what cannot be sent. */
const char *xpc_wire_encode(xpc_object_t dictionary, struct xpc_capture *capture);
void xpc_capture_clear(struct xpc_capture *capture);
int xpc_holder_descriptor(xpc_object_t holder);

/* A dictionary (+1), or NULL and why. Descriptors that became part of it are replaced by -1 in `fds`. */
xpc_object_t xpc_wire_decode(const uint8_t *bytes, size_t length, int *fds, size_t fd_count,
                             const char **reason);

/* ---------------------------------------------------------------------------------------- blocks ---- */

/* On any block, whichever runtime made it; NULL stays NULL. */
void *xpc_block_copy(const void *source);
void xpc_block_release(const void *source);

/* --------------------------------------------------------------------------------- pool.c, queue.c ---- */

struct xpc_work {
  struct xpc_work *next;
  void (*run)(struct xpc_work *work); /* owns `work` */
};

void xpc_pool_push(struct xpc_work *work);

/* A thread with all signals blocked, detached. */
bool xpc_thread_start(void *(*run)(void *), void *context);

void xpc_queue_push(dispatch_queue_t queue, struct xpc_work *work); /* NULL: the global queue */
void xpc_queue_suspend(dispatch_queue_t queue);
void xpc_queue_resume(dispatch_queue_t queue);
void xpc_queue_set_target(dispatch_queue_t queue, dispatch_queue_t target); /* while it is empty */
void xpc_queue_retain(dispatch_queue_t queue);
void xpc_queue_release(dispatch_queue_t queue);

/* ------------------------------------------------------------------------------------------ io.c ---- */

/* Something with a descriptor that the I/O thread watches. Its owner outlives its registration. */
struct xpc_source {
  int fd;
  uint32_t interest; /* what epoll was told; 0: not registered */
  void (*ready)(struct xpc_source *source);
};

/* Something the I/O thread has to do. Each job is on at most one list at a time. */
struct xpc_job {
  struct xpc_job *next;
  void (*run)(struct xpc_job *job);
};

/* Tells epoll; 0 takes the source out. False and errno when the kernel refuses, or no descriptor is left. */
bool xpc_io_watch(struct xpc_source *source, uint32_t interest);
void xpc_io_schedule(struct xpc_job *job);
void xpc_io_schedule_later(struct xpc_job *job); /* some milliseconds later */

/* Whether this thread runs the handler itself, soon: if it is the I/O thread, and has none to run yet. */
bool xpc_io_defer(struct xpc_work *handler);
/* To be called before a wait for what others do: the I/O thread gives the lead to another, for it may be I/O
 * that the others wait for. */
void xpc_io_before_waiting(void);

/* -------------------------------------------------------------------------------------- packet.c ---- */

#define XPC_PACKET_FDS 253 /* what the kernel takes in one packet */
#define XPC_INLINE_LIMIT (UINT32_C(32) << 10)

enum xpc_packet_kind {
  XPC_PACKET_HELLO = 2, /* from an activated peer: who it is */
  XPC_PACKET_CARRY = 3, /* descriptors of the next message */
  XPC_PACKET_MESSAGE = 4,
  XPC_PACKET_NO_REPLY = 5, /* the request `answers` will never be answered */
  XPC_PACKET_STARVED = 6,  /* the last one: the sender has no descriptor for what came */
};

#define XPC_PACKET_LARGE 1u /* the message is in a sealed memfd, the last descriptor */
#define XPC_WIRE_MAGIC UINT32_C(0x4c435058)
#define XPC_WIRE_VERSION 1

struct xpc_header {
  uint32_t magic;
  uint8_t version, kind;
  uint16_t flags;
  uint64_t request;  /* a reply to this number is awaited; 0: none */
  uint64_t answers;  /* replies to this request; 0: it is no reply */
  uint32_t length;   /* of the message, inline or in the memfd */
  uint32_t fd_count; /* of this packet, without the memfd */
};

struct xpc_packet {
  struct xpc_header header;
  uint8_t body[XPC_INLINE_LIMIT];
  size_t body_length;
  int fds[XPC_PACKET_FDS];
  size_t fd_count;
  bool credited; /* whether the credentials below came with it */
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

/* XPC_STARVED: what came is lost, for this process had no descriptor for it. */
enum xpc_receipt { XPC_RECEIVED, XPC_NOTHING, XPC_END, XPC_MALFORMED, XPC_EXHAUSTED, XPC_STARVED };

/* Sends one packet, never blocking: 0 or an errno. */
int xpc_packet_send(int fd, const struct xpc_header *header, const void *body, size_t length, const int *fds,
                    size_t fd_count);

/* Sends one that is only a kind. Where the socket is full, the packet is lost. */
void xpc_packet_send_bare(int fd, enum xpc_packet_kind kind);

/* Receives one; with XPC_RECEIVED its descriptors belong to the caller. */
enum xpc_receipt xpc_packet_receive(int fd, struct xpc_packet *packet, const char **reason);
void xpc_packet_close(struct xpc_packet *packet);

/* A sealed memfd with these bytes, or -1 and errno; and its bytes (malloc), or NULL and why. */
int xpc_packet_spill(const void *bytes, size_t length);
uint8_t *xpc_packet_unspill(int fd, size_t length, const char **reason);

/* ---------------------------------------------------------------------------------- connections ---- */

#define XPC_UNSENT_BYTES (UINT64_C(64) << 20)
#define XPC_UNSENT_COUNT 16384
#define XPC_UNDELIVERED_BYTES (UINT64_C(1) << 20)
#define XPC_UNDELIVERED_COUNT 64
#define XPC_SILENT_PEERS 256
#define XPC_REASON_SPACE 400 /* with a path of a socket and what to do about it */

enum xpc_role {
  XPC_ROLE_SERVICE_CLIENT,
  XPC_ROLE_ENDPOINT_CLIENT,
  XPC_ROLE_SERVICE_LISTENER,
  XPC_ROLE_ANONYMOUS_LISTENER,
  XPC_ROLE_PEER,
};

enum xpc_phase {
  XPC_PHASE_INACTIVE,
  XPC_PHASE_RESOLVING, /* active, to be connected or listening */
  XPC_PHASE_ONLINE,
  XPC_PHASE_INTERRUPTED, /* a service client between two services */
  XPC_PHASE_ENDED,       /* the final error is delivered, or on its way */
};

/* What waits to be sent: a message, word that no reply comes, or a barrier. */
struct xpc_unsent {
  struct xpc_unsent *next;
  struct xpc_header header;
  struct xpc_capture capture;
  size_t carried; /* descriptors that left in carriers already */
  int spill;      /* the memfd of a large message; -1 until it is its turn */
  void *barrier;
};

/* A request that waits for its reply. */
struct xpc_pending {
  struct xpc_pending *next;
  uint64_t request;
  dispatch_queue_t queue; /* for the handler; NULL: the connection's */
  void *handler;
  struct xpc_waiter *waiter; /* of a synchronous request, in place of a handler */
};

struct xpc_waiter {
  sem_t done;
  xpc_object_t reply;
};

#define XPC_PENDING_BUCKETS 64

struct xpc_service { /* a name that this process listens on */
  int lock_fd;
  char *path; /* the socket to remove; NULL when the system owns it */
};

/*
 * Peers of a listener, oldest first. Only the I/O thread touches these lists: it accepts peers, reads from
 * them and ends them and their listeners.
 */
struct xpc_peers {
  xpc_connection_t first, last;
  size_t count;
};

/* All but the identity is guarded by `lock`, which is never held while user code or a release runs. */
struct _xpc_connection_s {
  struct xpc_object base;
  enum xpc_role role;
  char *name;
  xpc_endpoint_t endpoint; /* where to connect */
  dispatch_queue_t queue;  /* serial; runs all handlers */

  pthread_mutex_t lock;
  enum xpc_phase phase;
  bool self;      /* whether it holds a reference on itself */
  bool cancelled; /* by the user, or because of `reason`: to be ended */
  bool scheduled; /* `job` is on its way */
  bool handling;  /* the event handler runs */
  bool connected_once;
  unsigned suspensions;
  char *reason;
  void *handler;
  void *context;
  xpc_finalizer_t finalizer;

  struct xpc_job job;
  struct xpc_source source; /* the connection's socket, or the service's */
  struct xpc_source port;   /* a listener's socket for those who hold an endpoint */
  int port_path;            /* and its file, which endpoints are duplicates of */
  struct xpc_service service;
  int spare; /* a listener's, given up to turn a client away where no other descriptor is left */
  uint64_t starved_since, starved_until; /* a listener's: when it had no descriptor for a client; 0: it has */
  uint32_t incarnation;                  /* counts connections to a service */

  struct xpc_peers silent;     /* a listener's: they sent nothing yet, so nobody was told of them */
  struct xpc_peers dependents; /* a listener's: they came through an endpoint, and end with it */
  xpc_connection_t listener;   /* a peer's, while it is on one of these lists (not retained) */
  struct xpc_peers *list;      /* which */
  xpc_connection_t previous_peer, next_peer;
  bool by_endpoint; /* whether the peer came through an endpoint */

  struct xpc_unsent *unsent, **unsent_end;
  size_t unsent_count, unsent_bytes;
  bool blocked; /* the socket is full */

  struct xpc_pending *pending[XPC_PENDING_BUCKETS];
  uint64_t next_request;

  size_t undelivered, undelivered_bytes;
  bool throttled;
  bool unpacking; /* a large message is being copied; nothing is read until that is done */

  int *carried; /* descriptors that came in carriers */
  size_t carried_count;

  bool known; /* whether the other side's credentials are */
  pid_t pid;
  uid_t uid;
  gid_t gid;
};

/* connection.c */
xpc_connection_t xpc_connection_make(enum xpc_role role, const char *name, dispatch_queue_t target);
void xpc_connection_dispose(xpc_connection_t connection);
void xpc_connection_check_release(xpc_connection_t connection);
void xpc_connection_wake(xpc_connection_t connection);                     /* lock held */
void xpc_connection_fail(xpc_connection_t connection, const char *reason); /* lock held */
void xpc_connection_end(xpc_connection_t connection, const char *reason);  /* no lock: as a cancel does */
void xpc_connection_watch(xpc_connection_t connection);                    /* lock held */
void xpc_connection_retry(xpc_connection_t connection);                    /* lock held */
void xpc_connection_close(xpc_connection_t connection);                    /* lock held, I/O thread */
struct xpc_pending *xpc_connection_take_pending(xpc_connection_t connection, uint64_t request); /* no lock */

/* lifecycle.c: what the I/O thread does */
void xpc_connection_step(struct xpc_job *job);
void xpc_connection_lost(xpc_connection_t connection, const char *reason); /* I/O thread, no lock */

#define XPC_CONST_ERROR(error) ((xpc_object_t)(uintptr_t)&_xpc_error_connection_##error)

/* send.c */
void xpc_connection_flush(xpc_connection_t connection);      /* lock held */
void xpc_connection_send_hello(xpc_connection_t connection); /* lock held */
void xpc_connection_drop_reply(xpc_connection_t connection, uint64_t request, uint32_t incarnation);
void xpc_unsent_free(struct xpc_unsent *list);

/* receive.c */
void xpc_connection_ready(struct xpc_source *source);

/* deliver.c: what runs on the connection's queue */
void xpc_deliver_message(xpc_connection_t connection, xpc_object_t message, size_t size);
void xpc_deliver_peer(xpc_connection_t connection, xpc_connection_t peer);
void xpc_deliver_error(xpc_connection_t connection, xpc_object_t error);
void xpc_deliver_final(xpc_connection_t connection);
void xpc_deliver_reply(xpc_connection_t connection, struct xpc_pending *pending, xpc_object_t reply,
                       size_t size);                                  /* takes both over; lock not held */
void xpc_deliver_barrier(xpc_connection_t connection, void *barrier); /* takes the block over */

/* listener.c */
void xpc_listener_start(xpc_connection_t listener); /* lock held */
void xpc_listener_ready(struct xpc_source *source);
void xpc_listener_port_ready(struct xpc_source *source);

/* peers.c: all on the I/O thread, without a lock */
void xpc_peers_add(xpc_connection_t listener, int fd, bool by_endpoint); /* takes `fd` over */
void xpc_peers_trim(xpc_connection_t listener); /* in a job: drops silent peers that are too many */
void xpc_peers_end(xpc_connection_t listener);  /* in a job: the listener ended */
void xpc_peer_unlink(xpc_connection_t peer);    /* of no effect outside the lists */

/* endpoint.c: each gives 0 or an errno, and why */
bool xpc_endpoint_is_port(int fd);
int xpc_endpoint_connect(xpc_endpoint_t endpoint, int *fd, char *reason, size_t size);
/* Opens the listener's port; lock held; of no effect when it is open. */
int xpc_port_open(xpc_connection_t listener, char *reason, size_t size);

/* runtime_folder.c: each gives 0 or an errno, and why */
#define XPC_PATH_SPACE 108 /* of a socket's address, with the NUL */
#define XPC_FOLDER_ADVICE "; set XDG_RUNTIME_DIR to a folder of your own with mode 0700"
struct xpc_address { /* of a service: the paths of its files */
  char socket[XPC_PATH_SPACE], lock[XPC_PATH_SPACE];
};
int xpc_runtime_folder(char *path, size_t space, char *reason, size_t size);
int xpc_service_address(const char *name, struct xpc_address *address, char *reason, size_t size);
int xpc_refuse_folder(int error, const char *path, const char *why, char *reason, size_t size); /* `error` */

/* service.c: each gives 0 or an errno, and why */
int xpc_service_connect(const char *name, int *fd, char *reason, size_t size);
int xpc_service_listen(const char *name, struct xpc_service *service, int *fd, char *reason, size_t size);
/* A listening socket in the runtime folder, whose file has no name any more; and the file (O_PATH). */
int xpc_service_listen_unnamed(int *fd, int *file, char *reason, size_t size);
int xpc_service_connect_file(int file, int *fd);
void xpc_service_close(struct xpc_service *service);
/* What a user can do about an error of a system call, to follow its description; "" where nothing is known. */
const char *xpc_advice_for(int error);

#pragma GCC visibility pop
#endif
