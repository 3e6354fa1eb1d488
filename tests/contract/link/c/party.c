/* party.c: the commands that a process takes on its standard input, and what server and client share. */
#define _GNU_SOURCE 1
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "party.h"

struct side *side;
atomic_bool ended;
atomic_int sleepers;

/* --------------------------------------------------------------------------------------------- messages ---- */

bool get_integer(xpc_object_t dictionary, const char *key, uint64_t most, uint64_t *value) {
  xpc_object_t object = xpc_dictionary_get_value(dictionary, key);
  if (object == NULL) return false;
  if (xpc_get_type(object) == XPC_TYPE_UINT64) {
    *value = xpc_uint64_get_value(object);
  } else if (xpc_get_type(object) == XPC_TYPE_INT64 && xpc_int64_get_value(object) >= 0) {
    *value = (uint64_t)xpc_int64_get_value(object);
  } else {
    return false;
  }
  return *value <= most;
}

xpc_object_t get_typed(xpc_object_t dictionary, const char *key, xpc_type_t type) {
  xpc_object_t object = xpc_dictionary_get_value(dictionary, key);
  return object != NULL && xpc_get_type(object) == type ? object : NULL;
}

xpc_object_t ask(xpc_connection_t connection, xpc_object_t request) {
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(connection, request);
  xpc_release(request);
  return xpc_get_type(reply) == XPC_TYPE_DICTIONARY ? reply : NULL;
}

const char *refusal(xpc_object_t reply) {
  xpc_object_t ok = get_typed(reply, "ok", XPC_TYPE_BOOL);
  if (ok != NULL && xpc_bool_get_value(ok)) return NULL;
  xpc_object_t code = get_typed(reply, "code", XPC_TYPE_STRING);
  return code == NULL ? "unusable" : xpc_string_get_string_ptr(code);
}

const char *broker_hello(const char *service, xpc_connection_t *broker) {
  *broker = xpc_connection_create_mach_service(service, NULL, 0);
  xpc_connection_set_event_handler(*broker, ^(xpc_object_t event) {
    (void)event; /* no test ends the broker */
  });
  xpc_connection_activate(*broker);
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "hello");
  xpc_dictionary_set_uint64(request, "min", 1);
  xpc_dictionary_set_uint64(request, "max", 1);
  xpc_object_t reply = ask(*broker, request);
  return reply == NULL ? "broker" : refusal(reply);
}

/* -------------------------------------------------------------------------------------------- doorbells ---- */

static pthread_mutex_t bell_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell_cond = PTHREAD_COND_INITIALIZER;
static uint32_t bell_users[SHMEM_MAX_REGIONS];

static void enter_locked(uint32_t index, _Atomic uint32_t *parked) {
  if (bell_users[index]++ == 0) (void)atomic_fetch_or(parked, SHMEM_PARKED_BELL);
}

static void leave_locked(uint32_t index, _Atomic uint32_t *parked) {
  if (--bell_users[index] == 0) (void)atomic_fetch_and(parked, ~(uint32_t)SHMEM_PARKED_BELL);
}

void bell_enter(uint32_t index, _Atomic uint32_t *parked) {
  pthread_mutex_lock(&bell_lock);
  enter_locked(index, parked);
  pthread_mutex_unlock(&bell_lock);
}

void bell_leave(uint32_t index, _Atomic uint32_t *parked) {
  pthread_mutex_lock(&bell_lock);
  leave_locked(index, parked);
  pthread_mutex_unlock(&bell_lock);
}

static uint64_t ring_count;

uint64_t bell_rings(void) {
  pthread_mutex_lock(&bell_lock);
  uint64_t rings = ring_count;
  pthread_mutex_unlock(&bell_lock);
  return rings;
}

bool bell_await(uint64_t rings, long milliseconds) {
  struct timespec until;
  (void)clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += milliseconds / 1000;
  until.tv_nsec += milliseconds % 1000 * 1000000;
  until.tv_sec += until.tv_nsec / 1000000000;
  until.tv_nsec %= 1000000000;
  int error = 0;
  pthread_mutex_lock(&bell_lock);
  while (ring_count == rings && error == 0) {
    if (milliseconds < 0) error = pthread_cond_wait(&bell_cond, &bell_lock);
    else error = pthread_cond_timedwait(&bell_cond, &bell_lock, &until);
  }
  pthread_mutex_unlock(&bell_lock);
  return error == 0;
}

void bell_rung(void) {
  pthread_mutex_lock(&bell_lock);
  ring_count++;
  pthread_cond_broadcast(&bell_cond);
  pthread_mutex_unlock(&bell_lock);
}

