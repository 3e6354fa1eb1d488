/*
 * shim.h: what JavaScript and Swift cannot do by themselves when they talk to libxpc.
 *
 * The same sources compile for macOS (against Apple's libxpc) and for Linux (against the libxpc in
 * linux/). They do four things:
 *
 *   events      XPC calls blocks on threads of its own. The shim's blocks retain what they are given,
 *               put it on a queue and send one byte to the owner of the queue, who drains it on its own
 *               thread. No native thread ever calls into JavaScript.
 *   memory      mappings that may be shared: writable by everybody, or read-only for all but the maker.
 *   words       C11 atomics and cross-process waits on words in shared memory: mutexes, revisions and tiles.
 *   doorbells   waking the event loop of another process through a socket that it reads.
 *
 * Conventions: functions that can fail return 0 or a negative errno; the caller is never left with half
 * a result. Everything that is read from shared memory is read once. No function here blocks unless its
 * name says wait. XPC objects are `void *` in this header, so that callers that must not
 * know XPC's types (Swift, JavaScript) need no other header.
 */
#ifndef XPC_SHMEM_SHIM_H
#define XPC_SHMEM_SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SHIM_EXPORT __attribute__((visibility("default")))

/* Raised whenever a function, an event or a layout in this header changes incompatibly. */
#define SHIM_VERSION 3u
SHIM_EXPORT uint32_t shim_version(void);

/* ---------------------------------------------------------------- event_queue.c: a queue of events ----- */

typedef struct shim_queue shim_queue;

enum shim_event_kind {
  SHIM_EVENT_NONE = 0,
  SHIM_EVENT_MESSAGE = 1,     /* object: the dictionary, retained for the drainer */
  SHIM_EVENT_PEER = 2,        /* link: a new peer of the listener `source`, not yet activated */
  SHIM_EVENT_REPLY = 3,       /* object: the reply dictionary, retained; `request` tells which */
  SHIM_EVENT_REPLY_ERROR = 4, /* value: an enum shim_error; `request` tells which */
  SHIM_EVENT_ERROR = 5,   /* value: an enum shim_error; SHIM_ERROR_INVALID is the last event of its link */
  SHIM_EVENT_BARRIER = 6, /* `request` tells which shim_link_barrier */
  SHIM_EVENT_WAIT = 7,    /* `request` tells which wait; value: as of the synchronous form */
};

enum shim_error {
  SHIM_ERROR_OTHER = 0,
  SHIM_ERROR_INTERRUPTED = 1, /* the connection lives on; the next send starts the service again */
  SHIM_ERROR_INVALID = 2,     /* terminal */
  SHIM_ERROR_TERMINATING = 3, /* the system is about to stop this process */
  SHIM_ERROR_REQUIREMENT = 4, /* the peer fails the code-signing requirement: the link cancels itself */
};

/* 32 bytes, no padding: read by JavaScript through a DataView. */
typedef struct shim_event {
  uint32_t kind;    /* enum shim_event_kind */
  uint32_t source;  /* id of the link the event belongs to; 0 for waits */
  uint32_t request; /* the caller's number for replies, barriers and waits */
  int32_t value;    /* enum shim_error, or the result of a wait */
  void *object;     /* an XPC object that the drainer owns, or NULL */
  void *link;       /* a shim_link * that the drainer owns (PEER only), or NULL */
} shim_event;

/*
 * Makes a queue. Returns NULL when no memory or descriptor can be had.
 *
 * With `wake`, the owner is the realm of the calling thread, and gets there one end of a socket pair, which it
 * reads and closes. A byte arrives when events wait that were not announced yet: read, then drain until
 * shim_queue_drain returns 0. When the thread ends before shim_queue_release (a worker died), the queue releases
 * itself: what waits on it is discarded, its waits and links are cancelled so that peers learn that the owner is
 * gone, and the sockets that the realm read are closed, if they are still open.
 *
 * Without `wake` (NULL), the owner drains on a thread of its own, which sleeps in shim_queue_wait.
 */
SHIM_EXPORT shim_queue *shim_queue_create(int32_t *wake);

/* Moves up to `capacity` events into `events`; returns how many. Call until it returns 0. */
SHIM_EXPORT uint32_t shim_queue_drain(shim_queue *queue, shim_event *events, uint32_t capacity);

/* Blocks until events wait (true), or shim_queue_finish was called and none waits (false). */
SHIM_EXPORT bool shim_queue_wait(shim_queue *queue);

/* Makes shim_queue_wait return. The caller joins the thread that drains before it releases the queue. */
SHIM_EXPORT void shim_queue_finish(shim_queue *queue);

/* Releases the queue, on the thread that made it. It is freed when its last link is gone; events that come until
 * then are discarded. The waits must have ended. */
SHIM_EXPORT void shim_queue_release(shim_queue *queue);

