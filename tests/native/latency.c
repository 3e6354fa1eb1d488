/*
 * latency.c [ROUNDS]: how long a request and its reply take between two processes, one at a time: no test, a
 * measure. Compile it like a test, or link it with the shared library:
 *
 *   zig cc -O2 -fblocks -Iffi/native/linux/include tests/native/latency.c .build/x86_64-linux/libxpc_shmem.so \
 *     .build/x86_64-linux/libxpc_blocks.a -Wl,-rpath,$PWD/.build/x86_64-linux -o /tmp/latency && /tmp/latency
 */
#define _GNU_SOURCE 1
#include <dispatch/dispatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xpc/xpc.h>

static double now(void) {
  struct timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) abort();
  return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b) {
  double first = *(const double *)a, second = *(const double *)b;
  return first < second ? -1 : first > second;
}

static void report(const char *what, double *times, int count, double total) {
  qsort(times, (size_t)count, sizeof *times, compare);
  printf("%-44s median %6.1f us   99%% %6.1f us   %8.0f/s\n", what, times[count / 2], times[count * 99 / 100],
         count / total * 1e6);
}

static int serve(const char *name) {
  xpc_connection_t listener =
    xpc_connection_create_mach_service(name, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) exit(1);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) != XPC_TYPE_DICTIONARY) return;
      xpc_object_t reply = xpc_dictionary_create_reply(event);
      if (!reply) return;
      xpc_dictionary_set_int64(reply, "number", xpc_dictionary_get_int64(event, "number"));
      xpc_connection_send_message((xpc_connection_t)peer, reply);
      xpc_release(reply);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  dispatch_main();
}

/* What the system itself needs: a socket pair and two processes that only read and write. */
static void plain_socket(double *times, int rounds) {
  int ends[2];
  char bytes[64] = {0};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) != 0) abort();
  pid_t child = fork();
  if (child == 0) {
    while (recv(ends[1], bytes, sizeof bytes, 0) > 0) (void)send(ends[1], bytes, sizeof bytes, 0);
    _exit(0);
  }
  double start = now();
  for (int i = 0; i < rounds; i++) {
    double before = now();
    if (send(ends[0], bytes, sizeof bytes, 0) < 0 || recv(ends[0], bytes, sizeof bytes, 0) < 0) abort();
    times[i] = now() - before;
  }
  report("plain socket", times, rounds, now() - start);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[1], "serve") == 0) return serve(arguments[2]);
  int rounds = count > 1 ? atoi(arguments[1]) : 20000;
  double *times = calloc((size_t)rounds, sizeof *times);
  if (!times || rounds < 1) return 2;
  plain_socket(times, rounds);
  char name[64];
  snprintf(name, sizeof name, "test.latency.%d", (int)getpid());
  pid_t server = fork();
  if (server == 0) {
    execl("/proc/self/exe", "latency", "serve", name, (char *)NULL);
    _exit(127);
  }
  usleep(300000);

  dispatch_semaphore_t answered = dispatch_semaphore_create(0);
  dispatch_queue_t queue = dispatch_queue_create("target", DISPATCH_QUEUE_SERIAL);
  for (int with_target = 0; with_target < 2; with_target++) {
    xpc_connection_t connection = xpc_connection_create_mach_service(name, with_target ? queue : NULL, 0);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) { (void)event; });
    xpc_connection_activate(connection);
    xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
    for (int how = 0; how < 3; how++) {
      double start = now();
      for (int i = 0; i < rounds; i++) {
        if (how == 2 && i % 10 == 0) usleep(1000); /* the other side has gone to sleep */
        double before = now();
        xpc_dictionary_set_int64(message, "number", i);
        if (how == 1) {
          xpc_connection_send_message_with_reply(connection, message, NULL, ^(xpc_object_t reply) {
            if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) abort();
            dispatch_semaphore_signal(answered);
          });
          dispatch_semaphore_wait(answered, DISPATCH_TIME_FOREVER);
        } else {
          xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, message);
          if (xpc_get_type(reply) != XPC_TYPE_DICTIONARY) abort();
          xpc_release(reply);
        }
        times[i] = now() - before;
      }
      static const char *const names[2][3] = {
        {"synchronous", "block, and a semaphore", "synchronous, paced"},
        {"target queue: synchronous", "target queue: block, and a semaphore",
         "target queue: synchronous, paced"},
      };
      report(names[with_target][how], times, rounds, now() - start);
    }
    xpc_release(message);
    xpc_connection_cancel(connection);
    xpc_release(connection);
  }
  dispatch_release(queue);
  dispatch_release(answered);
  free(times);
  kill(server, SIGKILL);
  waitpid(server, NULL, 0);
  return 0;
}
