/*
 * runtime_folder.c: where the sockets of services are.
 *
 * The runtime folder is:
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
#define _GNU_SOURCE 1
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

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

int xpc_refuse_folder(int error, const char *path, const char *why, char *reason, size_t size) {
  (void)snprintf(reason, size, "cannot use the runtime folder %s: %s" XPC_FOLDER_ADVICE, path, why);
  return error;
}

/* The folder's path; 0, or an errno and why. */
int xpc_runtime_folder(char *path, size_t space, char *reason, size_t size) {
  const char *base = getenv("XDG_RUNTIME_DIR"), *name = "xpc-shmem", *fault;
  char user[64];
  struct stat status;
  (void)snprintf(user, sizeof user, "/run/user/%u", (unsigned)geteuid());
  if (!base || !base[0]) base = lstat(user, &status) == 0 ? user : NULL;
  if (base) {
    fault = find_fault(base, false, 077);
  } else {
    base = getenv("HOME");
    name = ".xpc-shmem";
    if (!base || !base[0]) {
      (void)snprintf(
        reason, size,
        "cannot find a runtime folder: neither XDG_RUNTIME_DIR nor HOME is set" XPC_FOLDER_ADVICE);
      return ENOENT;
    }
    fault = find_fault(base, true, 022);
  }
  if (fault) return xpc_refuse_folder(EPERM, base, fault, reason, size);
  int length = snprintf(path, space, "%s/%s", base, name);
  if (length < 0 || (size_t)length >= space) {
    return xpc_refuse_folder(ENAMETOOLONG, base, "its path is too long for a socket's address", reason, size);
  }
  if (mkdir(path, 0700) != 0 && errno != EEXIST) {
    int error = errno;
    return xpc_refuse_folder(error, path, strerror(error), reason, size);
  }
  fault = find_fault(path, false, 077);
  return fault ? xpc_refuse_folder(EPERM, path, fault, reason, size) : 0;
}

/* The name as a file's: as it is, or, where it is too long or has other characters, with a hash. */
static int file_path(const char *directory, const char *name, char *path) {
  char plain[XPC_PATH_SPACE];
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
  if (!changed && directory_length + length + suffix <= XPC_PATH_SPACE) {
    (void)snprintf(path, XPC_PATH_SPACE, "%s/%s", directory, plain);
    return 0;
  }
  suffix += 17; /* "-" and the hash */
  if (directory_length + suffix > XPC_PATH_SPACE) return ENAMETOOLONG;
  size_t room = XPC_PATH_SPACE - directory_length - suffix;
  if (length > room) plain[room] = 0;
  (void)snprintf(path, XPC_PATH_SPACE, "%s/%s-%016llx", directory, plain, (unsigned long long)hash);
  return 0;
}

int xpc_service_address(const char *name, struct xpc_address *address, char *reason, size_t size) {
  char folder[XPC_PATH_SPACE], path[XPC_PATH_SPACE];
  int error = xpc_runtime_folder(folder, sizeof folder, reason, size);
  if (error) return error;
  error = file_path(folder, name, path);
  if (error)
    return xpc_refuse_folder(error, folder, "its path is too long for a socket's address", reason, size);
  (void)snprintf(address->socket, sizeof address->socket, "%s.sock", path);
  (void)snprintf(address->lock, sizeof address->lock, "%s.lock", path);
  return 0;
}