/* ------------ links.c, link_requests.c, link_teardown.c: connections with a queue ---- */

typedef struct shim_link shim_link;

/*
 * Each makes an inactive connection or listener whose events go to `queue`; NULL when no memory can be
 * had. `name` is a NUL-terminated Mach service name; `endpoint` an XPC endpoint object (borrowed).
 * When more than 64 messages, or 16 MiB in them, of a link wait undrained, the link is suspended until they are drained:
 * the sender's messages stay in the sender. The end of the other side comes after them, so that is not
 * noticed either until they are drained.
 */
SHIM_EXPORT shim_link *shim_link_to_service(shim_queue *queue, const char *name);
SHIM_EXPORT shim_link *shim_link_to_endpoint(shim_queue *queue, void *endpoint);
SHIM_EXPORT shim_link *shim_link_listen(shim_queue *queue, const char *name);
SHIM_EXPORT shim_link *shim_link_listen_anonymous(shim_queue *queue);

/* The link's number in `shim_event.source`, unique within its queue, never 0. */
SHIM_EXPORT uint32_t shim_link_id(const shim_link *link);

/* The xpc_connection_t (borrowed): valid until shim_link_release. */
SHIM_EXPORT void *shim_link_connection(const shim_link *link);

/* Our own effective user id, to compare a peer's with. */
SHIM_EXPORT uint32_t shim_euid(void);

/* Sets a code-signing requirement (macOS 12 or later; -ENOTSUP elsewhere). Before activation, once. */
SHIM_EXPORT int shim_link_require(shim_link *link, const char *requirement);

SHIM_EXPORT void shim_link_activate(shim_link *link);
SHIM_EXPORT void shim_link_send(shim_link *link, void *message);

/* Sends and later queues SHIM_EVENT_REPLY or SHIM_EVENT_REPLY_ERROR with this `request`, exactly once.
 * 0, or -ENOMEM and nothing was sent. */
SHIM_EXPORT int shim_link_request(shim_link *link, void *message, uint32_t request);

/* Queues SHIM_EVENT_BARRIER once all that was sent before has left. 0 or -ENOMEM. */
SHIM_EXPORT int shim_link_barrier(shim_link *link, uint32_t request);

/* Cancels: pending requests get SHIM_ERROR_INVALID, then comes the final SHIM_ERROR_INVALID event.
 * Idempotent. A link that was never activated is activated for it, so that the final event comes. */
SHIM_EXPORT void shim_link_cancel(shim_link *link);

/* Copies why the link is invalid, in words, NUL-terminated, into `buffer` of `size` bytes; returns the
 * length, 0 where nothing is known. */
SHIM_EXPORT uint32_t shim_link_reason(const shim_link *link, char *buffer, uint32_t size);

/* Releases the link: after its final event was drained, exactly once. */
SHIM_EXPORT void shim_link_release(shim_link *link);

/*
 * Calls `call(context)` once, on XPC's thread, when the link becomes invalid; now, if it is already. `call` must
 * be short, and must not touch the link. 0 or -ENOMEM.
 */
SHIM_EXPORT int shim_link_on_death(shim_link *link, void (*call)(void *context), void *context);

/* Forgets what shim_link_on_death got with this `context`: after it returned, `call` does not run any more. */
SHIM_EXPORT void shim_link_forget_death(shim_link *link, void *context);

/* ------------------------------------------------ owner.c: the death of an owner of locks ---- */

typedef struct shim_owner shim_owner;
typedef struct shim_locks shim_locks; /* locks.c */

/*
 * What to do when `owner` dies: each of the `count` mutexes that lie `stride` bytes apart from `mutexes` on and
 * that it holds is abandoned (shim_mutex_abandon); the threads that wait for one of the `count` revisions from
 * `revisions` (may be NULL) on look again; the word `gone` (may be NULL) becomes 1. What it held of `locks` (may be
 * NULL) is released. With `turns` (may be NULL), the words are those of locks, and all who wait for a turn look again.
 * NULL when no memory can be had. The words stay mapped until shim_owner_free.
 */
SHIM_EXPORT shim_owner *shim_owner_create(void *mutexes, void *revisions, uint32_t stride, uint32_t count,
                                          uint32_t owner, void *gone, void *turns, shim_locks *locks);
/* The function that does it, for shim_link_on_death with the shim_owner as its context. */
typedef void (*shim_death_call)(void *context);
SHIM_EXPORT shim_death_call shim_owner_death_call(void);
/* A word that is not 0 once the owner is dead. */
SHIM_EXPORT const void *shim_owner_dead(const shim_owner *owner);
SHIM_EXPORT void shim_owner_free(shim_owner *owner);

/* --------------------------------------------------- values.c: iteration and constants of XPC ---- */

/* Lists a dictionary: keys and values (both borrowed from it) of up to `capacity` entries; returns the
 * count of all entries. */
