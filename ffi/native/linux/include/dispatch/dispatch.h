/*
 * dispatch/dispatch.h: the part of libdispatch that programs written for XPC need: serial queues, the
 * global queue, semaphores, relative times.
 *
 * With XPC_PRIVATE_DISPATCH defined every function gets a name of its own, so that this library can live
 * in one process with a complete libdispatch (Swift's). Its queues are not interchangeable with those.
 */
#ifndef __DISPATCH_PUBLIC__
#define __DISPATCH_PUBLIC__

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <xpc/base.h>

#ifdef XPC_PRIVATE_DISPATCH
#define dispatch_retain xpc_private_dispatch_retain
#define dispatch_release xpc_private_dispatch_release
#define dispatch_queue_create xpc_private_dispatch_queue_create
#define dispatch_queue_create_with_target xpc_private_dispatch_queue_create_with_target
#define dispatch_queue_get_label xpc_private_dispatch_queue_get_label
#define dispatch_get_global_queue xpc_private_dispatch_get_global_queue
#define dispatch_async xpc_private_dispatch_async
#define dispatch_async_f xpc_private_dispatch_async_f
#define dispatch_sync xpc_private_dispatch_sync
#define dispatch_sync_f xpc_private_dispatch_sync_f
#define dispatch_main xpc_private_dispatch_main
#define dispatch_semaphore_create xpc_private_dispatch_semaphore_create
#define dispatch_semaphore_wait xpc_private_dispatch_semaphore_wait
#define dispatch_semaphore_signal xpc_private_dispatch_semaphore_signal
#define dispatch_time xpc_private_dispatch_time
#define _dispatch_main_q xpc_private_dispatch_main_q
#endif

XPC_BEGIN_DECLS
XPC_ASSUME_NONNULL_BEGIN

typedef struct dispatch_queue_s *dispatch_queue_t;
typedef dispatch_queue_t dispatch_queue_global_t;
typedef dispatch_queue_t dispatch_queue_serial_t;
typedef dispatch_queue_t dispatch_queue_main_t;
typedef struct dispatch_queue_attr_s *dispatch_queue_attr_t;
typedef struct dispatch_semaphore_s *dispatch_semaphore_t;

#ifdef __cplusplus
typedef void *dispatch_object_t;
#else
typedef union {
  struct dispatch_object_s *_do;
  struct dispatch_queue_s *_dq;
  struct dispatch_semaphore_s *_dsema;
} dispatch_object_t __attribute__((__transparent_union__));
#endif

typedef void (*dispatch_function_t)(void *_Nullable);
#ifdef __BLOCKS__
typedef void (^dispatch_block_t)(void);
#endif

/* ---------------------------------------------------------------------------------------- objects ---- */

/* Retains or releases a queue or a semaphore. A queue with work left lives until the work is done. */
XPC_EXPORT void dispatch_retain(dispatch_object_t object);
XPC_EXPORT void dispatch_release(dispatch_object_t object);

/* ----------------------------------------------------------------------------------------- queues ---- */

#define DISPATCH_QUEUE_SERIAL NULL
#define DISPATCH_TARGET_QUEUE_DEFAULT NULL

#define DISPATCH_QUEUE_PRIORITY_HIGH 2
#define DISPATCH_QUEUE_PRIORITY_DEFAULT 0
#define DISPATCH_QUEUE_PRIORITY_LOW (-2)
#define DISPATCH_QUEUE_PRIORITY_BACKGROUND INT16_MIN

/* Makes a serial queue: its blocks run one after the other, in order. The label is copied. `attr` must be
 * DISPATCH_QUEUE_SERIAL; anything else aborts. */
XPC_EXPORT dispatch_queue_t dispatch_queue_create(const char *_Nullable label,
                                                  dispatch_queue_attr_t _Nullable attr);

/* The same, running its blocks on `target` (retained): queues with one serial target exclude each other. */
XPC_EXPORT dispatch_queue_t dispatch_queue_create_with_target(const char *_Nullable label,
                                                              dispatch_queue_attr_t _Nullable attr,
                                                              dispatch_queue_t _Nullable target);

/* The label given at creation, or "". It lives as long as the queue. `queue` must not be NULL here. */
XPC_EXPORT const char *dispatch_queue_get_label(dispatch_queue_t _Nullable queue);

/* The queue that runs blocks concurrently. There is one, whatever the priority. Never released. */
XPC_EXPORT dispatch_queue_global_t dispatch_get_global_queue(intptr_t identifier, uintptr_t flags);

/* The main queue: runs only while the program sits in dispatch_main(). */
XPC_EXPORT struct dispatch_queue_s _dispatch_main_q;
static inline dispatch_queue_main_t dispatch_get_main_queue(void) { return &_dispatch_main_q; }

/* Runs the main queue's blocks; never returns. */
XPC_EXPORT void dispatch_main(void) __attribute__((__noreturn__));

/* Runs `work(context)` on the queue later. */
XPC_EXPORT void dispatch_async_f(dispatch_queue_t queue, void *_Nullable context, dispatch_function_t work);

/* Runs `work(context)` on the queue and waits for it. Deadlocks on the queue that is already running. */
XPC_EXPORT void dispatch_sync_f(dispatch_queue_t queue, void *_Nullable context, dispatch_function_t work);

#ifdef __BLOCKS__
/* The same with blocks; dispatch_async copies the block and releases it after it ran. */
XPC_EXPORT void dispatch_async(dispatch_queue_t queue, dispatch_block_t block);
XPC_EXPORT void dispatch_sync(dispatch_queue_t queue, XPC_NOESCAPE dispatch_block_t block);
#endif

/* ------------------------------------------------------------------------------------------- time ---- */

#ifndef NSEC_PER_SEC
#define NSEC_PER_SEC 1000000000ull
#endif
#ifndef NSEC_PER_MSEC
#define NSEC_PER_MSEC 1000000ull
#endif
#ifndef NSEC_PER_USEC
#define NSEC_PER_USEC 1000ull
#endif
#ifndef USEC_PER_SEC
#define USEC_PER_SEC 1000000ull
#endif
#ifndef MSEC_PER_SEC
#define MSEC_PER_SEC 1000ull
#endif

typedef uint64_t dispatch_time_t;
#define DISPATCH_TIME_NOW (0ull)
#define DISPATCH_TIME_FOREVER (~0ull)

/* `when` (a time of this function, or DISPATCH_TIME_NOW) plus `delta` nanoseconds of the monotonic clock. */
XPC_EXPORT dispatch_time_t dispatch_time(dispatch_time_t when, int64_t delta);

/* ------------------------------------------------------------------------------------- semaphores ---- */

/* A counting semaphore; NULL for a negative value. */
XPC_EXPORT dispatch_semaphore_t dispatch_semaphore_create(intptr_t value);

/* Takes one, waiting until `timeout`. 0, or nonzero when the time was over first. */
XPC_EXPORT intptr_t dispatch_semaphore_wait(dispatch_semaphore_t dsema, dispatch_time_t timeout);

/* Gives one. Nonzero when somebody waited for it. */
XPC_EXPORT intptr_t dispatch_semaphore_signal(dispatch_semaphore_t dsema);

XPC_ASSUME_NONNULL_END
XPC_END_DECLS
#endif