void ring(int bell) {
  (void)send(bell, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* its link tells whether it is gone */
}

bool await_rings(int bell) {
  char bytes[256];
  ssize_t length;
  do length = recv(bell, bytes, sizeof bytes, 0);
  while (length < 0 && errno == EINTR);
  return length > 0;
}

void start_thread(void *(*run)(void *), void *argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, argument) != 0 || pthread_detach(thread) != 0) abort();
}

/* --------------------------------------------------------------------------------------------- commands ---- */

static pthread_mutex_t output_lock = PTHREAD_MUTEX_INITIALIZER;

void say(const struct command *command, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  pthread_mutex_lock(&output_lock);
  printf("%s ", command->id);
  (void)vprintf(format, arguments);
  putchar('\n');
  (void)fflush(stdout);
  pthread_mutex_unlock(&output_lock);
  va_end(arguments);
}

static bool has_news(const struct region *region, uint64_t after, uint64_t *seen) {
  *seen = atomic_load(region->revision);
  return *seen != after || atomic_load(region->newest) != region->generation;
}

static const char *wait_by_bell(const struct command *command, const struct region *region, uint64_t after) {
  const char *problem = side->want_bell();
  if (problem != NULL) return problem;
  uint64_t seen;
  bool told = false;
  pthread_mutex_lock(&bell_lock);
  enter_locked(region->index, region->parked);
  while (!has_news(region, after, &seen) && !atomic_load(&ended)) {
    if (!told) say(command, "parked");
    told = true;
    pthread_cond_wait(&bell_cond, &bell_lock);
  }
  leave_locked(region->index, region->parked);
  pthread_mutex_unlock(&bell_lock);
  return NULL;
}

static void wait_by_futex(const struct command *command, const struct region *region, uint64_t after) {
  uint64_t seen;
  bool told = false;
  (void)atomic_fetch_add(region->parked, SHMEM_PARKED_THREAD);
  (void)atomic_fetch_add(&sleepers, 1);
  while (!has_news(region, after, &seen) && !atomic_load(&ended)) {
    if (!told) say(command, "parked");
    told = true;
    futex_wait(low_half(region->revision), (uint32_t)seen, -1);
  }
  (void)atomic_fetch_sub(&sleepers, 1);
  (void)atomic_fetch_sub(region->parked, SHMEM_PARKED_THREAD);
}

const char *wait_for_news(const struct command *command, const struct region *region, uint64_t after,
                          const char *how) {
  if (strcmp(how, "bell") == 0) return wait_by_bell(command, region, after);
  wait_by_futex(command, region, after);
  return NULL;
}

/* wait REGION AFTER bell|futex: the new revision and the newest generation */
static void run_wait(const struct command *command, const struct region *region) {
  uint64_t after = strtoull(command->words[2], NULL, 10), seen;
  const char *problem = wait_for_news(command, region, after, command->words[3]);
  if (problem != NULL) say(command, "error %s", problem);
  else if (!has_news(region, after, &seen)) say(command, "error gone");
  else
    say(command, "ok %llu %llu", (unsigned long long)seen, (unsigned long long)atomic_load(region->newest));
}

/* lock REGION MILLISECONDS, trylock REGION, unlock REGION, drop REGION */
static void run_mutex(const struct command *command, struct region *region) {
  static const char *const names[] = {"ok busy", "ok locked", "ok abandoned", "error timeout", "error gone"};
  const char *name = command->words[0];
  if (region->mutex == NULL) return say(command, "error read_only");
  if (strcmp(name, "unlock") == 0 || strcmp(name, "drop") == 0) {
    bool was = (*name == 'u' ? mutex_unlock : mutex_drop)(region->mutex, side->owner);
    region->held = false;
    return say(command, was ? "ok" : "error not_held");
  }
  enum lock_result result = mutex_try(region->mutex, side->owner);
  if (result == LOCK_BUSY && strcmp(name, "lock") == 0) {
    say(command, "parked");
    (void)atomic_fetch_add(&sleepers, 1);
    result = mutex_lock(region->mutex, side->owner, atol(command->words[2]), &ended);
    (void)atomic_fetch_sub(&sleepers, 1);
  }
  if (result == LOCK_TAKEN || result == LOCK_ABANDONED) region->held = true;
  say(command, "%s", names[result]);
}

static void run_commit(const struct command *command, struct region *region) {
  if (!region->writable) return say(command, "error read_only");
  if (atomic_load(&ended)) return say(command, "error gone");
  uint64_t revision = atomic_fetch_add(region->revision, 1) + 1;
  side->wake(region);
  say(command, "ok %llu", (unsigned long long)revision);
}

