/*
 * ring.c: a queue of messages in shared memory, for one writer and one reader.
 *
 * Two counters, each written by one side, say how many bytes were ever put in and taken out. The writer raises `head`
 * after the whole message is there, so a writer that dies in the middle leaves nothing. Each side keeps its own counter
 * for itself and believes the other's only within what the ring can hold: the memory is writable by both. Counters are
 * multiples of 8, so the lowest bit is free to say that the side that writes the counter has left.
 *
 * A waiter parks first and looks at the counter second, a sender the reverse, as with revisions: the counters take the
 * place of a revision for those who wait.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "shmem_layout.h"

/* In front of each message. */
#define LENGTH_BYTES 8u

struct shim_ring {
  struct shmem_ring *words;
  unsigned char *bytes;
  uint64_t capacity;
  uint64_t own;   /* what this side has counted: as the writer `head`, as the reader `tail` */
  uint64_t other; /* what was last seen of the other side: it only grows */
  shim_audience *audience;
  uint32_t index;
};

shim_ring *shim_ring_create(void *memory, uint32_t capacity, shim_audience *audience, uint32_t index) {
  if (!memory || (uintptr_t)memory % 8 != 0 || !audience) return NULL;
  if (capacity < 16 || capacity % 8 != 0 || capacity > INT32_MAX) return NULL;
  shim_ring *ring = calloc(1, sizeof *ring);
  if (!ring) return NULL;
  ring->words = memory;
  ring->bytes = (unsigned char *)memory + SHMEM_RING_HEADER_BYTES;
  ring->capacity = capacity;
  ring->audience = audience;
  ring->index = index;
  return ring;
}

void shim_ring_free(shim_ring *ring) { free(ring); }

static uint64_t padded(uint64_t length) { return LENGTH_BYTES + ((length + 7) & ~UINT64_C(7)); }

/* Copies into the ring at a counter, around its end. */
static void copy_in(const shim_ring *ring, uint64_t at, const void *from, uint64_t length) {
  uint64_t begin = at % ring->capacity;
  uint64_t first = ring->capacity - begin < length ? ring->capacity - begin : length;
  memcpy(ring->bytes + begin, from, first);
  if (first < length) memcpy(ring->bytes, (const unsigned char *)from + first, length - first);
}

static void copy_out(const shim_ring *ring, uint64_t at, void *to, uint64_t length) {
  uint64_t begin = at % ring->capacity;
  uint64_t first = ring->capacity - begin < length ? ring->capacity - begin : length;
  memcpy(to, ring->bytes + begin, first);
  if (first < length) memcpy((unsigned char *)to + first, ring->bytes, length - first);
}

/* The length in front of the message at a counter. It is aligned and in one piece. Atomic only so that it is read
 * once, whatever the other side does meanwhile: the order comes from the counters. */
static _Atomic uint64_t *length_at(const shim_ring *ring, uint64_t at) {
  return (_Atomic uint64_t *)(void *)(ring->bytes + at % ring->capacity);
}

/* How many bytes lie between the reader and the writer; false: the other side's counter cannot be. */
static bool distance(uint64_t head, uint64_t tail, uint64_t capacity, uint64_t *bytes) {
  *bytes = head - tail;
  return *bytes <= capacity && *bytes % 8 == 0;
}

/* Looks at the other side's counter; true: that side has left. */
static bool look(shim_ring *ring, const uint64_t *word) {
  uint64_t seen = atomic_load((const _Atomic uint64_t *)word);
  ring->other = seen & ~(uint64_t)SHMEM_RING_LEFT;
  return (seen & SHMEM_RING_LEFT) != 0;
}

/* Says how far this side is, and wakes whoever waits for that. */
static void tell(const shim_ring *ring, uint64_t *word, uint64_t value) {
  atomic_store((_Atomic uint64_t *)word, value);
  shim_revision_wake(ring->audience, word, ring->index);
}

int32_t shim_ring_send(shim_ring *ring, const void *bytes, uint32_t length) {
  if (length > ring->capacity / 2) return SHIM_RING_LARGE;
  uint64_t need = padded(length);
  uint64_t used;
  if (!distance(ring->own, ring->other, ring->capacity, &used) || ring->capacity - used < need) {
    if (look(ring, &ring->words->tail)) return SHIM_RING_ENDED;
    if (!distance(ring->own, ring->other, ring->capacity, &used)) return SHIM_RING_BROKEN;
    if (ring->capacity - used < need) return SHIM_RING_FULL;
  }
  atomic_store_explicit(length_at(ring, ring->own), length, memory_order_relaxed);
  if (length > 0) copy_in(ring, ring->own + LENGTH_BYTES, bytes, length);
  ring->own += need;
  tell(ring, &ring->words->head, ring->own);
  return 0;
}

int32_t shim_ring_next(shim_ring *ring) {
  uint64_t used = 0;
  if (ring->other == ring->own) {
    bool left = look(ring, &ring->words->head);
    if (ring->other == ring->own) return left ? SHIM_RING_ENDED : SHIM_RING_EMPTY;
  }
  if (!distance(ring->other, ring->own, ring->capacity, &used) || used < LENGTH_BYTES)
    return SHIM_RING_BROKEN;
  uint64_t length = atomic_load_explicit(length_at(ring, ring->own), memory_order_relaxed);
  if (length > ring->capacity / 2 || padded(length) > used) return SHIM_RING_BROKEN;
  return (int32_t)length;
}

int32_t shim_ring_receive(shim_ring *ring, void *bytes, uint32_t capacity) {
  int32_t length = shim_ring_next(ring);
  if (length < 0) return length;
  if ((uint32_t)length > capacity) return SHIM_RING_LARGE;
  if (length > 0) copy_out(ring, ring->own + LENGTH_BYTES, bytes, (uint64_t)length);
  ring->own += padded((uint64_t)length);
  tell(ring, &ring->words->tail, ring->own);
  return length;
}

int32_t shim_ring_rest(shim_ring *ring, void *bytes, uint32_t capacity) {
  if (!bytes) (void)look(ring, &ring->words->head); /* what comes after that is not of the rest */
  uint64_t used;
  if (!distance(ring->other, ring->own, ring->capacity, &used)) return SHIM_RING_BROKEN;
  if (!bytes) return (int32_t)used;
  if (used > capacity) return SHIM_RING_LARGE;
  if (used > 0) copy_out(ring, ring->own, bytes, used);
  return (int32_t)used;
}

void shim_ring_leave(shim_ring *ring, bool writes) {
  tell(ring, writes ? &ring->words->head : &ring->words->tail, ring->own | SHMEM_RING_LEFT);
}
