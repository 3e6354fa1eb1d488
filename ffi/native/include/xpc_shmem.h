/*
 * xpc_shmem.h: an app in C or C++ as the client or the server of an app that uses @xpc/shmem.
 *
 *   xshm_error error;
 *   xshm_client *client = xshm_connect("com.example.studio", 10000, &error);
 *   if (!client) return fprintf(stderr, "%s\n", error.message), 1;
 *   xshm_region *scene = xshm_open(client, "scene", XSHM_WRITE, &error);
 *
 * Both sides map the same memory. A commit makes a new revision of a region and wakes those who wait for one.
 *
 * A program needs a broker once, to find the other app. On macOS that is the launch agent; on Linux it is inside of
 * the Deno apps, so one of them has to run (or `deno task agent`). No broker is inside of this library.
 *
 * Rules for all functions:
 *
 *   - An `xshm_error *` may be NULL. It is filled in where the function fails, and left alone where it succeeds.
 *   - Times are in milliseconds: below 0 without an end, 0 at once.
 *   - The library has one thread for each client and each server. It never calls the program and takes no thread of it.
 *   - Any thread may call any function, several at a time, except while the same object is closed. The frames of one
 *     stream belong to the thread that took them.
 *   - After fork() the child may not use what the parent has opened.
 */
#ifndef XPC_SHMEM_H
#define XPC_SHMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define XSHM_EXPORT __attribute__((visibility("default")))

/* What functions return, and `xshm_error.code`. */
enum xshm_result {
  XSHM_OK = 0,
  XSHM_ABANDONED = 1,     /* locked, and the holder before died: the data may be half written */
  XSHM_TIMEOUT = 2,       /* the time was over */
  XSHM_GONE = 3,          /* the server is gone; the memory stays until it is closed */
  XSHM_REPLACED = 4,      /* the server replaced or removed it: close it and open it again */
  XSHM_NONE = 5,          /* there is no new frame */
  XSHM_BUSY = 6,          /* readers use all slots */
  XSHM_INVALID = 7,       /* an argument is out of range, or something is used in a way that it cannot be */
  XSHM_NO_BROKER = 8,     /* no broker can be reached */
  XSHM_NAME_TAKEN = 9,    /* another app serves this name */
  XSHM_NOT_FOUND = 10,    /* nobody serves the name, or the server has no such region or stream */
  XSHM_READ_ONLY = 11,    /* clients may only read the region */
  XSHM_INCOMPATIBLE = 12, /* another version or another schema */
  XSHM_REFUSED = 13,      /* the broker or the server refused for another reason: the message tells */
  XSHM_UNUSABLE = 14,     /* what the server or the broker said makes no sense, or it runs as another user */
  XSHM_MEMORY = 15,       /* no memory, thread or descriptor can be had */
};

typedef struct xshm_error {
  int code;          /* an enum xshm_result */
  char message[240]; /* a sentence for people, NUL-terminated */
} xshm_error;

typedef struct xshm_client xshm_client;
typedef struct xshm_server xshm_server;
typedef struct xshm_region xshm_region;
typedef struct xshm_stream xshm_stream;

/* What clients may do with a region, and what a client wants to. */
typedef enum xshm_access {
  XSHM_READ = 0,
  XSHM_WRITE = 1,
} xshm_access;

/* -------------------------------------------------------------------------------------------- clients ---- */

/* Options of xshm_connect_with. What is 0 is the default. */
typedef struct xshm_connect_options {
  const char *broker; /* the broker's service; NULL: "io.jsr.xpc.shmem" */
  const char *schema; /* a text on which both apps agree; NULL: none, and then the server must have none */
  const char *label;  /* what this client calls itself, 1 to 128 bytes of UTF-8 without control characters */
} xshm_connect_options;

