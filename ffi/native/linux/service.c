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
#define MAX_ATTEMPTS 64

/*
 * The runtime folder, where the sockets are:
 *
 * 1. XDG_RUNTIME_DIR/xpc-shmem, where XDG_RUNTIME_DIR is set and not empty;
 * 2. else /run/user/UID/xpc-shmem, where /run/user/UID exists;
 * 3. else HOME/.xpc-shmem.
 *
 * The folder that 1 or 2 names must be absolute, a folder and not a symbolic link, this user's, and closed to
 * all others (mode 0700). HOME must be this user's, and writable by nobody else. What we make in there is mode
 * 0700 and held to the first rule. Whatever breaks a rule is an error that names the folder. It does not lead
 * to the next folder: another process of the user would look in the first, and would not find who listens in
 * the second. No folder is in /tmp, for there others can make it first.
 */
#define ADVICE "; set XDG_RUNTIME_DIR to a folder of your own with mode 0700"

/* Why `path` cannot be trusted, or NULL. `shut` is the part of the mode that others must not have. */
static const char *find_fault(const char *path, bool follow, mode_t shut) {
  struct stat status;
  if (path[0] != '/') return "it is not an absolute path";
  if ((follow ? stat(path, &status) : lstat(path, &status)) != 0) return strerror(errno);
  if (S_ISLNK(status.st_mode)) return "it is a symbolic link, which others may change";
  if (!S_ISDIR(status.st_mode)) return "it is not a folder";
  if (status.st_uid != geteuid()) return "it belongs to another user";
  if (status.st_mode & shut) return shut & 044 ? "others can enter it" : "others can write to it";
  return NULL;
}

static int refuse_folder(int error, const char *path, const char *why, char *reason, size_t size) {
  snprintf(reason, size, "cannot use the runtime folder %s: %s" ADVICE, path, why);
  return error;
}

/* The folder's path; 0, or an errno and why. */
static int runtime_folder(char *path, size_t space, char *reason, size_t size) {
  const char *base = getenv("XDG_RUNTIME_DIR"), *name = "xpc-shmem", *fault;
  char user[64];
  struct stat status;
  snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
  if (!base || !base[0]) base = lstat(user, &status) == 0 ? user : NULL;
  if (base) {
    fault = find_fault(base, false, 077);
  } else {
    base = getenv("HOME");
    name = ".xpc-shmem";
    if (!base || !base[0]) {
      snprintf(reason, size, "cannot find a runtime folder: neither XDG_RUNTIME_DIR nor HOME is set" ADVICE);
      return ENOENT;
    }
    fault = find_fault(base, true, 022);
  }
  if (fault) return refuse_folder(EPERM, base, fault, reason, size);
  int length = snprintf(path, space, "%s/%s", base, name);
  if (length < 0 || (size_t)length >= space) {
    return refuse_folder(ENAMETOOLONG, base, "its path is too long for a socket's address", reason, size);
  }
  if (mkdir(path, 0700) != 0 && errno != EEXIST) {
    int error = errno;
    return refuse_folder(error, path, strerror(error), reason, size);
  }
  fault = find_fault(path, false, 077);
  return fault ? refuse_folder(EPERM, path, fault, reason, size) : 0;
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
  char folder[PATH_SPACE];
  int error = runtime_folder(folder, sizeof folder, reason, size);
  if (error) return error;
  error = file_path(folder, name, path);
  if (!error) return 0;
  return refuse_folder(error, folder, "its path is too long for a socket's address", reason, size);
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

/* What a user can do about an error that is not about the folder. */
static const char *advice_for(int error) {
  return error == EMFILE || error == ENFILE ? "; close some files, or raise the limit (ulimit -n)" : "";
}

int xpc_service_connect(const char *name, int *fd, char *reason, size_t size) {
  char path[PATH_SPACE];
  struct sockaddr_un address;
  int error = locate(name, path, reason, size);
  if (!error) error = address_of(path, &address);
  if (error) return error;
  error = connect_client(&address, fd);
  if (error == ENOENT || error == ECONNREFUSED) {
    snprintf(reason, size, "nobody serves %s (%s: %s)", name, address.sun_path, strerror(error));
  } else if (error) {
    snprintf(reason, size, "cannot connect to %s: %s%s", address.sun_path, strerror(error), advice_for(error));
  }
  return error;
}

int xpc_service_connect_file(int file, int *fd) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  /* The file has no name, but the descriptor of it has one. */
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", file);
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

static int refuse_socket(int error, const char *path, char *reason, size_t size) {
  bool folder = error == EROFS || error == ENOSPC || error == EDQUOT || error == EACCES || error == EPERM;
  snprintf(reason, size, "cannot listen at %s: %s%s", path, strerror(error), folder ? ADVICE : advice_for(error));
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
  if (taken) snprintf(reason, size, "the service %s has a listener already, at %s", name, address.sun_path);
  else refuse_socket(error, address.sun_path, reason, size);
  xpc_service_close(service);
  return error;
}

int xpc_service_listen_unnamed(int *fd, int *file, char *reason, size_t size) {
  static _Atomic unsigned count;
  char folder[PATH_SPACE];
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int error = runtime_folder(folder, sizeof folder, reason, size);
  if (error) return error;
  for (int attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s/.port-%d-%u", folder, (int)getpid(),
                          atomic_fetch_add(&count, 1));
    if (length < 0 || (size_t)length >= sizeof address.sun_path) {
      return refuse_folder(ENAMETOOLONG, folder, "its path is too long for a socket's address", reason, size);
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
