/*
 * xpc/linux.h: what this libxpc has beyond Apple's, because Linux needs it.
 */
#ifndef XPC_LINUX_H
#define XPC_LINUX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Maps `length` zeroed bytes that xpc_shmem_create accepts: a memfd, sealed against shrinking and growing,
 * whose descriptor this library remembers for the address. On macOS plain
 * mmap(MAP_SHARED | MAP_ANON) does this; on Linux an address alone cannot be sent. Returns NULL and sets
 * errno when it cannot be had.
 */
__attribute__((visibility("default"))) void *xpc_linux_shmem_allocate(size_t length);

/* Unmaps such memory and forgets its descriptor; 0, or -1 and errno (EINVAL for any other address). */
__attribute__((visibility("default"))) int xpc_linux_shmem_deallocate(void *address, size_t length);

/* Forgets the descriptor of such memory and leaves it mapped: the caller unmaps it, or maps something else
 * over it; 0, or -1 and errno (EINVAL for any other address). */
__attribute__((visibility("default"))) int xpc_linux_shmem_forget(void *address, size_t length);

/* A new memfd of no length that can be sealed, and that nobody can execute; -1 and errno. */
__attribute__((visibility("default"))) int xpc_linux_memfd(const char *name);

/*
 * Whether a received descriptor is memory that may be mapped: a memfd of at least `length` bytes whose maker
 * can neither shrink it (a read would then fault) nor run out of huge pages for it. 0, or EPERM, EMSGSIZE or
 * another errno. xpc_shmem_map makes the same check, and sets errno to the same when it returns 0.
 */
__attribute__((visibility("default"))) int xpc_linux_shmem_check(int fd, uint64_t length);

#ifdef __cplusplus
}
#endif
#endif
