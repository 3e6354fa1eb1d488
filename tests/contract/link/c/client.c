/* client.c: a client of a link: hello, open, the client's words, and the end of the server. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "party.h"

static xpc_connection_t link_connection;
static struct mapping words_mapping, server_mapping, locks_mapping;
static struct shmem_client_words *words;
static const struct shmem_server_words *server;
static struct shmem_locks *locks;
static dispatch_semaphore_t finished;

static struct region regions[SHMEM_MAX_REGIONS];
static uint32_t region_count;
static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic int server_bell = -1;
static int own_bell[2] = {-1, -1};
static pthread_mutex_t own_bell_lock = PTHREAD_MUTEX_INITIALIZER;

static _Atomic uint32_t *atomic32(uint32_t *word) { return (_Atomic uint32_t *)word; }

/* ------------------------------------------------------------------------------- what the server says ---- */

/* The note may come before the reply to hello, so it needs nothing that hello brings. */
static void take_bell(xpc_object_t note) {
  const char *event = xpc_dictionary_get_string(note, "event");
  xpc_object_t bell = get_typed(note, "bell", XPC_TYPE_FD);
  if (event == NULL || strcmp(event, "bell") != 0 || bell == NULL || server_bell >= 0) return;
  int fd = xpc_fd_dup(bell);
  if (fd < 0) return;
  server_bell = fd;
  ring(fd); /* for what was committed without it */
}

static void *wake_own_sleepers(void *argument) {
  (void)argument;
  /* One that is about to sleep misses a wake: so again, until all have left. */
  while (atomic_load(&sleepers) > 0) {
    pthread_mutex_lock(&regions_lock);
    for (uint32_t i = 0; i < region_count; i++) {
      (void)futex_wake(low_half(regions[i].revision), INT_MAX);
      if (regions[i].mutex != NULL) (void)futex_wake(regions[i].mutex, INT_MAX);
    }
    for (uint32_t i = 0; i < SHMEM_MAX_REGIONS; i++) {
      /* Readers of streams sleep on these. */
      (void)futex_wake((const _Atomic uint32_t *)&server->regions[i].revision, INT_MAX);
    }
    pthread_mutex_unlock(&regions_lock);
    wake_lock_sleepers();
    wake_channel_sleepers();
    usleep(1000);
  }
  return NULL;
}

static void server_gone(void) {
  if (locks != NULL) {
    for (uint32_t i = 0; i < SHMEM_MAX_REGIONS; i++) {
      mutex_abandon(atomic32(&locks->regions[i].mutex), SHMEM_SERVER_OWNER);
    }
  }
  atomic_store(&ended, true);
  if (locks != NULL) force_turns(locks);
  bell_rung();
  start_thread(wake_own_sleepers, NULL);
}

/* ---------------------------------------------------------------------------------------------- hello ---- */

static const char *hello(xpc_connection_t connection, const char *schema) {
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "hello");
  xpc_dictionary_set_uint64(request, "min", 1);
  xpc_dictionary_set_uint64(request, "max", 1);
  xpc_dictionary_set_uint64(request, "layout", SHMEM_LAYOUT_VERSION);
  if (schema != NULL) {
    uint8_t digest[32];
    sha256(schema, digest);
    xpc_dictionary_set_data(request, "schema", digest, sizeof digest);
  }
  xpc_object_t shared = share(&words_mapping);
  xpc_dictionary_set_value(request, "words", shared);
  xpc_release(shared);
  xpc_object_t reply = ask(connection, request);
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code != NULL) return code;
  if (xpc_connection_get_euid(connection) != geteuid()) return "stranger";
  uint64_t version, owner;
  xpc_object_t server_object = get_typed(reply, "server", XPC_TYPE_FD);
  xpc_object_t locks_object = get_typed(reply, "locks", XPC_TYPE_SHMEM);
  if (!get_integer(reply, "version", 1, &version) || version != 1 ||
      !get_integer(reply, "owner", SHMEM_MUTEX_OWNER, &owner) || owner <= SHMEM_SERVER_OWNER ||
      server_object == NULL || locks_object == NULL ||
      !map_fd(server_object, sizeof *server, &server_mapping) ||
      !map_shmem(locks_object, sizeof *locks, &locks_mapping)) {
    return "unusable";
  }
  side->owner = (uint32_t)owner;
  server = server_mapping.address;
  locks = locks_mapping.address;
  all_turns = (_Atomic uint64_t *)&locks->turns;
  xpc_release(reply);
  return NULL;
}