/*
 * Connects to the app that serves `name`, and waits for that app and for a broker. With 0 milliseconds it does not
 * wait: it looks whether the app is there now. NULL and an error: XSHM_NO_BROKER, XSHM_TIMEOUT, XSHM_NOT_FOUND (with
 * 0), XSHM_INCOMPATIBLE, XSHM_REFUSED, XSHM_UNUSABLE, XSHM_INVALID, XSHM_MEMORY.
 */
XSHM_EXPORT xshm_client *xshm_connect(const char *name, int milliseconds, xshm_error *error);

/* The same with options; NULL: none. */
XSHM_EXPORT xshm_client *xshm_connect_with(const char *name, int milliseconds,
                                           const xshm_connect_options *options, xshm_error *error);

/* False once the server is gone. A new server is found by a new xshm_connect. */
XSHM_EXPORT bool xshm_client_is_connected(const xshm_client *client);

/*
 * A descriptor for poll, kqueue, CFRunLoop or g_source, or -1 where none can be had. It is readable after commits of
 * regions and streams that are open, and for ever once the server is gone. It belongs to the client: do not read or
 * close it. When it is readable, call xshm_client_clear, then look at xshm_revision of each region, or at
 * xshm_stream_latest; look there once after the first call, too. That call costs the other side a system call for each
 * commit from then on.
 */
XSHM_EXPORT int xshm_client_descriptor(xshm_client *client);

/* Takes the bytes from the descriptor: XSHM_OK, or XSHM_GONE once the server is gone. */
XSHM_EXPORT int xshm_client_clear(xshm_client *client);

/* Unlocks what it holds, and closes all that was opened through it, and itself. NULL is allowed. */
XSHM_EXPORT void xshm_client_close(xshm_client *client);

/*
 * Opens a region of the server. XSHM_WRITE fails with XSHM_READ_ONLY where clients may only read; with XSHM_READ the
 * memory cannot be written. NULL and an error: also XSHM_NOT_FOUND, XSHM_GONE, XSHM_TIMEOUT (no answer in 30 s).
 */
XSHM_EXPORT xshm_region *xshm_open(xshm_client *client, const char *name, xshm_access access,
                                   xshm_error *error);

/* -------------------------------------------------------------------------------------------- regions ---- */

/* The memory, at the beginning of a page; it stays there until the region is closed. */
XSHM_EXPORT void *xshm_region_data(const xshm_region *region);

/* Its bytes. */
XSHM_EXPORT size_t xshm_region_length(const xshm_region *region);

/* Which replacement of the region it is, from 1. */
XSHM_EXPORT uint64_t xshm_region_generation(const xshm_region *region);

/*
 * Locks the region's mutex. XSHM_OK; XSHM_ABANDONED (it is locked, and the last holder died in the middle);
 * XSHM_TIMEOUT; XSHM_GONE; XSHM_READ_ONLY (clients have no mutex for a region that they only read). The mutex belongs
 * to the client or the server as a whole, not to a thread, and is not recursive. It keeps out only those who lock it.
 */
XSHM_EXPORT int xshm_lock(xshm_region *region, int milliseconds);

/* XSHM_OK, or XSHM_INVALID where it is not held (any more), or XSHM_READ_ONLY. */
XSHM_EXPORT int xshm_unlock(xshm_region *region);

/* Makes a new revision, and wakes those who wait. The revision; 0 where this side may not write. */
XSHM_EXPORT uint64_t xshm_commit(xshm_region *region);

/* The newest revision: 0 before the first commit. */
XSHM_EXPORT uint64_t xshm_revision(const xshm_region *region);

/*
 * Waits until the revision is another than `after`: first looks at it for `microseconds`, then sleeps. `revision` (may
 * be NULL) gets the newest one. XSHM_OK, XSHM_TIMEOUT, XSHM_GONE, XSHM_REPLACED. News come before XSHM_GONE.
 */
XSHM_EXPORT int xshm_wait(xshm_region *region, uint64_t after, int milliseconds, unsigned microseconds,
                          uint64_t *revision);

