/*
 * party.h: a server and a client of the link in plain C, written from `src/link/PROTOCOL.md`. They use libxpc and
 * the system, and nothing of this project but the numbers in `shmem_layout.h`. For Linux.
 *
 * A process is one of the two, and does what it is told on its standard input: see `../parties.ts`.
 */
#ifndef PARTY_H
#define PARTY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <shmem_layout.h>
#include <xpc/xpc.h>

/* ------------------------------------------------------------------------------------------ memory.c ---- */

struct mapping {
  void *address;
  size_t mapped; /* in whole pages */
  int fd;        /* what others map read-only, or -1 */
};

bool make_shared(size_t bytes, struct mapping *mapping);    /* writable by all */
bool make_read_only(size_t bytes, struct mapping *mapping); /* writable by us */
bool map_shmem(xpc_object_t shmem, size_t bytes, struct mapping *mapping);
bool map_fd(xpc_object_t fd, size_t bytes, struct mapping *mapping); /* read-only */
xpc_object_t share(const struct mapping *mapping);

/* ------------------------------------------------------------------------------------------- words.c ---- */

enum lock_result { LOCK_BUSY, LOCK_TAKEN, LOCK_ABANDONED, LOCK_TIMEOUT, LOCK_GONE };

enum lock_result mutex_try(_Atomic uint32_t *word, uint32_t owner);
/* Waits for at most `milliseconds`; below 0 until `ended` is set and the word's sleepers are woken. */
enum lock_result mutex_lock(_Atomic uint32_t *word, uint32_t owner, long milliseconds,
                            const atomic_bool *ended);
bool mutex_unlock(_Atomic uint32_t *word, uint32_t owner);
/* Frees the mutex without waking anybody, as an owner does that is killed in the middle of its unlock. */
bool mutex_drop(_Atomic uint32_t *word, uint32_t owner);
void mutex_abandon(_Atomic uint32_t *word, uint32_t owner);

/* Sleeps while the word is `expected`; negative milliseconds: without a bound. */
void futex_wait(const _Atomic uint32_t *word, uint32_t expected, long milliseconds);
int futex_wake(const _Atomic uint32_t *word, int count); /* how many were woken */

/* The half of a revision that the kernel looks at. */
_Atomic uint32_t *low_half(_Atomic uint64_t *revision);

/* ------------------------------------------------------------------------------------------- locks.c ---- */

enum kind { KIND_MUTEX, KIND_RWLOCK, KIND_SEMAPHORE, KIND_MANUAL, KIND_AUTO };

#define MAX_HELD 16

struct hold {
  bool write;
  int place;
};

struct lock {
  char name[129];
  uint32_t index;
  enum kind kind;
  uint32_t limit; /* of a semaphore */
  struct shmem_lock_region *words;
  struct mapping mapping;
  struct shmem_lock *memory; /* NULL: a mutex */
  struct hold holds[MAX_HELD];
  int held;
};

extern _Atomic uint64_t *all_turns; /* of the service */

struct lock *lock_add(const struct lock *like);
struct lock *lock_find(const char *name); /* NULL: not opened, or not there */
bool kind_of(const char *name, enum kind *kind);
const char *kind_name(enum kind kind);
enum lock_result lock_try(struct lock *lock, uint32_t owner, bool write);
enum lock_result lock_take(struct lock *lock, uint32_t owner, bool write, long milliseconds);
/* Quietly: without a turn, as an owner does that is killed in the middle. */
bool lock_give(struct lock *lock, uint32_t owner, bool quietly);
void lock_set(struct lock *lock, bool set);
void give_turn(struct shmem_lock_region *words);
void force_turns(struct shmem_locks *all); /* after a death */
void locks_abandon(uint32_t dead);
void locks_give_all(uint32_t owner);
void wake_lock_sleepers(void);
/* ------------------------------------------------------------------------------------------- slots.c ---- */

/* The writing side of a stream. */
struct slot_writer {
  struct shmem_stream_header *header;
  uint32_t slots, newest;
  uint64_t last, loaned; /* the number of the newest frame; a bit for each slot that is loaned */
  uint64_t numbers[SHMEM_STREAM_MAX_SLOTS];
};

