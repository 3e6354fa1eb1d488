/*
 * service.c: names: a socket and a lock file in the runtime folder (runtime_folder.c says which that is).
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

#define BACKLOG 4096
#define FIRST_ACTIVATED_FD 3 /* by the protocol of systemd's sd_listen_fds */
#define DYING_MILLISECONDS 50
#define MAX_ATTEMPTS 64

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == XPC_PATH_SPACE,
               "the space for a socket's path");

static struct sockaddr_un address_of(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  return address;
}

static int open_socket(void) { return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

static int connect_socket(int fd, const struct sockaddr_un *address) {
  int result;
  do result = connect(fd, (const struct sockaddr *)address, sizeof *address);
  while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

/* A client's socket, connected. */
static int connect_client(const struct sockaddr_un *address, int *fd) {
  int client = open_socket(), on = 1, error = 0;
  if (client < 0) return errno;
  if (setsockopt(client, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) error = errno;
  if (!error) error = connect_socket(client, address);
  if (error) xpc_close(client);
  else *fd = client;
  return error;
}

const char *xpc_advice_for(int error) {
  return error == EMFILE || error == ENFILE ? "; close some files, or raise the limit (ulimit -n)" : "";
}

int xpc_service_connect(const char *name, int *fd, char *reason, size_t size) {
  struct xpc_address files;
  int error = xpc_service_address(name, &files, reason, size);
  if (error) return error;
  struct sockaddr_un address = address_of(files.socket);
  error = connect_client(&address, fd);
  if (error == ENOENT || error == ECONNREFUSED) {
    (void)snprintf(reason, size, "nobody serves %s (%s: %s)", name, address.sun_path, strerror(error));
  } else if (error) {
    (void)snprintf(reason, size, "cannot connect to %s: %s%s", address.sun_path, strerror(error),
                   xpc_advice_for(error));
  }
  return error;
}

int xpc_service_connect_file(int file, int *fd) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  /* The file has no name, but the descriptor of it has one. */
  (void)snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", file);
  return connect_client(&address, fd);
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
    (void)snprintf(reason, size, "descriptor %d of the system is no listening SOCK_SEQPACKET socket",
                   activated);
    return EINVAL;
  }
  fcntl(activated, F_SETFD, FD_CLOEXEC); /* the system passes it without */
  int copy = fcntl(activated, F_DUPFD_CLOEXEC, 0);
  if (copy < 0 || fcntl(copy, F_SETFL, O_NONBLOCK) != 0) {
    int error = errno;
    xpc_close(copy);
    (void)snprintf(reason, size, "descriptor %d of the system cannot be used (errno %d)", activated, error);
    return error;
  }
  *fd = copy;
  return 0;
}

/* -------------------------------------------------------------------------------------- listening ---- */

static int lock_name(const char *path, int *fd) {
  int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
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

static int refuse_socket(int error, const char *path, char *reason, size_t size) {
  bool folder = error == EROFS || error == ENOSPC || error == EDQUOT || error == EACCES || error == EPERM;
  (void)snprintf(reason, size, "cannot listen at %s: %s%s", path, strerror(error),
                 folder ? XPC_FOLDER_ADVICE : xpc_advice_for(error));
  return error;
}

int xpc_service_listen(const char *name, struct xpc_service *service, int *fd, char *reason, size_t size) {
  *service = (struct xpc_service){.lock_fd = -1};
  int activated = activated_fd(name);
  if (activated >= 0) return adopt(activated, fd, reason, size);

  struct xpc_address files;
  int error = xpc_service_address(name, &files, reason, size);
  if (error) return error;
  struct sockaddr_un address = address_of(files.socket);
  error = lock_name(files.lock, &service->lock_fd);
  /* The system's, for one, listens without the lock. */
  bool taken = error == EWOULDBLOCK || (!error && is_alive(&address));
  if (taken) {
    error = EADDRINUSE;
  } else if (!error && unlink(address.sun_path) != 0 && errno != ENOENT) {
    error = errno;
  }
  if (!error) error = bind_socket(&address, fd);
  if (!error) {
    service->path = xpc_copy_string(address.sun_path);
    return 0;
  }
  if (taken)
    (void)snprintf(reason, size, "the service %s has a listener already, at %s", name, address.sun_path);
  else refuse_socket(error, address.sun_path, reason, size);
  xpc_service_close(service);
  return error;
}

int xpc_service_listen_unnamed(int *fd, int *file, char *reason, size_t size) {
  static _Atomic unsigned count;
  char folder[XPC_PATH_SPACE];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int error = xpc_runtime_folder(folder, sizeof folder, reason, size);
  if (error) return error;
  for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/.port-%d-%u", folder, (int)getpid(),
                          atomic_fetch_add(&count, 1));
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
      return xpc_refuse_folder(ENAMETOOLONG, folder, "its path is too long for a socket's address", reason,
                               size);
    }
    error = bind_socket(&address, fd);
    if (error == EADDRINUSE) continue; /* left by a process that died here, or of another PID namespace */
    if (error) break;
    /* Whoever holds a descriptor of the file may connect, other users too; the file's name is gone at once. */
    if (chmod(address.sun_path, 0666) == 0) {
      *file = open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
      if (*file < 0) error = errno;
    } else {
      error = errno;
    }
    if (unlink(address.sun_path) != 0 && !error) error = errno;
    if (!error) return 0;
    xpc_close(*fd);
    xpc_close(*file);
    *fd = *file = -1;
    break;
  }
  return refuse_socket(error, address.sun_path, reason, size);
}

void xpc_service_close(struct xpc_service *service) {
  if (service->path) unlink(service->path); /* before the lock goes: it may be somebody else's then */
  free(service->path);
  xpc_close(service->lock_fd);
  *service = (struct xpc_service){.lock_fd = -1};
}
