/*
 * dispatch_object.c: what queues, semaphores and sources have in common: references and a context.
 */
#define _GNU_SOURCE 1
#include "internal.h"

void dispatch_retain(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return;
  if (atomic_fetch_add_explicit(&header->references, 1, memory_order_relaxed) <= 0) {
    xpc_misuse("dispatch_retain: the object was released already");
  }
}

void dispatch_release(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (atomic_load_explicit(&header->references, memory_order_relaxed) == XPC_IMMORTAL) return;
  int32_t before = atomic_fetch_sub_explicit(&header->references, 1, memory_order_acq_rel);
  if (before <= 0) xpc_misuse("dispatch_release: over-release");
  if (before == 1) header->kind->unreferenced(header);
}

/* Atomic, because an event handler of a source may read the context while its owner sets another. */
void dispatch_set_context(dispatch_object_t object, void *context) {
  atomic_store(&object._do->context, context);
}

void *dispatch_get_context(dispatch_object_t object) { return atomic_load(&object._do->context); }

void dispatch_activate(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (header->kind->activate) (void)header->kind->activate(header); /* of no effect on an active object */
}

void dispatch_resume(dispatch_object_t object) {
  struct dispatch_object_s *header = object._do;
  if (header->kind->activate && header->kind->activate(header)) return;
  xpc_misuse("dispatch_resume: %s is not suspended", header->kind->name);
}