/* The readers that a loan looks at. */
struct slot_readers {
  const struct shmem_stream_leases *leases[256];
  uint32_t count;
};

enum loan_kind { LOAN_NOW, LOAN_REVOKE, LOAN_PATIENT };

int slots_loan(struct slot_writer *writer, const struct slot_readers *readers,
               enum loan_kind kind); /* or -1 */
uint64_t slots_publish(struct slot_writer *writer, uint32_t slot, uint64_t length, double time,
                       uint8_t record);
bool slots_keeps(const struct slot_writer *writer, const struct shmem_stream_leases *leases);

/* The reading side. */
struct slot_reader {
  const struct shmem_stream_header *header;
  struct shmem_stream_leases *leases;
  uint32_t slots;
  bool every;
  uint64_t last; /* the frame that was taken last */
  uint64_t held[SHMEM_STREAM_MAX_SLOTS];
  uint32_t counts[SHMEM_STREAM_MAX_SLOTS];
};

struct taken {
  uint32_t slot;
  uint64_t number, dropped, length;
  double time;
  uint8_t record;
};

void slots_begin(struct slot_reader *reader, bool goes_on);
bool slots_take(struct slot_reader *reader, struct taken *taken);
void slots_release(struct slot_reader *reader, uint32_t slot, uint64_t number);
bool slots_valid(const struct slot_reader *reader, uint32_t slot, uint64_t number);

/* ------------------------------------------------------------------------------------------- party.c ---- */

struct region {
  char name[129];
  uint32_t index;
  uint64_t generation; /* of the memory that is mapped */
  uint64_t bytes;
  uint64_t tile_bytes; /* 0: it has no tiles */
  char *copy;          /* what was copied of it last */
  bool writable;       /* whether this side may write */
  bool held;           /* whether this side holds the mutex */
  struct mapping memory;
  _Atomic uint32_t *mutex;        /* NULL: there is none for this side */
  const _Atomic uint32_t *guard;  /* the mutex under which the region is written */
  _Atomic uint64_t *revision;     /* mapped read-only where this side may not write */
  const _Atomic uint64_t *newest; /* the newest generation */
  _Atomic uint32_t *parked;       /* ours */
  uint32_t slots;                 /* of a stream; 0: a region */
  uint64_t offset, stride;        /* where its slots are */
};

/* A line of the standard input. */
struct command {
  char *text;
  const char *id;
  char *words[16];
  int count;
};

__attribute__((format(printf, 2, 3))) void say(const struct command *command, const char *format, ...);
/* Waits by bell or futex until the revision is not `after`, there is another generation, or the link is over. */
const char *wait_for_news(const struct command *command, const struct region *region, uint64_t after,
                          const char *how);
/* Runs a command of streams; false: it is none. */
bool run_on_streams(const struct command *command);

/* What differs between a server and a client. */
struct side {
  uint32_t owner;
  const char *key;                           /* of what this side sends: "op" or "event" */
  xpc_connection_t (*other)(void);           /* NULL: there is nobody */
  struct region *(*find)(const char *name);  /* NULL: not opened, or not there */
  void (*wake)(const struct region *region); /* after a commit: whom this side can see */
  const char *(*want_bell)(void);            /* makes sure that others can ring us; NULL or why they cannot */
  uint32_t (*parked)(const struct region *region); /* those of the others, together */
  void (*end)(void);                               /* in order */
};

extern struct side *side;   /* NULL: neither serves nor is connected */
extern atomic_bool ended;   /* the link is over */
extern atomic_int sleepers; /* threads of ours that sleep in the kernel on a shared word */

/* Our parked word says that we wait for the doorbell, until as many calls of the second. */
void bell_enter(uint32_t index, _Atomic uint32_t *parked);
void bell_leave(uint32_t index, _Atomic uint32_t *parked);
void bell_rung(void);                               /* whoever waits for the doorbell looks again */
uint64_t bell_rings(void);                          /* counts the calls of bell_rung */
bool bell_await(uint64_t rings, long milliseconds); /* until there are more, or false when the time is over */
void ring(int bell);                                /* one byte, never blocking */
bool await_rings(int bell); /* blocks; takes all rings that are there; false when nobody can ring any more */
void start_thread(void *(*run)(void *), void *argument);

