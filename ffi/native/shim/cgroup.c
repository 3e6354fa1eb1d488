/*
 * cgroup.c: how much memory the control group (version 2) of this process may still take.
 *
 * A group that exceeds its limit is not told so: the kernel kills one of its processes. Who is about to take
 * much memory at once asks here first.
 */
#if defined(__linux__)
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

#define ROOT "/sys/fs/cgroup"
#define PATH_SPACE 1024

/* The path of our group below ROOT, without a slash at its end; false where there is none of version 2. */
static bool find_group(char *path, size_t size) {
  char line[PATH_SPACE];
  bool found = false;
  FILE *file = fopen("/proc/self/cgroup", "re");
  if (file == NULL) return false;
  while (!found && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "0::/", 4) != 0) continue;
    line[strcspn(line, "\n")] = '\0';
    /* A group outside of our namespace is shown as "/.."; what is mounted is not it. */
    int length = strstr(line, "/..") != NULL ? -1 : snprintf(path, size, ROOT "%s", strcmp(line + 3, "/") == 0 ? "" : line + 3);
    found = length > 0 && (size_t)length < size;
    break;
  }
  (void)fclose(file);
  return found;
}

/* The number in a file of a group, or in the line of it that `key` starts; UINT64_MAX for "max", or where
 * there is none. */
static uint64_t read_number(const char *group, const char *name, const char *key) {
  char path[PATH_SPACE + 32], line[128];
  int length = snprintf(path, sizeof path, "%s/%s", group, name);
  if (length < 0 || (size_t)length >= sizeof path) return UINT64_MAX;
  FILE *file = fopen(path, "re");
  if (file == NULL) return UINT64_MAX;
  uint64_t number = UINT64_MAX;
  size_t skip = key == NULL ? 0 : strlen(key);
  while (fgets(line, sizeof line, file) != NULL) {
    if (skip > 0 && (strncmp(line, key, skip) != 0 || line[skip] != ' ')) continue;
    if (sscanf(line + skip, "%" SCNu64, &number) != 1) number = UINT64_MAX;
    break;
  }
  (void)fclose(file);
  return number;
}

/* What one group may still take. Its cached files count as free: the kernel drops them for it. */
static uint64_t available_in(const char *group) {
  uint64_t limit = read_number(group, "memory.max", NULL);
  uint64_t used = read_number(group, "memory.current", NULL);
  if (limit == UINT64_MAX || used == UINT64_MAX) return UINT64_MAX;
  static const char *const caches[] = {"active_file", "inactive_file"};
  for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
    uint64_t cache = read_number(group, "memory.stat", caches[i]);
    if (cache != UINT64_MAX) used -= cache < used ? cache : used;
  }
  return used < limit ? limit - used : 0;
}

uint64_t shim_cgroup_available(void) {
  char group[PATH_SPACE];
  uint64_t available = UINT64_MAX;
  if (!find_group(group, sizeof group)) return available;
  /* Each group above ours has a limit of its own, which holds for ours too. */
  while (strlen(group) >= strlen(ROOT)) {
    uint64_t here = available_in(group);
    if (here < available) available = here;
    *strrchr(group, '/') = '\0';
  }
  return available;
}
#endif