/* commit_range REGION OFFSET LENGTH, crash_range REGION OFFSET LENGTH */
static void run_commit_range(const struct command *command, struct region *region) {
  uint64_t offset = strtoull(command->words[2], NULL, 10), length = strtoull(command->words[3], NULL, 10);
  if (!region->writable) return say(command, "error read_only");
  if (atomic_load(&ended)) return say(command, "error gone");
  if (offset > region->bytes || length > region->bytes - offset || region->tile_bytes == 0) {
    return say(command, "error bad_request");
  }
  bool dies = command->words[0][1] == 'r';
  uint64_t revision = commit_range(region, offset, length, dies);
  if (!dies) side->wake(region);
  say(command, "ok %llu", (unsigned long long)revision);
}

/* copy REGION SINCE: the revision, the bytes, and whether it is consistent; copied REGION OFFSET: a byte of it */
static void run_copy(const struct command *command, struct region *region) {
  uint64_t number = strtoull(command->words[2], NULL, 10);
  struct copied copied;
  if (strcmp(command->words[0], "copied") == 0) {
    if (region->copy == NULL || number >= region->bytes) return say(command, "error bad_request");
    return say(command, "ok %u", (unsigned)(uint8_t)region->copy[number]);
  }
  if (!copy_changes(region, number, &copied)) return say(command, "error timeout");
  say(command, "ok %llu %llu %s", (unsigned long long)copied.revision, (unsigned long long)copied.bytes,
      copied.consistent ? "consistent" : "mixed");
}

/* write REGION OFFSET BYTE, read REGION OFFSET */
static void run_access(const struct command *command, const struct region *region) {
  uint8_t *bytes = region->memory.address;
  unsigned long at = strtoul(command->words[2], NULL, 10);
  if (at >= region->bytes) return say(command, "error bad_request");
  if (strcmp(command->words[0], "read") == 0) return say(command, "ok %u", (unsigned)bytes[at]);
  if (!region->writable) return say(command, "error read_only");
  bytes[at] = (uint8_t)atoi(command->words[3]);
  say(command, "ok");
}

static void run_on_region(const struct command *command) {
  struct region *region = command->count < 2 ? NULL : side->find(command->words[1]);
  if (region == NULL) return say(command, "error not_found");
  const char *name = command->words[0];
  if (strcmp(name, "wait") == 0) return run_wait(command, region);
  if (strcmp(name, "commit") == 0) return run_commit(command, region);
  if (strcmp(name, "commit_range") == 0 || strcmp(name, "crash_range") == 0) {
    return run_commit_range(command, region);
  }
  if (strcmp(name, "copy") == 0 || strcmp(name, "copied") == 0) return run_copy(command, region);
  if (strcmp(name, "crash_commit") == 0) {
    client_crash_commit(region);
    return say(command, "ok");
  }
  if (strcmp(name, "read") == 0 || strcmp(name, "write") == 0) return run_access(command, region);
  if (strcmp(name, "parked") == 0) return say(command, "ok %u", side->parked(region));
  if (strcmp(name, "revision") == 0) {
    return say(command, "ok %llu", (unsigned long long)atomic_load(region->revision));
  }
  run_mutex(command, region);
}

/* take LOCK read|write|- MILLISECONDS, try LOCK read|write|-, give LOCK, leave LOCK, set LOCK, reset LOCK */
static bool run_on_lock(const struct command *command) {
  static const char *const names[] = {"ok busy", "ok locked", "ok abandoned", "error timeout", "error gone"};
  char *const *words = command->words;
  struct lock *lock = command->count < 2 ? NULL : lock_find(words[1]);
  if (lock == NULL) return false;
  if (strcmp(words[0], "set") == 0 || strcmp(words[0], "reset") == 0) {
    lock_set(lock, *words[0] == 's');
    say(command, "ok");
  } else if (strcmp(words[0], "give") == 0 || strcmp(words[0], "leave") == 0) {
    say(command, lock_give(lock, side->owner, *words[0] == 'l') ? "ok" : "error not_held");
  } else {
    bool write = strcmp(words[2], "write") == 0;
    enum lock_result result = lock_try(lock, side->owner, write);
    if (result == LOCK_BUSY && strcmp(words[0], "take") == 0) {
      say(command, "parked");
      (void)atomic_fetch_add(&sleepers, 1);
      result = lock_take(lock, side->owner, write, atol(words[3]));
      (void)atomic_fetch_sub(&sleepers, 1);
    }
    say(command, "%s", names[result]);
  }
  return true;
}

