/*
 * blocks.c: copying and releasing blocks by their ABI.
 *
 * This library keeps blocks that other compilers' code made, in processes whose blocks runtime may be any:
 * it must neither bring one (the names would clash) nor depend on one. The layout and the reference count
 * in the flags are the same for all of them, so blocks copied here and there can be mixed.
 */
#define _GNU_SOURCE 1
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum {
  BLOCK_DEALLOCATING = 0x0001,
  BLOCK_REFCOUNT_MASK = 0xfffe, /* in steps of two */
  BLOCK_NEEDS_FREE = 1 << 24,
  BLOCK_HAS_COPY_DISPOSE = 1 << 25,
  BLOCK_IS_GLOBAL = 1 << 28,
};

struct block_descriptor {
  uintptr_t reserved;
  uintptr_t size;
  void (*copy)(void *destination, const void *source);
  void (*dispose)(const void *block);
};

struct block {
  void *isa;
  _Atomic int32_t flags;
  int32_t reserved;
  void (*invoke)(void);
  struct block_descriptor *descriptor;
};

void *xpc_block_copy(const void *source) {
  if (!source) return NULL;
  struct block *block = (struct block *)(uintptr_t)source;
  int32_t flags = atomic_load_explicit(&block->flags, memory_order_relaxed);
  if (flags & BLOCK_IS_GLOBAL) return block;
  if (flags & BLOCK_NEEDS_FREE) {
    do {
      if ((flags & BLOCK_REFCOUNT_MASK) == BLOCK_REFCOUNT_MASK) return block; /* never freed */
    } while (!atomic_compare_exchange_weak(&block->flags, &flags, flags + 2));
    return block;
  }
  size_t size = block->descriptor->size;
  struct block *copy = xpc_allocate(size);
  memcpy((void *)copy, source, size);
  flags &= ~(BLOCK_REFCOUNT_MASK | BLOCK_DEALLOCATING);
  atomic_store_explicit(&copy->flags, flags | BLOCK_NEEDS_FREE | 2, memory_order_relaxed);
  if (flags & BLOCK_HAS_COPY_DISPOSE) block->descriptor->copy(copy, block);
  return copy;
}

void xpc_block_release(const void *source) {
  if (!source) return;
  struct block *block = (struct block *)(uintptr_t)source;
  int32_t flags = atomic_load_explicit(&block->flags, memory_order_relaxed), next;
  if ((flags & BLOCK_IS_GLOBAL) || !(flags & BLOCK_NEEDS_FREE)) return;
  bool last;
  do {
    if ((flags & BLOCK_REFCOUNT_MASK) == BLOCK_REFCOUNT_MASK) return;
    if ((flags & BLOCK_REFCOUNT_MASK) == 0) return;
    last = (flags & (BLOCK_REFCOUNT_MASK | BLOCK_DEALLOCATING)) == 2;
    next = last ? flags - 1 : flags - 2; /* the last one becomes "deallocating" */
  } while (!atomic_compare_exchange_weak(&block->flags, &flags, next));
  if (!last) return;
  if (flags & BLOCK_HAS_COPY_DISPOSE) block->descriptor->dispose(block);
  free(block);
}
