/*
 * environment_test.c: runtime folders that cannot be used and descriptors that run out are errors that say what
 * is wrong and what to do. They end no process, and lead to no other folder in silence.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { IMPOSSIBLE = 77 }; /* an exit status: the system does not let us make what is to be tested */

/* Why the connection is invalid; the caller frees it. */
static char *reason_of(xpc_connection_t connection) {
  dispatch_semaphore_t ended = dispatch_semaphore_create(0);
  xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(ended);
  });
  xpc_connection_activate(connection);
  char *reason = await(ended) ? xpc_connection_copy_invalidation_reason(connection) : NULL;
  xpc_release(connection);
  dispatch_release(ended);
  return reason ? reason : strdup("none came");
}

static xpc_connection_t make_client(void) { return xpc_connection_create_mach_service("name", NULL, 0); }
static xpc_connection_t make_listener(void) {
  return xpc_connection_create_mach_service("name", NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
}
static xpc_connection_t make_anonymous(void) { return xpc_connection_create(NULL, NULL); }

/* "reasons": tells why a client, a service and an anonymous listener cannot be had, a line each. */
static int tell_reasons(void) {
  xpc_connection_t (*const make[])(void) = {make_client, make_listener, make_anonymous};
  for (size_t i = 0; i < sizeof make / sizeof *make; i++) {
    char *reason = reason_of(make[i]());
    fprintf(stderr, "%s\n", reason);
    free(reason);
  }
  return 0;
}

/* "mounted" OPTIONS: the same with a file system of its own as the runtime folder. */
static int tell_mounted(const char *options) {
  unsigned long flags = strstr(options, "ro") ? MS_RDONLY : 0;
  char data[64];
  snprintf(data, sizeof data, "mode=0700,size=64k%s", flags ? "" : ",nr_inodes=1");
  if (unshare(CLONE_NEWNS) != 0) return IMPOSSIBLE;
  if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return IMPOSSIBLE;
  if (mount("none", getenv("XDG_RUNTIME_DIR"), "tmpfs", flags, data) != 0) return IMPOSSIBLE;
  return tell_reasons();
}

/* "poor" COUNT: so many descriptors are left when the library is first used. Prints what fails; all works
 * once there are more. */
static int run_poor(int left) {
  struct rlimit before, tight;
  if (getrlimit(RLIMIT_NOFILE, &before) != 0) return 1;
  int next = dup(STDOUT_FILENO);
  close(next);
  tight = (struct rlimit){.rlim_cur = (rlim_t)(next + left), .rlim_max = before.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &tight) != 0) return 2;
  char *client = reason_of(make_client());
  if (!strstr(client, "ulimit -n") && !strstr(client, "nobody serves")) return 3;
  if (left == 0 && !strstr(client, "ulimit -n")) return 4;
  free(client);
  if (left == 0) {
    char *listener = reason_of(make_listener()), *anonymous = reason_of(make_anonymous());
    if (!strstr(listener, "ulimit -n") || !strstr(anonymous, "ulimit -n")) return 5;
    free(listener);
    free(anonymous);
  }
  if (setrlimit(RLIMIT_NOFILE, &before) != 0) return 6;
  return run_server("poor", dup(STDOUT_FILENO)); /* connects to itself, says so, and stays */
}

int run_role(const char *role, char **arguments) {
  if (strcmp(role, "reasons") == 0) return tell_reasons();
  if (strcmp(role, "mounted") == 0) return tell_mounted(arguments[0]);
  if (strcmp(role, "poor") == 0) return run_poor(atoi(arguments[0]));
  return -1;
}

/* What the role says, or "" where it is impossible. */
static void listen_to(const char *role, const char *argument, char *text, size_t size) {
  int errors;
  pid_t pid = spawn_role(role, (const char *[]){argument, NULL}, &errors);
  size_t length = 0;
  for (ssize_t got; (got = read(errors, text + length, size - 1 - length)) > 0;) length += (size_t)got;
  text[length] = 0;
  close(errors);
  int status = wait_exit(pid);
  if (WIFEXITED(status) && WEXITSTATUS(status) == IMPOSSIBLE) text[0] = 0;
  else if (!CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0)) printf("# %s\n", text);
}

/* All three say what is wrong with which folder, and what to do. */
static void expect(const char *text, const char *path, const char *why) {
  int lines = 0;
  char copy[4096];
  snprintf(copy, sizeof copy, "%s", text);
  for (char *line = strtok(copy, "\n"); line; line = strtok(NULL, "\n"), lines++) {
    bool told = strstr(line, "cannot use the runtime folder") && strstr(line, path) && strstr(line, why) &&
                strstr(line, "set XDG_RUNTIME_DIR to a folder of your own");
    if (!CHECK(told)) printf("# %s, %s: %s\n", path, why, line);
  }
  CHECK(lines == 3);
}