/* Unmaps a client's region: its memory may not be used after that. Only for regions of clients. NULL is allowed. */
XSHM_EXPORT void xshm_region_close(xshm_region *region);

/* -------------------------------------------------------------------------------------------- streams ---- */

/* A frame of a stream: taken by a reader, or loaned by a writer. */
typedef struct xshm_frame {
  void *data;    /* a reader may not write it */
  size_t length; /* the bytes that are used; of a loan at first: all there are. Set it before a publish. */
  uint64_t sequence;  /* its number, from 1 */
  double timestamp;   /* the writer's, in a unit on which both apps agree; set it before a publish */
  uint64_t dropped;   /* how many frames this reader missed since the one that it took last */
  uint64_t record[8]; /* 64 bytes that go with the frame; set them before a publish */
  uint32_t slot;      /* the library's */
} xshm_frame;

/* Opens a stream of the server as a reader; the newest frame that is there is the first to be taken. NULL and an error,
 * as xshm_open. */
XSHM_EXPORT xshm_stream *xshm_stream_open(xshm_client *client, const char *name, xshm_error *error);

/* The same for a reader that wants every frame, by xshm_stream_next: a server that waits for slots keeps them for it. */
XSHM_EXPORT xshm_stream *xshm_stream_open_every(xshm_client *client, const char *name, xshm_error *error);

/*
 * Takes the newest frame, if it was not taken yet. It stays as it is until it is released. XSHM_OK; XSHM_NONE;
 * XSHM_GONE and XSHM_REPLACED (and there is no new frame); XSHM_INVALID for a stream of a server.
 */
XSHM_EXPORT int xshm_stream_latest(xshm_stream *stream, xshm_frame *frame);

/* Takes the oldest frame after the last one that is still there. The results of xshm_stream_latest. */
XSHM_EXPORT int xshm_stream_next(xshm_stream *stream, xshm_frame *frame);

/* Waits until there is a frame that was not taken yet: XSHM_OK, XSHM_TIMEOUT, XSHM_GONE, XSHM_REPLACED. */
XSHM_EXPORT int xshm_stream_wait(xshm_stream *stream, int milliseconds, unsigned microseconds);

/* Whether the frame is what it was: false where the server took it back. Ask after its data was read, where the server
 * may do that (Deno: `revoke`). */
XSHM_EXPORT bool xshm_stream_holds(xshm_stream *stream, const xshm_frame *frame);

/* Gives a frame back: one that was taken, or a loan that is not published. */
XSHM_EXPORT void xshm_stream_release(xshm_stream *stream, xshm_frame *frame);

/* Loans a slot to write a frame in. XSHM_OK; XSHM_BUSY (readers use all slots); XSHM_INVALID for a stream of a
 * client. Its data is that of an older frame. */
XSHM_EXPORT int xshm_stream_loan(xshm_stream *stream, xshm_frame *frame);

/* The same, with what to do where readers use the slots. */
#define XSHM_LOAN_REVOKE                                                                                     \
  1u /* takes the oldest frame away from its readers, who see that by xshm_stream_holds */
#define XSHM_LOAN_PATIENT 2u /* leaves frames that readers of every frame have not taken yet: XSHM_BUSY */
XSHM_EXPORT int xshm_stream_loan_with(xshm_stream *stream, unsigned flags, xshm_frame *frame);

/* The processes whose readers keep slots from the writer: fills in up to `capacity`, each once; returns how many. After
 * XSHM_BUSY wait for xshm_server_descriptor, which is readable when a reader gives a frame back. */
XSHM_EXPORT size_t xshm_stream_holders(xshm_stream *stream, int *pids, size_t capacity);

/* How many readers a server's stream has. */
XSHM_EXPORT size_t xshm_stream_readers(xshm_stream *stream);

