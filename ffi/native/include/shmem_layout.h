/*
 * shmem_layout.h: where the words of a service lie, and what their bits mean.
 *
 * This header owns these numbers. `src/link/layout.ts` is a copy of them, which `deno task check:abi` compares
 * with this file. `src/link/PROTOCOL.md` says who writes each word, and when. It includes nothing of this
 * project, so that a native app can take it as it is.
 *
 * The words lie in three small mappings, apart from the data, so that each side writes only its own:
 *
 *   the server's words   the server makes them; clients map them read-only, which the kernel enforces
 *   the locks            the server makes them; everybody writes
 *   a client's words     each client makes its own; only that client and the server map them
 *
 * A lock that is no mutex has a fourth one of its own, which everybody writes.
 *
 * What belongs to one region or one stream alone lies with its data: the tiles behind the data of a region, the
 * header before the slots of a stream. A reader of a stream makes the words with its leases.
 */
#ifndef XPC_SHMEM_LAYOUT_H
#define XPC_SHMEM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

/* Raised whenever a number in this file changes. Client and server must have the same. */
#define SHMEM_LAYOUT_VERSION 3

/* The most that a service shares: regions, streams and all else that has words here. */
#define SHMEM_MAX_REGIONS 256

/* The distance between the words of two regions, in bytes: the distance at which no processor that we know
 * keeps two words in one cache line, prefetching included. */
#define SHMEM_STRIDE 128

/* The owner of a mutex that is the server. Clients are 2 and above. */
#define SHMEM_SERVER_OWNER 1

/* The bits of a mutex. */
#define SHMEM_MUTEX_OWNER 0x3fffffff     /* who holds it; 0: nobody */
#define SHMEM_MUTEX_ABANDONED 0x40000000 /* the last holder died while it held the mutex */
#define SHMEM_MUTEX_CONTENDED 0x80000000 /* somebody may sleep in the kernel until it is free */

/* The bits of a parked word. */
#define SHMEM_PARKED_BELL 1   /* its writer waits for its doorbell */
#define SHMEM_PARKED_THREAD 2 /* added once for each thread of its writer that sleeps in the kernel */

/* The words of one region in the server's words. */
struct shmem_server_region {
  uint64_t revision;   /* of a region that clients may only read */
  uint64_t generation; /* of every region: the newest; 0: there is no such region yet */
  uint32_t mutex;      /* of a region that clients may only read: for the server's own threads */
  uint32_t holder;     /* the pid of the process that locked it last: a hint for people */
  uint8_t unused[8];   /* 0 */
  uint32_t waiting;    /* as in the locks, and as far behind the mutex as there */
  uint32_t unused_too; /* 0 */
  uint64_t turns;      /* likewise */
  uint8_t rest[80];    /* 0 */
};

/* The server's words. */
struct shmem_server_words {
  struct shmem_server_region regions[SHMEM_MAX_REGIONS];
  uint32_t parked[SHMEM_MAX_REGIONS]; /* the server's parked words, one a region */
};

/* The words of one region, or of one lock, in the locks. */
struct shmem_lock_region {
  uint32_t mutex;    /* of a region that clients may write, or a lock that is a mutex */
  uint32_t holder;   /* the pid of the process that locked it last: a hint for people */
  uint64_t revision; /* of a region that clients may write */
  uint32_t waiting;  /* who waits for a turn: SHMEM_WAITING_THREAD, SHMEM_WAITING_REALM */
  uint32_t unused;   /* 0 */
  uint64_t turns;    /* grows when a lock may be had that somebody waits for */
  uint8_t rest[96];  /* 0 */
};

/* The bits of a waiting word. */
#define SHMEM_WAITING_THREAD 1 /* a thread sleeps on the turns of the lock */
#define SHMEM_WAITING_REALM 2  /* an event loop is to be woken, by the turns of all locks */

/* The locks. */
struct shmem_locks {
  struct shmem_lock_region regions[SHMEM_MAX_REGIONS];
  uint64_t turns;      /* of all locks: grows with the turns of a lock for which an event loop waits */
  uint8_t unused[120]; /* 0 */
};

/* The most holders of one lock: readers of a read-write lock, units of a semaphore. */
#define SHMEM_MAX_HOLDERS 1024

/* The bits of the state of a read-write lock: its writer. */
#define SHMEM_LOCK_OWNER 0x3fffffff     /* who holds it, or claims it; 0: nobody */
#define SHMEM_LOCK_ABANDONED 0x40000000 /* the last writer died while it held the lock */
#define SHMEM_LOCK_CLAIMED 0x80000000   /* the writer waits for the readers to go; no new one comes in */

/* A place for one of several owners who hold a lock at the same time. */
struct shmem_holder {
  uint32_t owner; /* 0: nobody */
  uint32_t pid;   /* a hint for people */
};