static bool is_of_lock(const char *name) {
  static const char *const all[] = {"take", "try", "give", "leave", "set", "reset"};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (strcmp(all[i], name) == 0) return true;
  }
  return false;
}

/* putlock LOCK KIND LIMIT */
static const char *put_lock(char *const *words) {
  enum kind kind;
  if (!kind_of(words[1], &kind)) return "bad_request";
  return server_put_lock(words[0], kind, (uint32_t)strtoul(words[2], NULL, 10));
}

static const char *schema_of(const char *word) { return strcmp(word, "-") == 0 ? NULL : word; }

/* put REGION BYTES write|read|stream:SLOTS */
static const char *put(char *const *words) {
  return server_put(words[0], strtoull(words[1], NULL, 10), words[2]);
}

/* serve BROKER NAME SCHEMA [REGION BYTES write|read|stream:SLOTS]… */
static const char *serve(const struct command *command) {
  const char *problem = server_make(schema_of(command->words[3]));
  for (int i = 4; problem == NULL && i + 2 < command->count; i += 3) problem = put(command->words + i);
  return problem != NULL ? problem : server_register(command->words[1], command->words[2]);
}

/* request TEXT, send TEXT COUNT, taken: of the other side, or the first client */
static bool run_message(const struct command *command) {
  const char *name = command->words[0];
  char text[256];
  if (strcmp(name, "taken") == 0) {
    unsigned count = messages_taken(text, sizeof text);
    say(command, "ok %u %s", count, text);
    return true;
  }
  bool asks = strcmp(name, "request") == 0;
  if (!asks && strcmp(name, "send") != 0) return false;
  xpc_connection_t other = side == NULL ? NULL : side->other();
  const char *problem = "gone";
  if (other != NULL && asks) problem = messages_request(other, command->words[1], text, sizeof text);
  else if (other != NULL)
    problem = messages_send(other, command->words[1], (unsigned)atoi(command->words[2]));
  if (problem != NULL) say(command, "error %s", problem);
  else say(command, "ok %s", asks ? text : "");
  return true;
}

static void *run(void *argument) {
  struct command *command = argument;
  char **words = command->words;
  const char *name = words[0];
  bool known = true;
  const char *problem = NULL;
  if (strcmp(name, "serve") == 0 && command->count >= 4) problem = serve(command);
  else if (strcmp(name, "put") == 0 && command->count == 4) problem = put(words + 1);
  else if (strcmp(name, "connect") == 0 && command->count == 4) {
    problem = client_connect(words[1], words[2], schema_of(words[3]));
  } else if (strcmp(name, "open") == 0 && command->count == 3) {
    problem = client_open(words[1], strcmp(words[2], "write") == 0);
    if (problem == NULL) {
      const struct region *region = side->find(words[1]);
      say(command, "ok %llu %llu", (unsigned long long)region->generation, (unsigned long long)region->bytes);
      known = false; /* answered */
    }
  } else if (strcmp(name, "putlock") == 0 && command->count == 4) {
    problem = put_lock(words + 1);
  } else if (strcmp(name, "openlock") == 0 && command->count == 2) {
    problem = client_open_lock(words[1]);
    if (problem == NULL) {
      const struct lock *lock = lock_find(words[1]);
      say(command, "ok %s %u", kind_name(lock->kind), lock->limit);
      known = false; /* answered */
    }
  } else if (is_of_lock(name)) {
    if (!run_on_lock(command)) say(command, "error not_found");
    known = false;
  } else if (run_message(command)) {
    known = false; /* likewise */
  } else if (strcmp(name, "clients") == 0) {
    say(command, "ok %u", server_clients());
    known = false;
  } else {
    if (!run_on_streams(command) && !run_on_channels(command)) run_on_region(command);
    known = false;
  }
  if (known || problem != NULL) say(command, problem == NULL ? "ok" : "error %s", problem);
  free(command->text);
  free(command);
  return NULL;
}

/* One thread for each command, since those that wait answer last. */
static void start(const char *line) {
  struct command *command = calloc(1, sizeof *command);
  if (command == NULL || (command->text = strdup(line)) == NULL) abort();
  char *rest = NULL;
  command->id = strtok_r(command->text, " \n", &rest);
  for (char *word; command->count < 15 && (word = strtok_r(NULL, " \n", &rest)) != NULL;) {
    command->words[command->count++] = word;
  }
  /* What is missing is empty. */
  for (int i = command->count; i < 16; i++) command->words[i] = "";
  if (command->id == NULL || command->count == 0) abort();
  start_thread(run, command);
}

int main(void) {
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) start(line);
  free(line);
  if (side != NULL) side->end();
  return 0;
}