SHIM_EXPORT uint32_t shim_dictionary_entries(void *dictionary, const char **keys, void **values,
                                             uint32_t capacity);

/* --------------------------------------------------------------- memory.c: shareable mappings ---- */

typedef struct shim_mapping {
  void *address;
  uint64_t mapped; /* bytes to unmap: the length in whole pages */
  int64_t fd;      /* the read-only descriptor to hand out (the caller closes it), or -1 */
} shim_mapping;

/* A zeroed mapping that xpc_shmem_create accepts. `length` is in bytes, above 0. */
SHIM_EXPORT int shim_memory_create(uint64_t length, shim_mapping *mapping);

/* A zeroed mapping of which only this process can ever write: `fd` is a descriptor that the kernel lets
 * nobody map writable. */
SHIM_EXPORT int shim_memory_create_read_only(uint64_t length, shim_mapping *mapping);

/* Maps a received shmem object, writable. -EMSGSIZE when it is shorter than `length`; -EPERM when its
 * maker could still shrink it under us. */
SHIM_EXPORT int shim_memory_open(void *shmem, uint64_t length, shim_mapping *mapping);

/* Maps a received XPC fd object, read-only; the errors of shim_memory_open. */
SHIM_EXPORT int shim_memory_open_read_only(void *fd, uint64_t length, shim_mapping *mapping);

/* Makes the pages resident now; -ENOMEM where that cannot be. */
SHIM_EXPORT int shim_memory_prefault(void *address, uint64_t length, bool writable);

SHIM_EXPORT int shim_memory_close(void *address, uint64_t mapped);

/* Gives the memory back and keeps its address range: private zeroed pages take its place, so that a write
 * that is still under way there reaches nothing else. shim_memory_close gives the range back. */
SHIM_EXPORT int shim_memory_retire(void *address, uint64_t mapped);

SHIM_EXPORT uint64_t shim_memory_page_size(void);
SHIM_EXPORT uint64_t shim_memory_physical(void); /* bytes of memory and swap; 0 when unknown */

/* ------------------------------------------------------------------ words.c: words and waiting ---- */

/* A word to wait on is 32 bits, aligned, in a mapping that both sides share. All accesses are
 * sequentially consistent. */
SHIM_EXPORT uint32_t shim_word_load(const void *word);

/* A 64-bit word as a double: exact below 2^53, which is where revisions stay. */
SHIM_EXPORT double shim_word_load64(const void *word);

/* Monotonic nanoseconds, the same clock in all processes of this machine. */
SHIM_EXPORT double shim_clock(void);

/* Whether cross-process waits are the kernel's (true) or a bounded back-off (macOS before 14.4). */
SHIM_EXPORT bool shim_wait_is_native(void);

/* ------------------------------------------------------------ mutex.c: a mutex owned by a link ---- */

/*
 * One 32-bit word: bits 0..29 the owner (0: free), bit 30 "the last owner died", bit 31 "somebody waits
 * in the kernel". The server of a service gives out the owners, each once. The 32-bit word behind it holds the pid
 * of the process that locked it last: a hint for people, which nothing relies on.
 */
#define SHIM_MUTEX_OWNER 0x3fffffffu
#define SHIM_MUTEX_ABANDONED 0x40000000u
#define SHIM_MUTEX_CONTENDED 0x80000000u

enum shim_mutex_result {
  SHIM_MUTEX_BUSY = 0,
  SHIM_MUTEX_LOCKED = 1,
  SHIM_MUTEX_LOCKED_ABANDONED = 2, /* locked, and the holder before died */
  SHIM_MUTEX_TIMED_OUT = 3,
  SHIM_MUTEX_CANCELLED = 4,
};

/* The result of a wait for something other than a mutex. */
enum shim_wait_result {
  SHIM_WAIT_CHANGED = 1,
  SHIM_WAIT_TIMED_OUT = 3,
  SHIM_WAIT_CANCELLED = 4,
};

SHIM_EXPORT int32_t shim_mutex_try(void *word, uint32_t owner);

/* Spins for up to `spin` microseconds (SHIM_SPIN_ONLY: never parks), then parks in the kernel;
 * `milliseconds` below 0 means no timeout. */
#define SHIM_SPIN_ONLY UINT32_MAX
SHIM_EXPORT int32_t shim_mutex_wait(void *word, uint32_t owner, uint32_t spin, double milliseconds);

/* The pid of the process that locked it last. */
SHIM_EXPORT uint32_t shim_mutex_holder(const void *word);

/* 0, or -EPERM when `owner` does not hold it (any more). */
SHIM_EXPORT int32_t shim_mutex_unlock(void *word, uint32_t owner);

/* Declares `owner` dead: if it holds the mutex, the next to lock it learns so. 1 if it held it. */
SHIM_EXPORT int32_t shim_mutex_abandon(void *word, uint32_t owner);