/* Asks the broker for the newest registration above `after`, waiting for one. */
static xpc_object_t look_up(xpc_connection_t broker, const char *name, uint64_t *after) {
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "lookup");
  xpc_dictionary_set_string(request, "name", name);
  xpc_dictionary_set_bool(request, "wait", true);
  xpc_dictionary_set_uint64(request, "after", *after);
  xpc_object_t reply = ask(broker, request);
  if (reply == NULL || refusal(reply) != NULL || !get_integer(reply, "generation", UINT64_MAX, after))
    return NULL;
  xpc_object_t endpoint = get_typed(reply, "endpoint", XPC_TYPE_ENDPOINT);
  return endpoint == NULL ? NULL : xpc_retain(endpoint);
}

/* -------------------------------------------------------------------------------- the side of a client ---- */

static struct reader readers[256];

static struct region *find(const char *name) {
  struct region *found = NULL;
  pthread_mutex_lock(&regions_lock);
  /* The newest first: a region that was replaced is there twice. */
  for (uint32_t i = region_count; i > 0 && found == NULL; i--) {
    if (strcmp(regions[i - 1].name, name) == 0) found = &regions[i - 1];
  }
  pthread_mutex_unlock(&regions_lock);
  return found;
}

static uint32_t parked(const struct region *region) {
  return atomic_load((const _Atomic uint32_t *)&server->parked[region->index]);
}

static void wake(const struct region *region) {
  uint32_t word = parked(region);
  if ((word & SHMEM_PARKED_BELL) != 0) {
    int bell = server_bell;
    if (bell >= 0) {
      ring(bell);
    } else {
      xpc_object_t note = xpc_dictionary_create(NULL, NULL, 0);
      xpc_dictionary_set_string(note, "op", "committed");
      xpc_dictionary_set_uint64(note, "index", region->index);
      xpc_connection_send_message(link_connection, note);
      xpc_release(note);
    }
  }
  if (word >= SHMEM_PARKED_THREAD) (void)futex_wake(low_half(region->revision), INT_MAX);
}

static void *read_own_bell(void *argument) {
  (void)argument;
  while (await_rings(own_bell[0])) bell_rung();
  return NULL;
}

static const char *want_bell(void) {
  const char *problem = NULL;
  pthread_mutex_lock(&own_bell_lock);
  if (own_bell[0] < 0) {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, own_bell) != 0) abort();
    xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(request, "op", "bell");
    xpc_object_t bell = xpc_fd_create(own_bell[1]);
    xpc_dictionary_set_value(request, "bell", bell);
    xpc_release(bell);
    xpc_object_t reply = ask(link_connection, request);
    problem = reply == NULL ? "gone" : refusal(reply);
    (void)close(own_bell[1]); /* the server has its own by now */
    start_thread(read_own_bell, NULL);
  }
  pthread_mutex_unlock(&own_bell_lock);
  return problem;
}

static void end(void) {
  for (uint32_t i = 0; i < region_count; i++) {
    if (regions[i].held) (void)mutex_unlock(regions[i].mutex, side->owner);
  }
  locks_give_all(side->owner);
  locks = NULL; /* it is we who leave: what the server holds it holds still */
  xpc_connection_cancel(link_connection);
  dispatch_semaphore_wait(finished, DISPATCH_TIME_FOREVER);
}

static xpc_connection_t other(void) { return link_connection; }

static struct side client_side = {.key = "op",
                                  .other = other,
                                  .find = find,
                                  .wake = wake,
                                  .want_bell = want_bell,
                                  .parked = parked,
                                  .end = end};

const char *client_connect(const char *service, const char *name, const char *schema) {
  if (!make_shared(sizeof *words, &words_mapping)) return "memory";
  words = words_mapping.address;
  side = &client_side;
  finished = dispatch_semaphore_create(0);
  xpc_connection_t broker;
  const char *problem = broker_hello(service, &broker);
  uint64_t after = 0;
  while (problem == NULL) {
    xpc_object_t endpoint = look_up(broker, name, &after);
    if (endpoint == NULL) return "broker";
    xpc_connection_t connection = xpc_connection_create_from_endpoint((xpc_endpoint_t)endpoint);
    xpc_release(endpoint);
    xpc_connection_set_event_handler(connection, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY && !messages_receive("event", event)) take_bell(event);
      if (event != XPC_ERROR_CONNECTION_INVALID || connection != link_connection) return;
      server_gone();
      dispatch_semaphore_signal(finished);
    });
    link_connection = connection;
    xpc_connection_activate(connection);
    problem = hello(connection, schema);
    if (problem == NULL) return NULL;
    link_connection = NULL;
    xpc_connection_cancel(connection);
    /* A dead server's endpoint: the next one has a higher generation. */
    if (strcmp(problem, "gone") == 0) problem = NULL;
  }
  side = NULL;
  return problem;
}

