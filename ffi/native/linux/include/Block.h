/*
 * Block.h: copying and releasing blocks (closures). The four functions come from whichever blocks runtime
 * the program links: Swift's, compiler-rt's, or blocks_runtime.c beside this header.
 */
#ifndef _Block_H_
#define _Block_H_

#ifdef __cplusplus
extern "C" {
#endif

/* Moves a block to the heap, or retains it if it is there already; NULL when there is no memory. */
extern void *_Block_copy(const void *block);

/* Balances one _Block_copy. */
extern void _Block_release(const void *block);

/* Called by the copy and dispose helpers that the compiler writes, never by hand. */
extern void _Block_object_assign(void *destination, const void *object, const int flags);
extern void _Block_object_dispose(const void *object, const int flags);

extern void *_NSConcreteGlobalBlock[32];
extern void *_NSConcreteStackBlock[32];

#ifdef __cplusplus
}
#endif

#define Block_copy(...) ((__typeof(__VA_ARGS__))_Block_copy((const void *)(__VA_ARGS__)))
#define Block_release(...) _Block_release((const void *)(__VA_ARGS__))

#endif
