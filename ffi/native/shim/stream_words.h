/* stream_words.h: what the two sides of a stream share: atomic access to its words. */
#ifndef XPC_SHMEM_STREAM_WORDS_H
#define XPC_SHMEM_STREAM_WORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "shmem_layout.h"

/* The words that decide who may use a slot. All are sequentially consistent: a reader stores its lease and then looks
 * at the slot, the writer empties the slot and then looks at the leases, and one of the two must see the other. */
static inline uint64_t stream_load(const uint64_t *word) {
  return atomic_load((const _Atomic uint64_t *)word);
}
static inline void stream_store(uint64_t *word, uint64_t value) {
  atomic_store((_Atomic uint64_t *)word, value);
}

/* What is told of a frame. It is stable while the frame is leased; after a revoke it may be read while it is written,
 * so each word is atomic, and the reader looks at the slot's number once more afterwards. */
static inline uint64_t stream_peek(const uint64_t *word) {
  return atomic_load_explicit((const _Atomic uint64_t *)word, memory_order_acquire);
}
static inline void stream_poke(uint64_t *word, uint64_t value) {
  atomic_store_explicit((_Atomic uint64_t *)word, value, memory_order_release);
}

/* The numbers of frames are from 1 to below this, so that each is a double. */
#define STREAM_END (UINT64_C(1) << 53)

static inline bool is_frame(uint64_t number) { return number != 0 && number < STREAM_END; }

static inline uint64_t bits_of(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}
static inline double double_of(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

#endif