_Atomic uint32_t *client_parked(uint32_t index) { return atomic32(&words->parked[index]); }

const char *client_open(const char *name, bool write) {
  if (strlen(name) >= sizeof regions->name) return "not_found";
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "open");
  xpc_dictionary_set_string(request, "name", name);
  xpc_object_t reply = ask(link_connection, request);
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code != NULL) return code;
  uint64_t index, generation, bytes;
  if (!get_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !get_integer(reply, "generation", (1ull << 53) - 1, &generation) ||
      !get_integer(reply, "byteLength", (1ull << 53) - 1, &bytes) || bytes == 0) {
    return "unusable";
  }
  /* A server of an older kind says nothing of tiles. */
  uint64_t tile_bytes = 0;
  if (xpc_dictionary_get_value(reply, "tileBytes") != NULL &&
      (!get_integer(reply, "tileBytes", 1u << 30, &tile_bytes) || tile_bytes < 64 || tile_bytes % 64 != 0)) {
    return "unusable";
  }
  uint64_t all = tile_bytes == 0 ? bytes : bytes_with_tiles(bytes, tile_bytes);
  struct mapping memory;
  xpc_object_t shmem = get_typed(reply, "memory", XPC_TYPE_SHMEM);
  xpc_object_t fd = get_typed(reply, "memory", XPC_TYPE_FD);
  bool shared = shmem != NULL;
  if (!shared && fd == NULL) return "unusable";
  if (write && !shared) return "read_only";
  if (!(shared ? map_shmem(shmem, all, &memory) : map_fd(fd, all, &memory))) return "unusable";
  xpc_release(reply);
  pthread_mutex_lock(&regions_lock);
  if (region_count == SHMEM_MAX_REGIONS) abort(); /* no test opens as many */
  struct region *region = &regions[region_count];
  *region = (struct region){
    .index = (uint32_t)index,
    .generation = generation,
    .bytes = bytes,
    .tile_bytes = tile_bytes,
    .writable = write,
    .memory = memory,
    .mutex = shared ? atomic32(&locks->regions[index].mutex) : NULL,
    .guard = shared ? atomic32(&locks->regions[index].mutex)
                    : (const _Atomic uint32_t *)&server->regions[index].mutex,
    .revision = shared ? (_Atomic uint64_t *)&locks->regions[index].revision
                       : (_Atomic uint64_t *)&server->regions[index].revision,
    .newest = (const _Atomic uint64_t *)&server->regions[index].generation,
    .parked = atomic32(&words->parked[index]),
  };
  (void)strcpy(region->name, name); /* its length was checked */
  region_count++;
  pthread_mutex_unlock(&regions_lock);
  return NULL;
}

const char *client_open_lock(const char *name) {
  if (strlen(name) >= sizeof((struct lock *)NULL)->name) return "not_found";
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "lock");
  xpc_dictionary_set_string(request, "name", name);
  xpc_object_t reply = ask(link_connection, request);
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code != NULL) return code;
  uint64_t index, limit;
  struct lock lock = {0};
  xpc_object_t kind = get_typed(reply, "kind", XPC_TYPE_STRING);
  xpc_object_t memory = get_typed(reply, "memory", XPC_TYPE_SHMEM);
  if (!get_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !get_integer(reply, "limit", SHMEM_MAX_HOLDERS, &limit) || kind == NULL ||
      !kind_of(xpc_string_get_string_ptr(kind), &lock.kind) ||
      (memory == NULL) != (lock.kind == KIND_MUTEX) || (limit > 0) != (lock.kind == KIND_SEMAPHORE)) {
    return "unusable";
  }
  if (memory != NULL && !map_shmem(memory, sizeof *lock.memory, &lock.mapping)) return "unusable";
  xpc_release(reply);
  (void)strcpy(lock.name, name); /* its length was checked */
  lock.index = (uint32_t)index;
  lock.limit = (uint32_t)limit;
  lock.words = &locks->regions[index];
  lock.memory = lock.mapping.address;
  (void)lock_add(&lock);
  return NULL;
}

/* ------------------------------------------------------------------------------------------- streams ---- */