/* Parts of messages, checked: false where they are missing, of another type or out of range. */
bool get_integer(xpc_object_t dictionary, const char *key, uint64_t most, uint64_t *value);
xpc_object_t get_typed(xpc_object_t dictionary, const char *key, xpc_type_t type); /* NULL */

/* Finds or registers an endpoint at a broker. NULL, or what went wrong; the connection stays open. */
const char *broker_hello(const char *service, xpc_connection_t *broker);
xpc_object_t ask(xpc_connection_t connection, xpc_object_t request); /* releases the request */
/* NULL where the reply has ok: true; else the code, valid as long as the reply. */
const char *refusal(xpc_object_t reply);

/* ------------------------------------------------------------------------------------------- tiles.c ---- */

/* The length of a tile of the regions that this program serves. */
#define TILE_BYTES 1024

uint64_t tile_count(uint64_t bytes, uint64_t tile_bytes);
uint64_t bytes_with_tiles(uint64_t bytes, uint64_t tile_bytes);
/* The new revision; whoever dies says so in the tiles alone. Wakes nobody. */
uint64_t commit_range(const struct region *region, uint64_t offset, uint64_t length, bool dies);

struct copied {
  uint64_t revision, bytes;
  bool consistent;
};
bool copy_changes(struct region *region, uint64_t since, struct copied *copied); /* false: no time for it */

/* ------------------------------------------------------------------------------ client.c and server.c ---- */

/* Each answers NULL, or a word that says what is wrong. */
const char *client_connect(const char *service, const char *name, const char *schema);
const char *client_open(const char *name, bool write);
const char *client_open_lock(const char *name);
void client_crash_commit(struct region *region); /* counts the revision up and tells nobody */
const char *server_make(const char *schema);     /* the words */
const char *server_register(const char *service, const char *name);
const char *server_put_lock(const char *name, enum kind kind, uint32_t limit);
const char *server_put(const char *name, uint64_t bytes, const char *kind); /* write, read or stream:SLOTS */
uint32_t server_clients(void);

int server_loan(struct region *stream, enum loan_kind kind); /* or -1 */
uint64_t server_publish(struct region *stream, uint32_t slot, uint64_t length, double time, uint8_t record);
void server_unloan(struct region *stream, uint32_t slot);
uint32_t server_readers(const struct region *stream);
void server_holders(const struct region *stream, char *text, size_t size); /* the pids, a space before each */

/* A reader of a client. */
struct reader {
  char id[32]; /* empty: a free place */
  struct region region;
  struct slot_reader slots;
  struct mapping leases;
  uint64_t number;
};

const char *client_stream(const char *name, const char *id, bool every, struct reader **reader);
const char *client_follow(struct reader *reader); /* maps the newest generation */
struct reader *client_reader(const char *id);     /* NULL: there is none */
void client_shut(struct reader *reader);
void client_wake(const struct region *region); /* the server, if it is parked */

/* ---------------------------------------------------------------------------------------- channels.c ---- */

/* At a server, which names its clients by their addresses. Each answers NULL or the code of a refusal. */
bool channel_serve(const char *name, uint32_t index, uint64_t bytes, _Atomic uint32_t *parked);
const char *channel_opened(const void *client, xpc_object_t request, xpc_object_t reply);
const char *channel_closed(const void *client, xpc_object_t request);
void channels_client_gone(const void *client);
void server_tell_channels(const void *client); /* the note that this side has left one */

_Atomic uint32_t *client_parked(uint32_t index); /* a client's own parked word */
void wake_channel_sleepers(void);
/* Runs a command of channels; false: it is none. */
bool run_on_channels(const struct command *command);

/* ---------------------------------------------------------------------------------------- messages.c ---- */

/* Takes a message of the other side that is a request or a message; false if it is none. */
bool messages_receive(const char *key, xpc_object_t message);
/* Asks, and gives the answer. */
const char *messages_request(xpc_connection_t other, const char *text, char *result, size_t size);
/* Sends so many messages, and waits until they are taken. */
const char *messages_send(xpc_connection_t other, const char *text, unsigned count);
/* How many messages came, and the last one. */
unsigned messages_taken(char *result, size_t size);

/* SHA-256 of a text: sha256.c. */
void sha256(const char *text, uint8_t digest[32]);

#endif