/* Publishes a loan as the newest frame: `length`, `timestamp` and `record` as they are set; `sequence` gets its number.
 * XSHM_OK, or XSHM_INVALID for what is no loan or has a length above the stream's. */
XSHM_EXPORT int xshm_stream_publish(xshm_stream *stream, xshm_frame *frame);

/* The bytes of a frame at most, the number of slots, and which replacement of the stream it is, from 1. */
XSHM_EXPORT size_t xshm_stream_length(const xshm_stream *stream);
XSHM_EXPORT unsigned xshm_stream_slots(const xshm_stream *stream);
XSHM_EXPORT uint64_t xshm_stream_generation(const xshm_stream *stream);

/* Ends a reader, and gives back all its frames. Only for streams of clients. NULL is allowed. */
XSHM_EXPORT void xshm_stream_close(xshm_stream *stream);

/* -------------------------------------------------------------------------------------------- servers ---- */

/* A region to serve. */
typedef struct xshm_region_options {
  const char *name;    /* 1 to 128 bytes of UTF-8 without control characters; NULL: the end of the list */
  size_t length;       /* in bytes */
  xshm_access clients; /* what clients may do */
} xshm_region_options;

/* A stream to serve. */
typedef struct xshm_stream_options {
  const char *name; /* as of a region */
  size_t length;    /* the bytes of a frame at most */
  uint32_t slots;   /* 2 to 64; 0: 4 */
} xshm_stream_options;

/* What is served. The lists end with an entry without a name; NULL: none. */
typedef struct xshm_service {
  const xshm_region_options *regions;
  const xshm_stream_options *streams;
  const char *broker; /* as of xshm_connect_options */
  const char *schema; /* likewise */
} xshm_service;

/*
 * Serves regions and streams under a name, once it is registered at a broker. NULL and an error: XSHM_NO_BROKER (none
 * runs: this library has none of its own), XSHM_NAME_TAKEN, XSHM_INVALID, XSHM_REFUSED, XSHM_MEMORY. When the broker
 * ends, clients keep what they have, and the name is registered again at the next broker.
 */
XSHM_EXPORT xshm_server *xshm_serve(const char *name, const xshm_service *service, xshm_error *error);

/* A region, or a stream, of this name; NULL: there is none. They live as long as the server, without a close. */
XSHM_EXPORT xshm_region *xshm_server_region(xshm_server *server, const char *name);
XSHM_EXPORT xshm_stream *xshm_server_stream(xshm_server *server, const char *name);

/* How many clients are connected. */
XSHM_EXPORT size_t xshm_server_clients(const xshm_server *server);

/* Whether the name is registered now: false between two brokers, and after another app replaced this one. */
XSHM_EXPORT bool xshm_server_is_registered(const xshm_server *server);

/* A descriptor as of xshm_client_descriptor: readable after commits of clients, and when clients come and go. */
XSHM_EXPORT int xshm_server_descriptor(xshm_server *server);

/* Takes the bytes from the descriptor. XSHM_OK. */
XSHM_EXPORT int xshm_server_clear(xshm_server *server);

/* Unlocks what it holds, ends all links, and unmaps all regions and streams. NULL is allowed. */
XSHM_EXPORT void xshm_server_close(xshm_server *server);

#ifdef __cplusplus
}

inline void xshm_close(xshm_client *client) { xshm_client_close(client); }
inline void xshm_close(xshm_server *server) { xshm_server_close(server); }
inline void xshm_close(xshm_region *region) { xshm_region_close(region); }
inline void xshm_close(xshm_stream *stream) { xshm_stream_close(stream); }
#else
/* Closes a client, a server, a region or a stream. */
#define xshm_close(object)                                                                                   \
  _Generic((object), xshm_client *                                                                           \
           : xshm_client_close, xshm_server *                                                                \
           : xshm_server_close, xshm_region *                                                                \
           : xshm_region_close, xshm_stream *                                                                \
           : xshm_stream_close)(object)
#endif

#endif
