/*
 * harness.h: what the native tests share: checks, child processes, resource counts, and a service to talk
 * to. A program lists its tests in `tests` and its roles as a child in `run_role`; the harness has main().
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include <xpc/xpc.h>

struct test {
  const char *name;
  void (*run)(void);
};

extern const struct test tests[]; /* ends with a NULL name */

/* Runs in a child that was started with spawn_role; returns its exit code. -1: no such role. */
int run_role(const char *role, char **arguments);

/* Notes a failure of the running test and returns false. */
bool check_failed(const char *file, int line, const char *text);
#define CHECK(condition) ((condition) ? true : check_failed(__FILE__, __LINE__, #condition))
#define REQUIRE(condition)                                                                                   \
  do {                                                                                                       \
    if (!CHECK(condition)) return;                                                                           \
  } while (0)

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED 1
#else
#define ADDRESS_SANITIZED 0
#endif
#if defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#else
#define THREAD_SANITIZED 0
#endif

/* Starts this program again in `role`; arguments end with NULL. Descriptors that are not close-on-exec go
 * along. With `errors`, *errors reads its standard error. */
pid_t spawn_role(const char *role, const char *const *arguments, int *errors);
int wait_exit(pid_t pid); /* as of waitpid */

/* The program in `server.c`, as a child, ready to be connected to. */
pid_t start_server(const char *name);
int run_server(const char *name, int ready);

/* Waits on a semaphore for 20 seconds; false when nothing came. */
bool await(dispatch_semaphore_t semaphore);

/* A client of `name`, activated. `errors` (not retained) is signalled for each error; see last_error. */
xpc_connection_t connect_to(const char *name, dispatch_semaphore_t errors);
extern xpc_object_t _Atomic last_error;
void end_connection(xpc_connection_t connection, dispatch_semaphore_t errors); /* cancels, waits, releases */

xpc_object_t make_request(const char *op);
/* Sends {op} and releases nothing but its own; the reply is the caller's. */
xpc_object_t ask(xpc_connection_t connection, const char *op);

size_t count_fds(void);
size_t count_threads(void);
size_t count_mappings(void);
size_t resident_kilobytes(void);

#endif