void client_wake(const struct region *region) { wake(region); }

struct reader *client_reader(const char *id) {
  for (struct reader *reader = readers; reader < readers + sizeof readers / sizeof *readers; reader++) {
    if (*id != '\0' && strcmp(reader->id, id) == 0) return reader;
  }
  return NULL;
}

static void close_reader(const struct reader *reader) {
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "stream_close");
  xpc_dictionary_set_string(request, "name", reader->region.name);
  xpc_dictionary_set_uint64(request, "generation", reader->region.generation);
  xpc_dictionary_set_uint64(request, "reader", reader->number);
  (void)ask(link_connection, request); /* the link is over, and the reader with it */
}

/* Takes what the server says of a stream into `reader`. */
static bool take_stream(xpc_object_t reply, struct reader *reader) {
  struct region *region = &reader->region;
  const uint64_t most = (1ull << 53) - 1;
  uint64_t index, slots;
  xpc_object_t memory = get_typed(reply, "memory", XPC_TYPE_FD);
  if (memory == NULL || !get_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !get_integer(reply, "generation", most, &region->generation) ||
      !get_integer(reply, "byteLength", most, &region->bytes) ||
      !get_integer(reply, "slots", SHMEM_STREAM_MAX_SLOTS, &slots) ||
      !get_integer(reply, "offset", most, &region->offset) ||
      !get_integer(reply, "stride", most, &region->stride) ||
      !get_integer(reply, "reader", most, &reader->number)) {
    return false;
  }
  if (region->bytes == 0 || slots < 2 || region->offset < SHMEM_STREAM_HEADER_BYTES ||
      region->offset % 16384 != 0 || region->stride < region->bytes || region->stride % 16384 != 0 ||
      region->stride > (most - region->offset) / slots) {
    return false;
  }
  region->slots = (uint32_t)slots;
  region->index = (uint32_t)index;
  region->revision = (_Atomic uint64_t *)&server->regions[index].revision;
  region->newest = (const _Atomic uint64_t *)&server->regions[index].generation;
  region->parked = atomic32(&words->parked[index]);
  return map_fd(memory, region->offset + slots * region->stride, &region->memory);
}

/* Opens `made`'s stream, which has its name and the order; the leases are new ones. */
static const char *open_stream(struct reader *made, bool goes_on) {
  if (!make_shared(SHMEM_STREAM_LEASES_BYTES, &made->leases)) return "memory";
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "stream");
  xpc_dictionary_set_string(request, "name", made->region.name);
  xpc_object_t leases = share(&made->leases);
  xpc_dictionary_set_value(request, "leases", leases);
  xpc_release(leases);
  xpc_object_t reply = ask(link_connection, request);
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code != NULL) return code;
  if (!take_stream(reply, made)) return "unusable";
  xpc_release(reply);
  made->slots.header = made->region.memory.address;
  made->slots.leases = made->leases.address;
  made->slots.slots = made->region.slots;
  slots_begin(&made->slots, goes_on);
  return NULL;
}

const char *client_stream(const char *name, const char *id, bool every, struct reader **reader) {
  struct reader made = {.slots = {.every = every}};
  if (strlen(name) >= sizeof made.region.name || strlen(id) >= sizeof made.id) return "not_found";
  (void)strcpy(made.region.name, name); /* its length was checked */
  const char *problem = open_stream(&made, false);
  if (problem != NULL) return problem;
  pthread_mutex_lock(&regions_lock);
  struct reader *place = readers;
  while (place < readers + sizeof readers / sizeof *readers && place->id[0] != '\0') place++;
  if (place == readers + sizeof readers / sizeof *readers) abort(); /* no test has as many */
  *place = made;
  (void)strcpy(place->id, id);
  pthread_mutex_unlock(&regions_lock);
  *reader = place;
  return NULL;
}

const char *client_follow(struct reader *reader) {
  if (atomic_load(reader->region.newest) == reader->region.generation) return NULL;
  struct reader made = {.slots = {.every = reader->slots.every, .last = reader->slots.last}};
  (void)strcpy(made.region.name, reader->region.name);
  const char *problem = open_stream(&made, true);
  if (problem != NULL) return problem;
  (void)strcpy(made.id, reader->id);
  *reader = made; /* what it had mapped stays mapped */
  return NULL;
}

void client_shut(struct reader *reader) {
  close_reader(reader);
  memset(reader->id, 0, sizeof reader->id);
}

void client_crash_commit(struct region *region) { (void)atomic_fetch_add(region->revision, 1); }