/* The memory of a lock that is no mutex. */
struct shmem_lock {
  uint32_t state; /* of a read-write lock: the bits above; of an event: 1 while it is set */
  uint32_t pid;   /* of the writer: a hint for people */
  uint32_t used;  /* of a read-write lock: holders from here on were never taken */
  uint8_t unused[116];
  struct shmem_holder holders[SHMEM_MAX_HOLDERS];
};
#define SHMEM_LOCK_MEMORY_BYTES 8320

/* A client's words. */
struct shmem_client_words {
  uint32_t parked[SHMEM_MAX_REGIONS]; /* the client's parked words, one a region */
  uint32_t gone;                      /* the client's own: not 0 once it knows that its server is gone */
  uint8_t unused[124];                /* 0 */
};

/* The tiles of a region: 64-bit words behind its data, at the next multiple of SHMEM_STRIDE. */
struct shmem_tiles {
  uint64_t ranged;     /* the revision of the newest commit that named its ranges */
  uint64_t whole;      /* all tiles may have changed up to this revision */
  uint8_t unused[112]; /* 0 */
  /* uint64_t revisions[]:     of each tile, the revision of its last change by a commit that named its ranges */
};
#define SHMEM_TILES_HEADER_BYTES 128

/* The most slots of a stream, and the bytes of the user's record that goes with each frame. */
#define SHMEM_STREAM_MAX_SLOTS 64
#define SHMEM_STREAM_RECORD_BYTES 64

/* One slot of a stream: what is known of the frame in it. */
struct shmem_stream_slot {
  uint64_t sequence; /* the number of the frame; 0, or with SHMEM_STREAM_TAKING: there is none to be leased */
  uint64_t length;   /* the bytes of the frame that are used */
  uint64_t timestamp; /* the writer's: the bits of a double */
  uint8_t unused[40];
  uint64_t record[8]; /* the user's */
};

/* What a stream's memory begins with: the server writes it, readers map it read-only. */
struct shmem_stream_header {
  /* The newest frame: its number * SHMEM_STREAM_SEQUENCE_UNIT + its slot. Below that unit: there is none yet. */
  uint64_t newest;
  uint8_t unused[120];
  struct shmem_stream_slot slots[SHMEM_STREAM_MAX_SLOTS];
};
#define SHMEM_STREAM_HEADER_BYTES 8320
#define SHMEM_STREAM_SEQUENCE_UNIT 256
/* Added to a frame's number while the writer looks whether anybody leases it: no new lease, and those before hold. */
#define SHMEM_STREAM_TAKING 0x8000000000000000
#define SHMEM_STREAM_RECORD_AT(slot) (SHMEM_STRIDE + (slot)*SHMEM_STRIDE + 64)

/* The words of one reader of a stream: the reader makes and writes them, the server reads them. */
struct shmem_stream_leases {
  uint64_t cursor; /* frames below this number are not wanted any more; 0: any frame may be overwritten */
  uint8_t unused[120];
  /* For each slot the number of the frame that is read in it; 0: none. */
  uint64_t leased[SHMEM_STREAM_MAX_SLOTS];
};
#define SHMEM_STREAM_LEASES_BYTES 640

/* What a ring begins with; its bytes follow. A message is its length in 64 bits, then its bytes, filled up to a multiple
 * of 8, and wraps around at the end of the ring. */
struct shmem_ring {
  uint64_t head; /* the bytes that were ever put in: its writer's */
  uint8_t unused1[120];
  uint64_t tail; /* the bytes that were ever taken out: its reader's */
  uint8_t unused2[120];
};
#define SHMEM_RING_TAIL_AT 128
#define SHMEM_RING_LEFT 1u /* set in a counter: the side that writes it has left */
#define SHMEM_RING_HEADER_BYTES 256

/* The lengths, in bytes. */
#define SHMEM_SERVER_BYTES 33792
#define SHMEM_LOCK_BYTES 32896
#define SHMEM_CLIENT_BYTES 1152

/* Where each word is, in bytes from the beginning of its mapping. */
#define SHMEM_SERVER_REVISION_AT(index) ((index)*SHMEM_STRIDE)
#define SHMEM_SERVER_GENERATION_AT(index) ((index)*SHMEM_STRIDE + 8)
#define SHMEM_SERVER_MUTEX_AT(index) ((index)*SHMEM_STRIDE + 16)
#define SHMEM_SERVER_PARKED_AT(index) (SHMEM_MAX_REGIONS * SHMEM_STRIDE + (index)*4)
#define SHMEM_LOCK_MUTEX_AT(index) ((index)*SHMEM_STRIDE)
#define SHMEM_LOCK_REVISION_AT(index) ((index)*SHMEM_STRIDE + 8)
#define SHMEM_LOCK_WAITING_AT(index) ((index)*SHMEM_STRIDE + 16)
#define SHMEM_LOCK_TURNS_AT(index) ((index)*SHMEM_STRIDE + 24)
#define SHMEM_ALL_TURNS_AT (SHMEM_MAX_REGIONS * SHMEM_STRIDE)
#define SHMEM_CLIENT_PARKED_AT(index) ((index)*4)
#define SHMEM_CLIENT_GONE_AT (SHMEM_MAX_REGIONS * 4)

