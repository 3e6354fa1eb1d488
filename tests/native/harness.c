#define _GNU_SOURCE 1
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int failures;
xpc_object_t _Atomic last_error;

bool check_failed(const char *file, int line, const char *text) {
  atomic_fetch_add(&failures, 1);
  printf("# %s:%d: %s\n", file, line, text);
  return false;
}

pid_t spawn_role(const char *role, const char *const *arguments, int *errors) {
  int ends[2] = {-1, -1};
  if (errors && pipe2(ends, O_CLOEXEC) != 0) abort();
  const char *vector[16] = {"/proc/self/exe", "--role", role};
  for (size_t i = 0; arguments && arguments[i] && i < 12; i++) vector[3 + i] = arguments[i];
  fflush(stdout);
  pid_t pid = fork();
  if (pid < 0) abort();
  if (pid == 0) {
    if (errors) dup2(ends[1], STDERR_FILENO);
    execv(vector[0], (char **)(uintptr_t)vector);
    _exit(127);
  }
  if (errors) {
    close(ends[1]);
    *errors = ends[0];
  }
  return pid;
}

int wait_exit(pid_t pid) {
  int status = -1;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

pid_t start_server(const char *name) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  fcntl(ends[0], F_SETFD, FD_CLOEXEC);
  char number[16];
  snprintf(number, sizeof number, "%d", ends[1]);
  pid_t pid = spawn_role("server", (const char *[]){name, number, NULL}, NULL);
  close(ends[1]);
  char byte;
  if (read(ends[0], &byte, 1) != 1) check_failed(__FILE__, __LINE__, "the server did not start");
  close(ends[0]);
  return pid;
}

bool await(dispatch_semaphore_t semaphore) {
  dispatch_time_t limit = dispatch_time(DISPATCH_TIME_NOW, 20 * (int64_t)NSEC_PER_SEC);
  return dispatch_semaphore_wait(semaphore, limit) == 0;
}

xpc_connection_t connect_to(const char *name, dispatch_semaphore_t errors) {
  xpc_connection_t connection = xpc_connection_create_mach_service(name, NULL, 0);
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    if (xpc_get_type(event) != XPC_TYPE_ERROR) return;
    last_error = event;
    dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(connection);
  return connection;
}

void end_connection(xpc_connection_t connection, dispatch_semaphore_t errors) {
  xpc_connection_cancel(connection);
  CHECK(await(errors));
  xpc_release(connection);
}

xpc_object_t make_request(const char *op) {
  xpc_object_t request = xpc_dictionary_create_empty();
  xpc_dictionary_set_string(request, "op", op);
  return request;
}

xpc_object_t ask(xpc_connection_t connection, const char *op) {
  xpc_object_t request = make_request(op);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
  xpc_release(request);
  return reply;
}

static size_t count_entries(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) return 0;
  size_t count = 0;
  while (readdir(directory)) count++;
  closedir(directory);
  return count - 2;
}

size_t count_fds(void) { return count_entries("/proc/self/fd") - 1; }
size_t count_threads(void) { return count_entries("/proc/self/task"); }

size_t count_mappings(void) {
  FILE *file = fopen("/proc/self/maps", "re");
  size_t count = 0;
  for (int c; file && (c = getc(file)) != EOF;) count += c == '\n';
  if (file) fclose(file);
  return count;
}

size_t resident_kilobytes(void) {
  FILE *file = fopen("/proc/self/statm", "re");
  size_t total = 0, resident = 0;
  if (!file || fscanf(file, "%zu %zu", &total, &resident) != 2) resident = 0;
  if (file) fclose(file);
  return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void remove_tree(const char *path) {
  DIR *directory = opendir(path);
  if (!directory) {
    unlink(path);
    return;
  }
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char child[512];
    snprintf(child, sizeof child, "%.200s/%.255s", path, entry->d_name);
    if (entry->d_type == DT_DIR) remove_tree(child);
    else unlink(child);
  }
  closedir(directory);
  rmdir(path);
}

int main(int count, char **arguments) {
  alarm(300); /* a hang is a failure */
  if (count >= 3 && strcmp(arguments[1], "--role") == 0) {
    if (strcmp(arguments[2], "server") == 0) return run_server(arguments[3], atoi(arguments[4]));
    return run_role(arguments[2], arguments + 3);
  }
  char runtime[] = "/tmp/xpc-test-XXXXXX";
  if (!mkdtemp(runtime)) return 1;
  setenv("XDG_RUNTIME_DIR", runtime, 1);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int failed = 0;
  for (const struct test *test = tests; test->name; test++) {
    if (count >= 2 && strcmp(arguments[1], test->name) != 0) continue;
    int before = atomic_load(&failures);
    test->run();
    bool passed = atomic_load(&failures) == before;
    printf("%s %s\n", passed ? "ok" : "not ok", test->name);
    if (!passed) failed++;
  }
  remove_tree(runtime);
  return failed ? 1 : 0;
}