/* ------------------------------------------------- waiter.c: waits for those who cannot block ---- */

/*
 * Waits on a thread of the shim's own and queues SHIM_EVENT_WAIT with this `request`, exactly once;
 * value: an enum shim_mutex_result. 0 or a negative errno when no thread can be had.
 */
SHIM_EXPORT int shim_mutex_wait_async(shim_queue *queue, uint32_t request, void *word, uint32_t owner,
                                      double milliseconds);

/* The same for shim_revision_wait; value: an enum shim_wait_result. Without a parked word (NULL), nobody can know that
 * somebody waits: for turns, for which one asks. */
SHIM_EXPORT int shim_revision_wait_async(shim_queue *queue, uint32_t request, void *revision, void *parked,
                                         double after, double milliseconds);

/* Ends such a wait soon: its event tells that it was cancelled or, if that came first, its result. Does nothing
 * when the wait is over. */
SHIM_EXPORT void shim_wait_cancel(shim_queue *queue, uint32_t request);

/* ------------------------------------------------------------- turns.c: who waits for locks ---- */

/*
 * The words of a lock, 32 bytes of them, which begin with a mutex: the mutex, the pid of its holder, 8 bytes that are
 * somebody else's, the waiting word, 4 unused bytes, and 64 bits: the turns. Who wants a lock of any kind and cannot
 * have it says so in the waiting word (ask), tries once more, and then sleeps until the turns grow. Who gives a lock
 * back looks at the waiting word; if it is not 0, a turn is given: the word becomes 0, the turns grow, and all who
 * slept try again. So a lock that nobody waits for costs one look.
 *
 * A thread sleeps on the turns of the lock. An event loop may wait for many locks: a thread of the shim's sleeps for
 * it on the turns of all locks of the service (`turns` here), by shim_revision_wait_async.
 */
#define SHIM_WAITING_THREAD 1u
#define SHIM_WAITING_REALM 2u

/* Says that somebody waits: before the last try. `who`: the bits. */
SHIM_EXPORT void shim_turn_ask(void *words, uint32_t who);

/* After a lock was given back: wakes those who asked. */
SHIM_EXPORT void shim_turn_give(void *words, void *turns);

/* shim_mutex_unlock, then shim_turn_give. The result of the former. */
SHIM_EXPORT int32_t shim_turn_unlock(void *words, void *turns, uint32_t owner);

/* A word to sleep on: the low half, where it has 64 bits. Read by this from JavaScript's memory. */
typedef struct shim_sleep {
  void *word;
  uint32_t expected;
  uint32_t unused;
} shim_sleep;

/* The most words to sleep on at a time. */
#define SHIM_MAX_SLEEPS 64

/* Sleeps until one of the words is woken or is not what is expected, or the time is over (below 0: never). May return
 * for nothing: the caller looks. 0, or -EINVAL for too many words, or -EAGAIN when no thread can be had. */
SHIM_EXPORT int32_t shim_wait_any(const shim_sleep *sleeps, uint32_t count, double milliseconds);

/* ------------------------------------------- locks.c: read-write locks, semaphores, events ---- */

/*
 * Each is a `struct shmem_lock` that all sides write, with the words of a lock (see above). Who holds what is a word
 * that names the owner, so that a death at any instruction leaves nothing that the survivors cannot mend. Whatever a
 * hostile peer writes there, these functions touch nothing else, and their waits end by their timeouts.
 */
enum shim_lock_kind {
  SHIM_LOCK_RWLOCK = 1,
  SHIM_LOCK_SEMAPHORE = 2,
  SHIM_LOCK_MANUAL = 3, /* an event that stays set until it is reset */
  SHIM_LOCK_AUTO = 4,   /* an event that lets one waiter through for each time it is set */
};

enum shim_lock_mode {
  SHIM_LOCK_TAKE = 0,  /* a read lock, a unit, the event */
  SHIM_LOCK_WRITE = 1, /* a write lock */
};

/* What a try or a wait gives: the place of the holder, with SHIM_LOCK_TOLD where the last writer died, or one of these. */
enum shim_lock_result {
  SHIM_LOCK_BUSY = -1,
  SHIM_LOCK_PENDING = -2, /* to write: no new reader comes in, and some have to go yet */
  SHIM_LOCK_TIMED_OUT = -3,
  SHIM_LOCK_GONE = -4,
};
#define SHIM_LOCK_TOLD 0x10000

typedef struct shim_lock shim_lock;

/*
 * One side's handle. `words` and `turns` as above; `memory`: the struct shmem_lock; `limit`: the units of a
 * semaphore. All of it stays mapped until shim_lock_free. NULL when no memory can be had.
 */
SHIM_EXPORT shim_lock *shim_lock_create(void *words, void *turns, void *memory, uint32_t kind, uint32_t limit,
                                        uint32_t owner);
