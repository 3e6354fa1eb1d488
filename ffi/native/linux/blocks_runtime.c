/*
 * blocks_runtime.c: a blocks runtime for programs that have none: compile it into the program (it exports
 * nothing). Programs with Swift's or compiler-rt's leave it out, or define XPC_NO_BLOCKS_RUNTIME.
 */
typedef int blocks_runtime_translation_unit; /* never empty */

#ifndef XPC_NO_BLOCKS_RUNTIME
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define RUNTIME __attribute__((visibility("hidden")))

enum {
  DEALLOCATING = 0x0001,
  REFCOUNT_MASK = 0xfffe,
  NEEDS_FREE = 1 << 24,
  HAS_COPY_DISPOSE = 1 << 25,
  IS_GLOBAL = 1 << 28,

  FIELD_IS_OBJECT = 3,
  FIELD_IS_BLOCK = 7,
  FIELD_IS_BYREF = 8,
  FIELD_IS_WEAK = 16,
  BYREF_CALLER = 128,
};

struct descriptor {
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
  struct descriptor *descriptor;
};

/* A __block variable: moves to the heap with the first block that captures it and is copied. */
struct byref {
  void *isa;
  struct byref *_Atomic forwarding;
  _Atomic int32_t flags;
  uint32_t size;
  void (*keep)(struct byref *destination, struct byref *source);
  void (*destroy)(struct byref *byref);
};

RUNTIME void *_NSConcreteStackBlock[32];
RUNTIME void *_NSConcreteMallocBlock[32];
RUNTIME void *_NSConcreteGlobalBlock[32];
RUNTIME void *_NSConcreteAutoBlock[32];
RUNTIME void *_NSConcreteFinalizingBlock[32];
RUNTIME void *_NSConcreteWeakBlockVariable[32];

RUNTIME void *_Block_copy(const void *block);
RUNTIME void _Block_release(const void *block);
RUNTIME void _Block_object_assign(void *destination, const void *object, const int flags);
RUNTIME void _Block_object_dispose(const void *object, const int flags);

static void retain(_Atomic int32_t *flags) {
  int32_t value = atomic_load_explicit(flags, memory_order_relaxed);
  do {
    if ((value & REFCOUNT_MASK) == REFCOUNT_MASK) return; /* so many that it is never freed */
  } while (!atomic_compare_exchange_weak(flags, &value, value + 2));
}

/* Whether that was the last reference. */
static bool release(_Atomic int32_t *flags) {
  int32_t value = atomic_load_explicit(flags, memory_order_relaxed), next;
  bool last;
  do {
    if ((value & REFCOUNT_MASK) == REFCOUNT_MASK || (value & REFCOUNT_MASK) == 0) return false;
    last = (value & (REFCOUNT_MASK | DEALLOCATING)) == 2;
    next = last ? value - 1 : value - 2;
  } while (!atomic_compare_exchange_weak(flags, &value, next));
  return last;
}

void *_Block_copy(const void *source) {
  if (!source) return NULL;
  struct block *block = (struct block *)(uintptr_t)source;
  int32_t flags = atomic_load_explicit(&block->flags, memory_order_relaxed);
  if (flags & IS_GLOBAL) return block;
  if (flags & NEEDS_FREE) {
    retain(&block->flags);
    return block;
  }
  struct block *copy = malloc(block->descriptor->size);
  if (!copy) return NULL;
  memcpy((void *)copy, source, block->descriptor->size);
  flags &= ~(REFCOUNT_MASK | DEALLOCATING);
  atomic_store_explicit(&copy->flags, flags | NEEDS_FREE | 2, memory_order_relaxed);
  copy->isa = _NSConcreteMallocBlock;
  if (flags & HAS_COPY_DISPOSE) block->descriptor->copy(copy, block);
  return copy;
}

void _Block_release(const void *source) {
  if (!source) return;
  struct block *block = (struct block *)(uintptr_t)source;
  int32_t flags = atomic_load_explicit(&block->flags, memory_order_relaxed);
  if ((flags & IS_GLOBAL) || !(flags & NEEDS_FREE)) return;
  if (!release(&block->flags)) return;
  if (flags & HAS_COPY_DISPOSE) block->descriptor->dispose(block);
  free(block);
}

static struct byref *byref_copy(struct byref *source) {
  struct byref *current = atomic_load(&source->forwarding);
  int32_t flags = atomic_load(&current->flags);
  if (flags & NEEDS_FREE) { /* on the heap already */
    retain(&current->flags);
    return current;
  }
  struct byref *copy = malloc(source->size);
  if (!copy) abort(); /* the caller has no way to fail */
  memcpy((void *)copy, (void *)source, source->size);
  /* Two references: the block's, and the stack frame's, which the compiler releases at its end. */
  atomic_store(&copy->flags, (flags & ~(REFCOUNT_MASK | DEALLOCATING)) | NEEDS_FREE | 4);
  atomic_store(&copy->forwarding, copy);
  if (flags & HAS_COPY_DISPOSE) source->keep(copy, source);
  atomic_store(&source->forwarding, copy);
  return copy;
}

static void byref_release(struct byref *byref) {
  byref = atomic_load(&byref->forwarding);
  int32_t flags = atomic_load(&byref->flags);
  if (!(flags & NEEDS_FREE)) return; /* never left the stack */
  if (!release(&byref->flags)) return;
  if (flags & HAS_COPY_DISPOSE) byref->destroy(byref);
  free(byref);
}

void _Block_object_assign(void *destination, const void *object, const int flags) {
  const void *value = object;
  switch (flags & ~(FIELD_IS_WEAK | BYREF_CALLER)) {
    case FIELD_IS_BLOCK:
      if (!(flags & BYREF_CALLER)) value = _Block_copy(object); /* a __block block is not retained */
      break;
    case FIELD_IS_BYREF: value = byref_copy((struct byref *)(uintptr_t)object); break;
    default: break; /* objects are for Objective-C, which is not here */
  }
  memcpy(destination, &value, sizeof value);
}

void _Block_object_dispose(const void *object, const int flags) {
  switch (flags & ~(FIELD_IS_WEAK | BYREF_CALLER)) {
    case FIELD_IS_BLOCK:
      if (!(flags & BYREF_CALLER)) _Block_release(object);
      break;
    case FIELD_IS_BYREF: byref_release((struct byref *)(uintptr_t)object); break;
    default: break;
  }
}
#endif
