/*
 * service.c: names: a socket and a lock file in a private directory of the user's.
 *
 * Whoever holds the lock owns the name; the socket's file says only where. The lock file is never removed:
 * two processes could then hold locks on two files of one name.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "internal.h"

#define PATH_SPACE sizeof(((struct sockaddr_un *)0)->sun_path)
#define BACKLOG 4096
#define FIRST_ACTIVATED_FD 3 /* by the protocol of systemd's sd_listen_fds */
#define DYING_MILLISECONDS 50

static bool is_private_directory(const char *path) {
  struct stat status; /* lstat: a link could be changed under us */
  return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
         (status.st_mode & 077) == 0;
}

static int private_directory(char *path, size_t size, char *reason, size_t reason_size) {
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  char user[64];
  snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
  const char *base = NULL;
  if (runtime && runtime[0] == '/' && is_private_directory(runtime)) base = runtime;
  else if (is_private_directory(user)) base = user;
  int length = base ? snprintf(path, size, "%s/xpc-shmem", base)
                    : snprintf(path, size, "/tmp/xpc-shmem-%u", (unsigned)geteuid());
  if (length < 0 || (size_t)length >= size) {
    snprintf(reason, reason_size, "the runtime directory's path is too long");
    return ENAMETOOLONG;
  }
  if (mkdir(path, 0700) != 0 && errno != EEXIST) {
    int error = errno;
    snprintf(reason, reason_size, "%s cannot be made (errno %d)", path, error);
    return error;
  }
  if (is_private_directory(path)) return 0;
  snprintf(reason, reason_size, "%s is not a directory that only this user can enter", path);
  return EPERM;
}