SHIM_EXPORT void shim_lock_free(shim_lock *lock);

/* Tries once. `claimed`: the caller's last try to write gave SHIM_LOCK_PENDING, and it has not unclaimed since. */
SHIM_EXPORT int32_t shim_lock_try(shim_lock *lock, uint32_t mode, bool claimed);

/* Gives up after SHIM_LOCK_PENDING. */
SHIM_EXPORT void shim_lock_unclaim(shim_lock *lock);

/* Waits; `gone` (may be NULL) ends it when it is not 0; `spin` and `milliseconds` as of shim_mutex_wait. */
SHIM_EXPORT int32_t shim_lock_wait(shim_lock *lock, uint32_t mode, const void *gone, uint32_t spin,
                                   double milliseconds);

/* Gives back what a try or a wait gave; `place` is what that returned. 0, or -EPERM where it is not held any more. */
SHIM_EXPORT int32_t shim_lock_release(shim_lock *lock, uint32_t mode, int32_t place);

/* Sets an event, and resets it. */
SHIM_EXPORT void shim_lock_set(shim_lock *lock);
SHIM_EXPORT void shim_lock_reset(shim_lock *lock);

/* The free units of a semaphore, the readers of a read-write lock, 1 for an event that is set. */
SHIM_EXPORT uint32_t shim_lock_count(const shim_lock *lock);

/* The pid of a process that holds it, or 0: a hint for people. */
SHIM_EXPORT uint32_t shim_lock_holder(const shim_lock *lock);

/* Whether this side holds the lock in a way that makes this mode impossible until it unlocks. */
SHIM_EXPORT bool shim_lock_blocks_itself(const shim_lock *lock, uint32_t mode);

/* Locks whose dead holders are to be released: see shim_owner_create. For any thread. NULL when no memory can be had. */
SHIM_EXPORT shim_locks *shim_locks_create(void);
SHIM_EXPORT void shim_locks_free(shim_locks *locks); /* when it is empty */
SHIM_EXPORT void shim_locks_add(shim_locks *locks, shim_lock *lock);
/* Afterwards the memory of the lock is not touched any more. */
SHIM_EXPORT void shim_locks_remove(shim_locks *locks, shim_lock *lock);

/* -------------------------------------------------------- revisions.c: commits and who is told ---- */

/*
 * A revision is a 64-bit word that only grows. Each waiter owns a 32-bit parked word a region, that it
 * alone writes: bit 0, it reads its doorbell; the bits above count its threads that wait in the kernel.
 */
#define SHIM_PARKED_BELL 1u
#define SHIM_PARKED_THREAD 2u /* added and subtracted */

typedef struct shim_audience shim_audience;

/* The waiters that commits wake: a set of (parked words, doorbell). Used by one thread at a time, until
 * shim_share_create has it used by several. */
SHIM_EXPORT shim_audience *shim_audience_create(void);
SHIM_EXPORT void shim_audience_free(shim_audience *audience);

/* `parked`: the member's parked words, `count` of them, 4 bytes apart; `bell`: a socket to ring (kept by
 * the caller), or -1. Returns a number for shim_audience_remove, or a negative errno. */
SHIM_EXPORT int32_t shim_audience_add(shim_audience *audience, const void *parked, uint32_t count,
                                      int32_t bell);
SHIM_EXPORT void shim_audience_set_bell(shim_audience *audience, int32_t member, int32_t bell);
SHIM_EXPORT void shim_audience_remove(shim_audience *audience, int32_t member);

/* Adds 1 to the revision and wakes those of the audience that are parked on region `index`. Returns the
 * new revision. */
SHIM_EXPORT double shim_revision_commit(shim_audience *audience, void *revision, uint32_t index);

/* Wakes the audience as a commit does, without one: to relay the commit of another process. */
SHIM_EXPORT void shim_revision_wake(shim_audience *audience, void *revision, uint32_t index);

/* Adds and subtracts SHIM_PARKED_THREAD: before and after a sleep by shim_wait_any. */
SHIM_EXPORT void shim_revision_count_thread(void *parked, bool sleeps);

/* Sets and clears SHIM_PARKED_BELL in a parked word of ours: before and after waiting for the doorbell. */
SHIM_EXPORT void shim_revision_park(void *parked);
SHIM_EXPORT void shim_revision_unpark(void *parked);

/* Waits until the revision is not `after`, or the word `gone` (may be NULL) is not 0, which is seen within
 * a fifth of a second; `spin` and `milliseconds` as of shim_mutex_wait. Returns the revision; `after` again
 * when the time is over or the peer is gone. */
SHIM_EXPORT double shim_revision_wait(void *revision, void *parked, const void *gone, double after,
                                      uint32_t spin, double milliseconds);

/* ----------------------------------------- stream_writer.c, stream_reader.c: frames in slots ---- */