static void bad_folders(void) {
  char old[256], path[256], link[300], text[4096], target[300];
  snprintf(old, sizeof old, "%s", getenv("XDG_RUNTIME_DIR"));
  snprintf(path, sizeof path, "%.200s/runtime", old);
  snprintf(link, sizeof link, "%.200s/link", old);
  snprintf(target, sizeof target, "%.200s/xpc-shmem", path);
  REQUIRE(mkdir(path, 0700) == 0 && symlink(path, link) == 0);

  setenv("XDG_RUNTIME_DIR", "relative", 1);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, "relative", "not an absolute path");
  setenv("XDG_RUNTIME_DIR", "/nowhere/at/all", 1);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, "/nowhere/at/all", "No such file");
  setenv("XDG_RUNTIME_DIR", link, 1);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, link, "symbolic link");
  CHECK(access(target, F_OK) != 0); /* nothing was made behind it, nor elsewhere */

  setenv("XDG_RUNTIME_DIR", path, 1);
  CHECK(chmod(path, 0750) == 0);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, path, "others can enter it");
  CHECK(chmod(path, 0700) == 0);
  CHECK(symlink("/tmp", target) == 0);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, target, "symbolic link");
  CHECK(unlink(target) == 0);
  int file = open(target, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(close(file) == 0);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, target, "not a folder");
  CHECK(unlink(target) == 0);
  if (geteuid() == 0) {
    CHECK(chown(path, 65534, 65534) == 0);
    listen_to("reasons", NULL, text, sizeof text);
    expect(text, path, "another user");
    CHECK(chown(path, 0, 0) == 0);
  }
  listen_to("mounted", "ro", text, sizeof text);
  if (text[0]) expect(text, target, "Read-only file system");
  listen_to("mounted", "full", text, sizeof text);
  if (text[0]) expect(text, target, "No space left");
  else printf("# read-only and full folders are not tested: no mount namespace can be had\n");

  char deep[512];
  int length = snprintf(deep, sizeof deep, "%s/", path);
  memset(deep + length, 'd', 120);
  deep[length + 120] = 0;
  CHECK(mkdir(deep, 0700) == 0);
  setenv("XDG_RUNTIME_DIR", deep, 1);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, deep, "too long");
  setenv("XDG_RUNTIME_DIR", old, 1);
}

/* Without a runtime folder of the system's the home directory serves, and nothing that others could take. */
static void home(void) {
  char old[256], old_home[256], path[300], text[4096], user[64];
  snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
  if (access(user, F_OK) == 0) {
    printf("# the home directory is not tested: %s is there\n", user);
    return;
  }
  snprintf(old, sizeof old, "%s", getenv("XDG_RUNTIME_DIR"));
  snprintf(old_home, sizeof old_home, "%s", getenv("HOME") ? getenv("HOME") : "/");
  snprintf(path, sizeof path, "%.200s/home", old);
  REQUIRE(mkdir(path, 0755) == 0);
  unsetenv("XDG_RUNTIME_DIR");
  setenv("HOME", path, 1);
  pid_t server = start_server("at home");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("at home", errors);
  xpc_object_t reply = ask(client, "ping");
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_int64(reply, "pid") == server);
  xpc_release(reply);
  end_connection(client, errors);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
  char socket[400];
  snprintf(socket, sizeof socket, "%s/.xpc-shmem", path);
  struct stat status;
  CHECK(stat(socket, &status) == 0 && (status.st_mode & 0777) == 0700);
  CHECK(chmod(path, 0777) == 0);
  listen_to("reasons", NULL, text, sizeof text);
  expect(text, path, "others can write to it");
  unsetenv("HOME");
  listen_to("reasons", NULL, text, sizeof text);
  CHECK(strstr(text, "neither XDG_RUNTIME_DIR nor HOME is set"));
  setenv("HOME", old_home, 1);
  setenv("XDG_RUNTIME_DIR", old, 1);
}

static void few_descriptors(void) {
  for (int left = 0; left < 8; left++) {
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    char number[8];
    snprintf(number, sizeof number, "%d", left);
    fflush(stdout);
    int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    REQUIRE(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
    pid_t pid = spawn_role("poor", (const char *[]){number, NULL}, NULL);
    REQUIRE(dup2(saved, STDOUT_FILENO) == STDOUT_FILENO);
    close(saved);
    close(ends[1]);
    char byte = 0;
    bool serves = read(ends[0], &byte, 1) == 1 && byte == '!';
    if (serves) kill(pid, SIGKILL);
    int status = wait_exit(pid);
    if (!CHECK(serves)) printf("# with %d descriptors left: status %#x\n", left, (unsigned)status);
    close(ends[0]);
  }
}

const struct test tests[] = {
  {"environment: a runtime folder that cannot be used is an error that says why", bad_folders},
  {"environment: without a runtime folder there is the home directory", home},
  {"environment: without descriptors there is an error, and with some all works", few_descriptors},
  {NULL, NULL},
};