/* The name as a file's: as it is, or, where it is too long or has other characters, with a hash. */
static int file_path(const char *directory, const char *name, char *path) {
  char plain[PATH_SPACE];
  uint64_t hash = UINT64_C(0xcbf29ce484222325);
  size_t length = 0;
  bool changed = name[0] == '.' || name[0] == 0;
  for (const char *c = name; *c; c++) {
    hash = (hash ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
    bool allowed = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                   *c == '.' || *c == '-' || *c == '_';
    if (!allowed || length == sizeof plain - 1) changed = true;
    if (length < sizeof plain - 1) plain[length++] = allowed ? *c : '_';
  }
  plain[length] = 0;
  if (plain[0] == '.') plain[0] = '_';
  size_t directory_length = strlen(directory), suffix = sizeof "/.sock"; /* with the NUL */
  if (!changed && directory_length + length + suffix <= PATH_SPACE) {
    snprintf(path, PATH_SPACE, "%s/%s", directory, plain);
    return 0;
  }
  suffix += 17; /* "-" and the hash */
  if (directory_length + suffix > PATH_SPACE) return ENAMETOOLONG;
  size_t room = PATH_SPACE - directory_length - suffix;
  if (length > room) plain[room] = 0;
  snprintf(path, PATH_SPACE, "%s/%s-%016llx", directory, plain, (unsigned long long)hash);
  return 0;
}

static int locate(const char *name, char *path, char *reason, size_t size) {
  char directory[PATH_SPACE];
  int error = private_directory(directory, sizeof directory, reason, size);
  if (error) return error;
  error = file_path(directory, name, path);
  if (error) snprintf(reason, size, "the runtime directory's path is too long");
  return error;
}

static int address_of(const char *path, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  int length = snprintf(address->sun_path, sizeof address->sun_path, "%s.sock", path);
  return length > 0 && (size_t)length < sizeof address->sun_path ? 0 : ENAMETOOLONG;
}

static int open_socket(void) { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

static int connect_socket(int fd, const struct sockaddr_un *address) {
  int result;
  do result = connect(fd, (const struct sockaddr *)address, sizeof *address);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

int xpc_service_connect(const char *name, int *fd, char *reason, size_t size) {
  char path[PATH_SPACE];
  struct sockaddr_un address;
  int error = locate(name, path, reason, size);
  if (!error) error = address_of(path, &address);
  if (error) return error;
  int client = open_socket();
  if (client < 0) error = errno;
  int on = 1;
  if (!error && setsockopt(client, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) error = errno;
  if (!error) error = connect_socket(client, &address);
  if (error) {
    xpc_close(client);
    snprintf(reason, size, "no service %s at %s (errno %d)", name, address.sun_path, error);
    return error;
  }
  *fd = client;
  return 0;
}

/* Whether somebody listens at the address, who may be just dying: then it hangs up at once. */
static bool is_alive(const struct sockaddr_un *address) {
  int fd = open_socket();
  if (fd < 0) return false;
  int error = connect_socket(fd, address);
  bool alive = error == 0 || error == EAGAIN;
  if (error == 0) {
    struct pollfd poller = {.fd = fd, .events = POLLRDHUP};
    alive = poll(&poller, 1, DYING_MILLISECONDS) <= 0;
  }
  xpc_close(fd);
  return alive;
}

/* ------------------------------------------------------------------------------ socket activation ---- */

static bool is_listening_seqpacket(int fd) {
  int listening = 0, type = 0;
  socklen_t size = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening) return false;
  size = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* The number of the descriptor that the system opened for the name, or -1. */
static int activated_fd(const char *name) {
  const char *pid = getenv("LISTEN_PID"), *count_text = getenv("LISTEN_FDS");
  const char *names = getenv("LISTEN_FDNAMES");
  if (!pid || !count_text || strtol(pid, NULL, 10) != (long)getpid()) return -1;
  long count = strtol(count_text, NULL, 10);
  if (count <= 0 || count > 1024) return -1;
  for (long i = 0; names && i < count; i++) {
    size_t length = strcspn(names, ":");
    if (length == strlen(name) && strncmp(names, name, length) == 0) return FIRST_ACTIVATED_FD + (int)i;
    names += length;
    if (*names == ':') names++;
  }
  return count == 1 ? FIRST_ACTIVATED_FD : -1;
}

static int adopt(int activated, int *fd, char *reason, size_t size) {
  if (!is_listening_seqpacket(activated)) {
    snprintf(reason, size, "descriptor %d of the system is no listening SOCK_SEQPACKET socket", activated);
    return EINVAL;
  }
  fcntl(activated, F_SETFD, FD_CLOEXEC); /* the system passes it without */
  int copy = fcntl(activated, F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || fcntl(copy, F_SETFL, O_NONBLOCK) != 0) {
    int error = errno;
    xpc_close(copy);
    snprintf(reason, size, "descriptor %d of the system cannot be used (errno %d)", activated, error);
    return error;
  }
  *fd = copy;
  return 0;
}

/* -------------------------------------------------------------------------------------- listening ---- */

static int lock_name(const char *path, int *fd) {
  char lock[PATH_SPACE + 8];
  snprintf(lock, sizeof lock, "%s.lock", path);
  int file = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return errno;
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    int error = errno;
    xpc_close(file);
    return error;
  }
  *fd = file;
  return 0;
}

static int bind_socket(const struct sockaddr_un *address, int *fd) {
  int server = open_socket();
  if (server < 0) return errno;
  if (bind(server, (const struct sockaddr *)address, sizeof *address) == 0) {
    if (listen(server, BACKLOG) == 0) {
      *fd = server;
      return 0;
    }
    int error = errno;
    unlink(address->sun_path);
    xpc_close(server);
    return error;
  }
  int error = errno;
  xpc_close(server);
  return error;
}

int xpc_service_listen(const char *name, struct xpc_service *service, int *fd, char *reason, size_t size) {
  *service = (struct xpc_service){.lock_fd = -1};
  int activated = activated_fd(name);
  if (activated >= 0) return adopt(activated, fd, reason, size);

  char path[PATH_SPACE];
  struct sockaddr_un address;
  int error = locate(name, path, reason, size);
  if (!error) error = address_of(path, &address);
  if (error) return error;
  error = lock_name(path, &service->lock_fd);
  if (error) {
    if (error == EWOULDBLOCK) snprintf(reason, size, "the service %s has a listener already", name);
    else snprintf(reason, size, "%s.lock cannot be locked (errno %d)", path, error);
    return error;
  }
  if (is_alive(&address)) {
    error = EADDRINUSE; /* the system's, for one, listens without the lock */
  } else if (unlink(address.sun_path) != 0 && errno != ENOENT) {
    error = errno;
  } else {
    error = bind_socket(&address, fd);
  }
  if (error) {
    snprintf(reason, size, "cannot listen at %s (errno %d)", address.sun_path, error);
    xpc_service_close(service);
    return error;
  }
  service->path = xpc_copy_string(address.sun_path);
  return 0;
}

void xpc_service_close(struct xpc_service *service) {
  if (service->path) unlink(service->path); /* before the lock goes: it may be somebody else's then */
  free(service->path);
  xpc_close(service->lock_fd);
  *service = (struct xpc_service){.lock_fd = -1};
}