/*
 * A stream has slots, each with a frame. The writer fills a slot that nobody reads; a reader leases a frame and reads
 * it in place. Neither waits for the other. `shmem_layout.h` has the words, `src/link/PROTOCOL.md` the rules.
 *
 * Both objects are used by one thread at a time. The memory that they are given belongs to the caller and stays
 * mapped until they are freed. Frames are numbered from 1; a number fits in a double.
 */
typedef struct shim_stream_writer shim_stream_writer;
typedef struct shim_stream_reader shim_stream_reader;

/* The writing side. `header`: a zeroed struct shmem_stream_header; `slots`: 2 to SHMEM_STREAM_MAX_SLOTS; `last`: the
 * number of the last frame of an earlier generation, or 0. Publishing commits `revision` of region `index`. NULL when
 * an argument is out of range or no memory is left. */
SHIM_EXPORT shim_stream_writer *shim_stream_writer_create(void *header, uint32_t slots, double last,
                                                          shim_audience *audience, void *revision,
                                                          uint32_t index);
SHIM_EXPORT void shim_stream_writer_free(shim_stream_writer *writer);

/* Adds a reader's struct shmem_stream_leases. Its leases end when the word `gone` (may be NULL) is not 0. Returns a
 * number, or a negative errno. */
SHIM_EXPORT int32_t shim_stream_reader_add(shim_stream_writer *writer, const void *leases, const void *gone);
SHIM_EXPORT void shim_stream_reader_remove(shim_stream_writer *writer, int32_t reader);

/* Takes a slot to write in, the one with the oldest frame that nobody leases. Never the one with the newest frame.
 * Returns the slot, or -EBUSY. */
#define SHIM_LOAN_REVOKE 1u   /* if all are leased, ends the leases of the oldest frame */
#define SHIM_LOAN_UNWANTED 2u /* only frames that no reader of every frame still waits for */
SHIM_EXPORT int32_t shim_stream_loan(shim_stream_writer *writer, uint32_t flags);

/* Gives a slot back without a frame. */
SHIM_EXPORT void shim_stream_drop(shim_stream_writer *writer, uint32_t slot);

/* Publishes what was written in a slot as the newest frame. `record`: SHMEM_STREAM_RECORD_BYTES, or NULL for zeros.
 * Returns its number; -1 when the slot was not taken. */
SHIM_EXPORT double shim_stream_publish(shim_stream_writer *writer, uint32_t slot, double length,
                                       double timestamp, const uint64_t *record);

/* Fills in the numbers of the readers that keep slots from the writer; returns how many. */
SHIM_EXPORT uint32_t shim_stream_holders(const shim_stream_writer *writer, int32_t *readers,
                                         uint32_t capacity);

/* What is told of a frame: read by JavaScript as an array of doubles. The user's record stays in the slot. */
typedef struct shim_frame {
  double sequence;  /* its number */
  double dropped;   /* how many frames this reader has missed since the one that it took last */
  double length;    /* the bytes that are used, as the writer says: to be checked */
  double timestamp; /* the writer's */
} shim_frame;

/* The reading side. `leases`: a zeroed struct shmem_stream_leases of ours; `last`: the number of the frame that was
 * taken last, of an earlier generation; below 0: the newest frame is the first to be taken. Each lease that ends
 * wakes a writer that is parked on `revision`. */
SHIM_EXPORT shim_stream_reader *shim_stream_reader_create(const void *header, uint32_t slots, void *leases,
                                                          double last, shim_audience *audience,
                                                          void *revision, uint32_t index);
/* Ends all leases, too. */
SHIM_EXPORT void shim_stream_reader_free(shim_stream_reader *reader);

/* The number of the frame that was taken last. */
SHIM_EXPORT double shim_stream_reader_last(const shim_stream_reader *reader);

/* Asks the writer to keep frames until this reader has taken them, where it can wait for that. */
SHIM_EXPORT void shim_stream_reader_want_every(shim_stream_reader *reader);

/* Leases the newest frame, or with `every` the oldest one, after number `after`. Returns its slot, or -EAGAIN when
 * there is none (yet). Several leases of one frame are counted. */
SHIM_EXPORT int32_t shim_stream_take(shim_stream_reader *reader, bool every, double after, shim_frame *frame);

/* Ends a lease. */
SHIM_EXPORT void shim_stream_release(shim_stream_reader *reader, uint32_t slot, double sequence);

/* Whether the slot still has this frame: false once the writer has taken it back. */
SHIM_EXPORT bool shim_stream_holds(const shim_stream_reader *reader, uint32_t slot, double sequence);

/* ------------------------------------------------------------ ring.c: messages through memory ---- */

/*
 * A ring carries messages from one side to the other: one copy in, one copy out. Each side has an object of its own
 * over the same memory and is used by one thread at a time. The memory stays mapped until the object is freed.
 */
