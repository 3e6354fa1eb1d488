/*
 * dispatch_test.c: queues, semaphores, and blocks by both of our runtimes.
 */
#define _GNU_SOURCE 1
#include <Block.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "internal.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  dispatch_async(dispatch_get_main_queue(), ^{ _exit(syscall(SYS_gettid) == getpid() ? 7 : 1); });
  dispatch_main();
}

static void serial(void) {
  dispatch_queue_t queue = dispatch_queue_create("a label", DISPATCH_QUEUE_SERIAL);
  CHECK(strcmp(dispatch_queue_get_label(queue), "a label") == 0);
  __block int next = 0;
  for (int i = 0; i < 10000; i++) {
    dispatch_async(queue, ^{
      CHECK(next == i);
      next++;
    });
  }
  dispatch_sync(queue, ^{ CHECK(next == 10000); });
  dispatch_release(queue);
}

static void targets(void) {
  dispatch_queue_t target = dispatch_queue_create("target", NULL);
  dispatch_queue_t queues[4];
  __block int unguarded = 0;
  for (int i = 0; i < 4; i++) queues[i] = dispatch_queue_create_with_target("one", NULL, target);
  for (int i = 0; i < 4000; i++) {
    dispatch_async(queues[i % 4], ^{ unguarded++; });
  }
  for (int i = 0; i < 4; i++) {
    dispatch_sync(queues[i], ^{});
    dispatch_release(queues[i]);
  }
  dispatch_sync(target, ^{ CHECK(unguarded == 4000); });
  dispatch_release(target);
}

static void pool_grows(void) {
  enum { COUNT = 40 };
  dispatch_semaphore_t blocked = dispatch_semaphore_create(0), go = dispatch_semaphore_create(0);
  for (int i = 0; i < COUNT; i++) {
    dispatch_async(dispatch_get_global_queue(DISPATCH_QUEUE_PRIORITY_DEFAULT, 0), ^{
      dispatch_semaphore_signal(blocked);
      CHECK(await(go));
      dispatch_semaphore_signal(blocked);
    });
  }
  for (int i = 0; i < COUNT; i++) CHECK(await(blocked));
  for (int i = 0; i < COUNT; i++) dispatch_semaphore_signal(go);
  for (int i = 0; i < COUNT; i++) CHECK(await(blocked));
  dispatch_release(blocked);
  dispatch_release(go);
}

static void *check_signals(void *unused) {
  (void)unused;
  sigset_t blocked;
  pthread_sigmask(SIG_SETMASK, NULL, &blocked);
  CHECK(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGINT) && sigismember(&blocked, SIGUSR1));
  return NULL;
}

static void signals(void) {
  sigset_t mine;
  pthread_sigmask(SIG_SETMASK, NULL, &mine);
  CHECK(!sigismember(&mine, SIGTERM));
  dispatch_queue_t queue = dispatch_queue_create(NULL, NULL);
  dispatch_sync(queue, ^{ check_signals(NULL); });
  dispatch_release(queue);
}

static void semaphores(void) {
  dispatch_semaphore_t semaphore = dispatch_semaphore_create(1);
  CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_FOREVER) == 0);
  CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) != 0);
  dispatch_time_t start = dispatch_time(DISPATCH_TIME_NOW, 0);
  CHECK(dispatch_semaphore_wait(semaphore, dispatch_time(start, 20 * (int64_t)NSEC_PER_MSEC)) != 0);
  CHECK(dispatch_time(DISPATCH_TIME_NOW, 0) >= start + 20 * NSEC_PER_MSEC);
  CHECK(dispatch_semaphore_signal(semaphore) == 0);
  CHECK(dispatch_semaphore_wait(semaphore, DISPATCH_TIME_NOW) == 0);
  CHECK(dispatch_time(DISPATCH_TIME_FOREVER, -1) == DISPATCH_TIME_FOREVER);
  CHECK(dispatch_time(DISPATCH_TIME_NOW, INT64_MAX) == DISPATCH_TIME_FOREVER);
  CHECK(dispatch_semaphore_create(-1) == NULL);
  dispatch_release(semaphore);
}

/* A block that captures a block, a __block variable and a value; copied and released by both runtimes. */
static void blocks(void) {
  __block int changed = 0;
  int value = 5;
  int (^inner)(void) = ^{ return value; };
  int (^outer)(void) = ^{
    changed += inner();
    return changed;
  };
  int (^ours)(void) = (int (^)(void))xpc_block_copy((const void *)outer);
  int (^theirs)(void) = Block_copy(outer);
  CHECK(ours() == 5 && theirs() == 10 && outer() == 15 && changed == 15);
  int (^again)(void) = Block_copy(ours);
  CHECK(again == ours);
  xpc_block_release((const void *)ours);
  CHECK(again() == 20 && changed == 20);
  xpc_block_release((const void *)again); /* mixed: the count is the block's */
  int (^more)(void) = (int (^)(void))xpc_block_copy((const void *)theirs);
  CHECK(more == theirs);
  Block_release(more);
  Block_release(theirs);
  CHECK(changed == 20);
  void (^global)(void) = ^{};
  CHECK((void *)global == xpc_block_copy((const void *)global));
  Block_release(global);
  CHECK(xpc_block_copy(NULL) == NULL);
}

static void main_queue(void) {
  int status = wait_exit(spawn_role("main", NULL, NULL));
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* A child that forked without exec ends like any other. */
static void fork_and_exit(void) {
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("nobody", errors);
  CHECK(await(errors));
  pid_t child = fork();
  if (child == 0) {
    alarm(10);
    if (ADDRESS_SANITIZED || THREAD_SANITIZED) _exit(3); /* their own exit does not work in such a child */
    fclose(stdout);
    exit(3);
  }
  int status = wait_exit(child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  xpc_release(client);
  dispatch_release(errors);
}

const struct test tests[] = {
  {"dispatch: a serial queue runs in order", serial},
  {"dispatch: queues with one target exclude each other", targets},
  {"dispatch: the pool grows while its threads are blocked", pool_grows},
  {"dispatch: signals are blocked in the library's threads", signals},
  {"dispatch: semaphores count and time out", semaphores},
  {"dispatch: blocks are copied alike by both runtimes", blocks},
  {"dispatch: the main queue runs in dispatch_main", main_queue},
  {"dispatch: a forked child exits", fork_and_exit},
  {NULL, NULL},
};