#ifdef __cplusplus
#define SHMEM_STATIC_ASSERT static_assert
#else
#define SHMEM_STATIC_ASSERT _Static_assert
#endif

/* The structures and the numbers say the same, for the first, the second and the last region. */
#define SHMEM_ASSERT_AT(type, member, offset)                                                                \
  SHMEM_STATIC_ASSERT(offsetof(type, member) == (size_t)(offset), #type "." #member)
#define SHMEM_ASSERT_REGION(index)                                                                           \
  SHMEM_ASSERT_AT(struct shmem_server_words, regions[index].revision, SHMEM_SERVER_REVISION_AT(index));      \
  SHMEM_ASSERT_AT(struct shmem_server_words, regions[index].generation, SHMEM_SERVER_GENERATION_AT(index));  \
  SHMEM_ASSERT_AT(struct shmem_server_words, regions[index].mutex, SHMEM_SERVER_MUTEX_AT(index));            \
  SHMEM_ASSERT_AT(struct shmem_server_words, parked[index], SHMEM_SERVER_PARKED_AT(index));                  \
  SHMEM_ASSERT_AT(struct shmem_locks, regions[index].mutex, SHMEM_LOCK_MUTEX_AT(index));                     \
  SHMEM_ASSERT_AT(struct shmem_locks, regions[index].revision, SHMEM_LOCK_REVISION_AT(index));               \
  SHMEM_ASSERT_AT(struct shmem_locks, regions[index].waiting, SHMEM_LOCK_WAITING_AT(index));                 \
  SHMEM_ASSERT_AT(struct shmem_locks, regions[index].turns, SHMEM_LOCK_TURNS_AT(index));                     \
  SHMEM_ASSERT_AT(struct shmem_client_words, parked[index], SHMEM_CLIENT_PARKED_AT(index))

SHMEM_ASSERT_REGION(0);
SHMEM_ASSERT_REGION(1);
SHMEM_ASSERT_REGION(SHMEM_MAX_REGIONS - 1);
SHMEM_ASSERT_AT(struct shmem_client_words, gone, SHMEM_CLIENT_GONE_AT);
SHMEM_ASSERT_AT(struct shmem_locks, turns, SHMEM_ALL_TURNS_AT);
SHMEM_ASSERT_AT(struct shmem_lock, holders, SHMEM_STRIDE);
/* The words of every mutex lie to each other as those of the locks do. */
SHMEM_ASSERT_AT(struct shmem_server_region, waiting, offsetof(struct shmem_server_region, mutex) + 16);
SHMEM_ASSERT_AT(struct shmem_server_region, turns, offsetof(struct shmem_server_region, mutex) + 24);
SHMEM_ASSERT_AT(struct shmem_stream_header, slots[1], 2 * SHMEM_STRIDE);
SHMEM_ASSERT_AT(struct shmem_stream_header, slots[1].record, SHMEM_STREAM_RECORD_AT(1));
SHMEM_ASSERT_AT(struct shmem_stream_leases, leased, SHMEM_STRIDE);
SHMEM_ASSERT_AT(struct shmem_ring, tail, SHMEM_RING_TAIL_AT);

SHMEM_STATIC_ASSERT(sizeof(struct shmem_server_region) == SHMEM_STRIDE, "the server's words of a region");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_lock_region) == SHMEM_STRIDE, "the locks of a region");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_server_words) == SHMEM_SERVER_BYTES, "the server's words");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_locks) == SHMEM_LOCK_BYTES, "the locks");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_client_words) == SHMEM_CLIENT_BYTES, "a client's words");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_lock) == SHMEM_LOCK_MEMORY_BYTES, "the memory of a lock");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_tiles) == SHMEM_TILES_HEADER_BYTES, "what tiles begin with");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_stream_slot) == SHMEM_STRIDE, "a slot of a stream");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_stream_header) == SHMEM_STREAM_HEADER_BYTES, "a stream's header");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_stream_leases) == SHMEM_STREAM_LEASES_BYTES, "a reader's leases");
SHMEM_STATIC_ASSERT(sizeof(struct shmem_ring) == SHMEM_RING_HEADER_BYTES, "what a ring begins with");
SHMEM_STATIC_ASSERT(SHMEM_STREAM_MAX_SLOTS <= SHMEM_STREAM_SEQUENCE_UNIT, "a slot fits beside its number");

/* A word that lies across two cache lines is not atomic. */
SHMEM_STATIC_ASSERT(SHMEM_STRIDE % 8 == 0, "every revision and generation is aligned to 8 bytes");

#undef SHMEM_ASSERT_REGION
#undef SHMEM_ASSERT_AT
#undef SHMEM_STATIC_ASSERT

#endif