typedef struct shim_ring shim_ring;

enum shim_ring_result {
  SHIM_RING_EMPTY = -1,  /* there is no message */
  SHIM_RING_FULL = -1,   /* there is no room now */
  SHIM_RING_BROKEN = -2, /* the other side wrote what cannot be: of no use any more */
  SHIM_RING_LARGE = -3,  /* larger than any message of this ring may be, or than the room for it */
  SHIM_RING_ENDED = -4,  /* the other side has left, and there is nothing more to take */
};

/* `memory`: a struct shmem_ring, aligned to 8, and `capacity` bytes (a multiple of 8, at least 16) behind it. What is sent
 * or received wakes those of the audience who are parked on `index`. NULL when an argument is out of range or no memory is left. */
SHIM_EXPORT shim_ring *shim_ring_create(void *memory, uint32_t capacity, shim_audience *audience,
                                        uint32_t index);
SHIM_EXPORT void shim_ring_free(shim_ring *ring);

/* Copies a message into the ring, of at most half of its capacity. 0, or an enum shim_ring_result. */
SHIM_EXPORT int32_t shim_ring_send(shim_ring *ring, const void *bytes, uint32_t length);

/* The length of the next message, or an enum shim_ring_result. */
SHIM_EXPORT int32_t shim_ring_next(shim_ring *ring);

/* Copies the next message out and takes it from the ring, if it fits in `capacity` bytes. Its length, or an enum
 * shim_ring_result. */
SHIM_EXPORT int32_t shim_ring_receive(shim_ring *ring, void *bytes, uint32_t capacity);

/* Copies what can be received when it is called with NULL, messages with their lengths as they lie in the ring, and takes
 * nothing. With NULL it only tells how many bytes that are, at most the ring's capacity. Or an enum shim_ring_result. */
SHIM_EXPORT int32_t shim_ring_rest(shim_ring *ring, void *bytes, uint32_t capacity);

/* Says that this side has left, as the ring's writer or as its reader, and wakes the other. Only shim_ring_rest and
 * shim_ring_free may follow. */
SHIM_EXPORT void shim_ring_leave(shim_ring *ring, bool writes);

/* ------------------------------------------------------------ tiles.c: which parts of a region changed ---- */

/* In `owner`, where several realms of this process have a region: none of what this owner holds does the caller hold. */
#define SHIM_TILES_OTHER_REALM 0x100000000u

/* A region and its words: 56 bytes, no padding, filled by JavaScript through a BigUint64Array. The words of its tiles
 * lie behind the data, as `shmem_layout.h` says. All of it stays mapped during a call. */
typedef struct shim_tiles {
  void *data;
  uint64_t length;     /* bytes of data, above 0 */
  uint64_t tile_bytes; /* a multiple of 64; 0: there are no words of tiles behind the data */
  void *revision;
  void *mutex;
  uint64_t owner; /* this end as an owner of the mutex; 0: it may not lock it, nor write the word */
  void *turns;    /* the turns of all locks, for those who wait for the mutex; NULL: nobody waits by turns */
} shim_tiles;

/* Commits as shim_revision_commit does, and tells which tiles changed: `ranges` are `count` pairs of an offset and a
 * length in bytes, inside of the data. */
SHIM_EXPORT double shim_tiles_commit(const shim_tiles *tiles, shim_audience *audience, uint32_t index,
                                     const double *ranges, uint32_t count);

/* Fills in which parts may have changed after `since` (0: from the beginning) up to `revision`: up to `capacity` pairs
 * of an offset and a length in bytes, in their order and with a gap between each two. Returns how many there are. */
SHIM_EXPORT uint32_t shim_tiles_changed(const shim_tiles *tiles, double since, double revision, double *runs,
                                        uint32_t capacity);

/* Copies the tiles that may have changed after `since` (0: all) to their places in `target`, which is as long as the
 * data. What was written under the mutex and committed before it was unlocked is never torn. Waits for whoever
 * holds the mutex, and locks it where `owner` may and a writer leaves no gaps. `result` gets the revision that the
 * target has, the bytes that were copied, whether they all belong to that revision, and whether the mutex was locked.
 * 0; -ETIMEDOUT when the time is over, below 0 for no end; -EPERM when the mutex was taken from this end. After a
 * failure the target has `since` still, and perhaps more. */
SHIM_EXPORT int32_t shim_tiles_copy_wait(const shim_tiles *tiles, void *target, double since,
                                         double milliseconds, double result[4]);

/* ---------------------------------------------- realms.c: regions that several realms of this process use ---- */

/*
 * One realm shares a region, and others take seats: they get mappings of their own of the same pages, which hold until
 * they leave, or until their thread ends. All functions are for any thread, but those of a seat are for its realm.
 */
typedef struct shim_share shim_share;
typedef struct shim_seat shim_seat;

enum shim_share_end { SHIM_SHARE_SERVER_GONE = 1, SHIM_SHARE_CLOSED = 2 };

/* What is shared: up to four mappings, of which the first has the data, and where in them the words are. 120 bytes, no
 * padding, filled by JavaScript through a BigUint64Array. */
typedef struct shim_share_place {
  uint64_t address[4]; /* 0: no such mapping */
  uint64_t mapped[4];  /* bytes, whole pages */
  uint64_t mutex[2];   /* the number of the mapping, above 3 for none, and the offset in it */
  uint64_t revision[2];
  uint64_t turns[2];
  uint64_t owner; /* the owner of the mutex that all realms are */
} shim_share_place;

/* Shares a region of the realm of `queue`. The audience is used by several threads from now on, and lives as long as a
 * seat has it. `facts` are copied, and handed to whoever takes a seat. NULL when no memory can be had. */
SHIM_EXPORT shim_share *shim_share_create(shim_queue *queue, const shim_share_place *place,
                                          shim_audience *audience, const char *facts, uint32_t length,
                                          const uint64_t secret[2]);
/* The number that a seat is taken by, with the secret. */
SHIM_EXPORT double shim_share_id(const shim_share *share);
/* The region is about to be closed: nobody takes a seat any more, all waits in the seats end, and each seat is told. An
 * event `request` (SHIM_EVENT_WAIT) tells when all are empty. Returns how many there are now. Once. */
SHIM_EXPORT uint32_t shim_share_close(shim_share *share, uint32_t request);
/* Ends what shim_share_create made. Seats that are left are told, if they were not. */
SHIM_EXPORT void shim_share_free(shim_share *share);
/* For shim_link_on_death with the share as its context: the server is gone, which ends the waits for revisions. */
SHIM_EXPORT shim_death_call shim_share_death_call(void);

/* Takes a seat for the realm of `queue`. `key`: the number and the secret. Events (SHIM_EVENT_WAIT) tell that the server
 * is `gone`, and that the region is `closed`, each once at most. `out` gets the addresses of the four mappings and 0.
 * NULL with out[4]: -ENOENT when nothing was ever shared by this key, -EPIPE when that is over, or another errno. */
SHIM_EXPORT shim_seat *shim_seat_take(shim_queue *queue, uint32_t gone, uint32_t closed,
                                      const uint64_t key[3], int64_t out[5]);
/* Not NUL-terminated; they stay until the seat is left. */
SHIM_EXPORT const char *shim_seat_facts(const shim_seat *seat, uint32_t *length);
SHIM_EXPORT shim_audience *shim_seat_audience(shim_seat *seat);
/* A word that becomes an enum shim_share_end. */
SHIM_EXPORT const void *shim_seat_ended(const shim_seat *seat);
/* The data is unmapped by the caller, and not by the end of the seat. */
SHIM_EXPORT void shim_seat_disown_data(shim_seat *seat);
/* Unmaps what the seat has still, and frees it. Its waits must have ended, and the mutex be unlocked. */
SHIM_EXPORT void shim_seat_leave(shim_seat *seat);

/* The mutex, as of shim_mutex_try, shim_mutex_wait, shim_mutex_wait_async, shim_turn_unlock and shim_mutex_abandon with
 * shim_turn_give. The seat knows whether its realm holds it: when the realm dies, the mutex turns abandoned. A wait
 * gives SHIM_MUTEX_CANCELLED when the region is closed. */
SHIM_EXPORT int32_t shim_seat_try(shim_seat *seat);
SHIM_EXPORT int32_t shim_seat_wait(shim_seat *seat, uint32_t spin, double milliseconds);
SHIM_EXPORT int32_t shim_seat_wait_async(shim_queue *queue, uint32_t request, shim_seat *seat,
                                         double milliseconds);
SHIM_EXPORT int32_t shim_seat_unlock(shim_seat *seat);
SHIM_EXPORT int32_t shim_seat_abandon(shim_seat *seat);

/* ------------------------------------------------------------- doorbell.c, event_queue.c: doorbells ------- */

/* Makes a pair of connected stream sockets: ends[0] for the event loop of the queue's realm to read, ends[1] to be
 * rung. The caller closes both. 0 or a negative errno. */
SHIM_EXPORT int32_t shim_queue_open_bell(shim_queue *queue, int32_t ends[2]);

/* Forgets the reading end `fd`: before it is closed. */
SHIM_EXPORT void shim_queue_forget_bell(shim_queue *queue, int32_t fd);

/* Sends one byte, never blocks. 0 also when the buffer is full: then the reader is awake anyway. */
SHIM_EXPORT int32_t shim_bell_ring(int32_t bell);

SHIM_EXPORT int32_t shim_descriptor_close(int32_t fd);

#ifdef __cplusplus
}
#endif
#endif
