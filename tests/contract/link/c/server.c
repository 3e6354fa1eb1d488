/* server.c: a server of links: the listener, what clients ask, and the end of a client. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "party.h"

#define MAX_CLIENTS 64

/* A client, from its connection on. */
struct client {
  xpc_connection_t connection; /* NULL: a free place */
  uint32_t owner;              /* 0: it has not said hello */
  struct mapping mapping;
  const struct shmem_client_words *words;
  int bell;      /* to ring the client by, or -1 */
  bool has_bell; /* of ours */
};

/* A reader of a stream, in the newest generation. */
struct reader_entry {
  struct client *client; /* NULL: a free place */
  uint32_t index;
  uint64_t number;
  struct mapping leases;
};

#define MAX_ENTRIES 256
#define MAX_READERS_OF_CLIENT 64

/* All below belongs to whoever holds the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct client clients[MAX_CLIENTS];
static struct region regions[SHMEM_MAX_REGIONS];
static uint64_t relayed[SHMEM_MAX_REGIONS]; /* the newest revision that the clients were told */
static struct slot_writer writers[SHMEM_MAX_REGIONS];
static struct reader_entry entries[MAX_ENTRIES];
static uint64_t last_reader;
static uint32_t region_count;
static uint32_t last_index; /* the next one to give to a region or a lock */
static uint32_t last_owner = SHMEM_SERVER_OWNER;
static bool relaying, wants_bells;

static struct mapping words_mapping, locks_mapping;
static struct shmem_server_words *words;
static struct shmem_locks *locks;
static uint8_t schema_hash[32];
static bool has_schema;
static xpc_connection_t listener, broker;
static dispatch_queue_t queue;
static const char *own_name;
static uint64_t registration;

static _Atomic uint32_t *atomic32(uint32_t *word) { return (_Atomic uint32_t *)word; }

static bool is_shared(const struct region *region) {
  return region->revision == (_Atomic uint64_t *)&locks->regions[region->index].revision;
}

/* ------------------------------------------------------------------------------------- waking clients ---- */

static uint32_t parked_of(const struct client *client, uint32_t index) {
  return client->words == NULL ? 0 : atomic_load((const _Atomic uint32_t *)&client->words->parked[index]);
}

static void wake_locked(const struct region *region) {
  bool threads = false;
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) {
    uint32_t word = parked_of(client, region->index);
    if ((word & SHMEM_PARKED_BELL) != 0 && client->bell >= 0) ring(client->bell);
    if (word >= SHMEM_PARKED_THREAD) threads = true;
  }
  if (threads) (void)futex_wake(low_half(region->revision), INT_MAX);
}

/* A client rang, or may have meant to. */
static void relay_locked(void) {
  for (struct region *region = regions; region < regions + region_count; region++) {
    if (!is_shared(region)) continue;
    uint64_t revision = atomic_load(region->revision);
    if (revision == relayed[region->index]) continue;
    relayed[region->index] = revision;
    wake_locked(region);
  }
}

static void rung(void) {
  pthread_mutex_lock(&lock);
  if (relaying) relay_locked();
  pthread_mutex_unlock(&lock);
  bell_rung();
}

static void *read_bell(void *argument) {
  int fd = (int)(intptr_t)argument;
  while (await_rings(fd)) rung();
  (void)close(fd);
  return NULL;
}

static void give_bell_locked(struct client *client) {
  int pair[2];
  if (client->has_bell || client->owner == 0) return;
  client->has_bell = true;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) abort();
  xpc_object_t note = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(note, "event", "bell");
  xpc_object_t bell = xpc_fd_create(pair[1]);
  xpc_dictionary_set_value(note, "bell", bell);
  xpc_release(bell);
  xpc_connection_send_message(client->connection, note);
  xpc_release(note);
  (void)close(pair[1]); /* the client's copy alone is left: its death ends the reader */
  start_thread(read_bell, (void *)(intptr_t)pair[0]);
}

/* With two clients or more, what one of them commits must reach the others. */
static void watch_clients_locked(void) {
  uint32_t count = 0;
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) count += client->owner != 0;
  if (relaying != (count > 1)) {
    relaying = count > 1;
    for (struct region *region = regions; region < regions + region_count; region++) {
      (relaying ? bell_enter : bell_leave)(region->index, region->parked);
    }
  }
  if (!relaying && !wants_bells) return;
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) give_bell_locked(client);
}

/* ------------------------------------------------------------------------------- what clients ask for ---- */

static const char *hello(struct client *client, xpc_object_t request, xpc_object_t reply) {
  uint64_t min, max, layout;
  if (!get_integer(request, "min", UINT64_MAX, &min) || !get_integer(request, "max", UINT64_MAX, &max) ||
      min > max) {
    return "bad_request";
  }
  if (min > 1 || max < 1) return "incompatible";
  if (!get_integer(request, "layout", UINT64_MAX, &layout)) return "bad_request";
  if (layout != SHMEM_LAYOUT_VERSION) return "incompatible";
  xpc_object_t theirs = get_typed(request, "words", XPC_TYPE_SHMEM);
  xpc_object_t schema = xpc_dictionary_get_value(request, "schema");
  xpc_object_t features = xpc_dictionary_get_value(request, "features");
  if (schema != NULL && xpc_get_type(schema) == XPC_TYPE_NULL) schema = NULL;
  if (theirs == NULL || (schema != NULL && xpc_get_type(schema) != XPC_TYPE_DATA) || client->owner != 0) {
    return "bad_request";
  }
  if (features != NULL) {
    if (xpc_get_type(features) != XPC_TYPE_ARRAY) return "bad_request";
    for (size_t i = 0; i < xpc_array_get_count(features); i++) {
      if (xpc_get_type(xpc_array_get_value(features, i)) != XPC_TYPE_STRING) return "bad_request";
    }
  }
  if ((schema != NULL) != has_schema) return "incompatible";
  if (schema != NULL && (xpc_data_get_length(schema) != sizeof schema_hash ||
                         memcmp(xpc_data_get_bytes_ptr(schema), schema_hash, sizeof schema_hash) != 0)) {
    return "incompatible";
  }
  if (last_owner == SHMEM_MUTEX_OWNER || !map_shmem(theirs, sizeof *client->words, &client->mapping))
    return "failed";
  client->words = client->mapping.address;
  client->owner = ++last_owner;
  xpc_dictionary_set_uint64(reply, "version", 1);
  xpc_dictionary_set_uint64(reply, "owner", client->owner);
  xpc_object_t server_object = share(&words_mapping), locks_object = share(&locks_mapping);
  xpc_dictionary_set_value(reply, "server", server_object);
  xpc_dictionary_set_value(reply, "locks", locks_object);
  xpc_release(server_object);
  xpc_release(locks_object);
  xpc_object_t none = xpc_array_create(NULL, 0);
  xpc_dictionary_set_value(reply, "features", none);
  xpc_release(none);
  watch_clients_locked();
  return NULL;
}

static struct region *find_locked(const char *name) {
  for (struct region *region = regions; region < regions + region_count; region++) {
    if (strcmp(region->name, name) == 0) return region;
  }
  return NULL;
}

static void tell_memory(const struct region *region, xpc_object_t reply) {
  xpc_dictionary_set_uint64(reply, "index", region->index);
  xpc_dictionary_set_uint64(reply, "generation", region->generation);
  xpc_dictionary_set_uint64(reply, "byteLength", region->bytes);
  xpc_object_t memory = share(&region->memory);
  xpc_dictionary_set_value(reply, "memory", memory);
  xpc_release(memory);
}

static const char *open_region(struct client *client, xpc_object_t request, xpc_object_t reply) {
  if (client->owner == 0) return "hello_first";
  xpc_object_t name = get_typed(request, "name", XPC_TYPE_STRING);
  if (name == NULL) return "bad_request";
  struct region *region = find_locked(xpc_string_get_string_ptr(name));
  if (region == NULL || region->slots != 0) return "not_found";
  tell_memory(region, reply);
  xpc_dictionary_set_uint64(reply, "tileBytes", region->tile_bytes);
  return NULL;
}

static const char *open_lock(struct client *client, xpc_object_t request, xpc_object_t reply) {
  if (client->owner == 0) return "hello_first";
  xpc_object_t name = get_typed(request, "name", XPC_TYPE_STRING);
  if (name == NULL) return "bad_request";
  const struct lock *opened = lock_find(xpc_string_get_string_ptr(name));
  if (opened == NULL) return "not_found";
  xpc_dictionary_set_uint64(reply, "index", opened->index);
  xpc_dictionary_set_string(reply, "kind", kind_name(opened->kind));
  xpc_dictionary_set_uint64(reply, "limit", opened->limit);
  if (opened->memory == NULL) return NULL;
  xpc_object_t memory = share(&opened->mapping);
  xpc_dictionary_set_value(reply, "memory", memory);
  xpc_release(memory);
  return NULL;
}

/* ------------------------------------------------------------------------------------------- streams ---- */

static void remove_entry(struct reader_entry *entry) {
  (void)munmap(entry->leases.address, entry->leases.mapped);
  *entry = (struct reader_entry){0};
}

static const char *open_stream(struct client *client, xpc_object_t request, xpc_object_t reply) {
  if (client->owner == 0) return "hello_first";
  xpc_object_t name = get_typed(request, "name", XPC_TYPE_STRING);
  xpc_object_t leases = get_typed(request, "leases", XPC_TYPE_SHMEM);
  if (name == NULL || leases == NULL) return "bad_request";
  struct region *stream = find_locked(xpc_string_get_string_ptr(name));
  if (stream == NULL || stream->slots == 0) return "not_found";
  struct reader_entry *entry = NULL;
  uint32_t count = 0;
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES; each++) {
    if (each->client == NULL) entry = each;
    count += each->client == client && each->index == stream->index;
  }
  if (entry == NULL || count >= MAX_READERS_OF_CLIENT) return "failed";
  if (!map_shmem(leases, SHMEM_STREAM_LEASES_BYTES, &entry->leases)) return "failed";
  entry->client = client;
  entry->index = stream->index;
  entry->number = ++last_reader;
  tell_memory(stream, reply);
  xpc_dictionary_set_uint64(reply, "slots", stream->slots);
  xpc_dictionary_set_uint64(reply, "offset", stream->offset);
  xpc_dictionary_set_uint64(reply, "stride", stream->stride);
  xpc_dictionary_set_uint64(reply, "reader", entry->number);
  return NULL;
}

static const char *close_stream(struct client *client, xpc_object_t request) {
  if (client->owner == 0) return "hello_first";
  uint64_t generation, number;
  if (get_typed(request, "name", XPC_TYPE_STRING) == NULL ||
      !get_integer(request, "generation", (1ull << 53) - 1, &generation) ||
      !get_integer(request, "reader", (1ull << 53) - 1, &number)) {
    return "bad_request";
  }
  /* Numbers are never given again, so they name the stream and its generation too. */
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES; each++) {
    if (each->client == client && each->number == number) remove_entry(each);
  }
  bell_rung(); /* for who waits for a slot */
  return NULL;
}

static struct slot_readers readers_locked(const struct region *stream) {
  struct slot_readers readers = {.count = 0};
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES; each++) {
    if (each->client == NULL || each->index != stream->index) continue;
    readers.leases[readers.count++] = each->leases.address;
  }
  return readers;
}

int server_loan(struct region *stream, enum loan_kind kind) {
  pthread_mutex_lock(&lock);
  struct slot_readers readers = readers_locked(stream);
  int slot = slots_loan(&writers[stream->index], &readers, kind);
  pthread_mutex_unlock(&lock);
  return slot;
}

uint64_t server_publish(struct region *stream, uint32_t slot, uint64_t length, double time, uint8_t record) {
  pthread_mutex_lock(&lock);
  uint64_t number = slots_publish(&writers[stream->index], slot, length, time, record);
  (void)atomic_fetch_add(stream->revision, 1);
  wake_locked(stream);
  pthread_mutex_unlock(&lock);
  return number;
}

void server_unloan(struct region *stream, uint32_t slot) {
  pthread_mutex_lock(&lock);
  writers[stream->index].loaned &= ~(1ull << slot);
  pthread_mutex_unlock(&lock);
}

uint32_t server_readers(const struct region *stream) {
  pthread_mutex_lock(&lock);
  uint32_t count = readers_locked(stream).count;
  pthread_mutex_unlock(&lock);
  return count;
}

void server_holders(const struct region *stream, char *text, size_t size) {
  size_t length = 0;
  text[0] = '\0';
  pthread_mutex_lock(&lock);
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES && length + 24 < size; each++) {
    if (each->client == NULL || each->index != stream->index) continue;
    if (!slots_keeps(&writers[stream->index], each->leases.address)) continue;
    char pid[24];
    (void)snprintf(pid, sizeof pid, " %d", (int)xpc_connection_get_pid(each->client->connection));
    if (strstr(text, pid) != NULL) continue; /* once; no test has pids that begin with another's */
    memcpy(text + length, pid, strlen(pid) + 1);
    length += strlen(pid);
  }
  pthread_mutex_unlock(&lock);
}

/* Lays the slots out, and makes the memory of a stream. */
static bool make_stream(uint64_t bytes, uint32_t slots, struct region *stream) {
  const uint64_t unit = 16384;
  stream->slots = slots;
  stream->offset = (SHMEM_STREAM_HEADER_BYTES + unit - 1) / unit * unit;
  stream->stride = (bytes + unit - 1) / unit * unit;
  return make_read_only(stream->offset + slots * stream->stride, &stream->memory);
}

/* The readers of the generation before are over; the numbers of frames go on. */
static void begin_stream_locked(struct region *stream) {
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES; each++) {
    if (each->client != NULL && each->index == stream->index) remove_entry(each);
  }
  struct slot_writer *writer = &writers[stream->index];
  *writer = (struct slot_writer){
    .header = stream->memory.address, .slots = stream->slots, .newest = UINT32_MAX, .last = writer->last};
}

/* -------------------------------------------------------------------------------------- other requests ---- */

static const char *take_bell(struct client *client, xpc_object_t request) {
  if (client->owner == 0) return "hello_first";
  xpc_object_t bell = get_typed(request, "bell", XPC_TYPE_FD);
  if (bell == NULL) return "bad_request";
  if (client->bell >= 0) return "failed";
  client->bell = xpc_fd_dup(bell);
  return client->bell < 0 ? "failed" : NULL;
}

static const char *describe(xpc_object_t reply) {
  xpc_object_t list = xpc_array_create(NULL, 0), streams = xpc_array_create(NULL, 0);
  for (struct region *region = regions; region < regions + region_count; region++) {
    xpc_object_t entry = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(entry, "name", region->name);
    xpc_dictionary_set_uint64(entry, "byteLength", region->bytes);
    xpc_dictionary_set_uint64(entry, "generation", region->generation);
    if (region->slots == 0) {
      xpc_dictionary_set_string(entry, "clients", is_shared(region) ? "write" : "read");
      xpc_dictionary_set_uint64(entry, "revision", atomic_load(region->revision));
    } else {
      xpc_dictionary_set_uint64(entry, "slots", region->slots);
      xpc_dictionary_set_uint64(entry, "sequence", writers[region->index].last);
      xpc_dictionary_set_uint64(entry, "readers", readers_locked(region).count);
    }
    xpc_array_append_value(region->slots == 0 ? list : streams, entry);
    xpc_release(entry);
  }
  xpc_dictionary_set_value(reply, "regions", list);
  xpc_dictionary_set_value(reply, "streams", streams);
  xpc_release(list);
  xpc_release(streams);
  return NULL;
}

static void receive(struct client *client, xpc_object_t message) {
  xpc_object_t op_object = get_typed(message, "op", XPC_TYPE_STRING);
  const char *op = op_object == NULL ? "" : xpc_string_get_string_ptr(op_object);
  if (client->owner != 0 && messages_receive("op", message)) return;
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (reply == NULL) {
    if (strcmp(op, "committed") == 0 && client->owner != 0) rung();
    return;
  }
  const char *code = "bad_request";
  pthread_mutex_lock(&lock);
  if (strcmp(op, "hello") == 0) code = hello(client, message, reply);
  else if (strcmp(op, "open") == 0) code = open_region(client, message, reply);
  else if (strcmp(op, "bell") == 0) code = take_bell(client, message);
  else if (strcmp(op, "lock") == 0) code = open_lock(client, message, reply);
  else if (strcmp(op, "stream") == 0) code = open_stream(client, message, reply);
  else if (strcmp(op, "stream_close") == 0) code = close_stream(client, message);
  else if (strcmp(op, "channel") == 0 || strcmp(op, "channel_close") == 0) {
    if (client->owner == 0) code = "hello_first";
    else if (strcmp(op, "channel") == 0) code = channel_opened(client, message, reply);
    else code = channel_closed(client, message);
  } else if (strcmp(op, "describe") == 0) code = describe(reply);
  else if (strcmp(op, "request") == 0 || strcmp(op, "received") == 0) code = "hello_first";
  pthread_mutex_unlock(&lock);
  xpc_dictionary_set_bool(reply, "ok", code == NULL);
  if (code != NULL) {
    xpc_dictionary_set_string(reply, "code", code);
    xpc_dictionary_set_string(reply, "message", "Cannot do this: the C server refuses it");
  }
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
}

/* The steps that the page lists, in their order. */
static void client_gone(struct client *client) {
  channels_client_gone(client);
  pthread_mutex_lock(&lock);
  for (struct reader_entry *each = entries; each < entries + MAX_ENTRIES; each++) {
    if (each->client == client) remove_entry(each);
  }
  if (client->owner != 0) {
    for (uint32_t i = 0; i < SHMEM_MAX_REGIONS; i++) {
      mutex_abandon(atomic32(&locks->regions[i].mutex), client->owner);
    }
    locks_abandon(client->owner);
    force_turns(locks);
    relay_locked();
    for (struct region *region = regions; region < regions + region_count; region++) {
      if (is_shared(region)) (void)futex_wake(low_half(region->revision), INT_MAX);
    }
    (void)munmap(client->mapping.address, client->mapping.mapped);
    if (client->bell >= 0) (void)close(client->bell);
  }
  *client = (struct client){.bell = -1};
  watch_clients_locked();
  pthread_mutex_unlock(&lock);
  bell_rung();
}

static void accept_peer(xpc_connection_t peer) {
  struct client *client = NULL;
  pthread_mutex_lock(&lock);
  for (struct client *each = clients; each < clients + MAX_CLIENTS && client == NULL; each++) {
    if (each->connection == NULL) client = each;
  }
  if (client == NULL) abort(); /* no test has as many */
  *client = (struct client){.connection = peer, .bell = -1};
  pthread_mutex_unlock(&lock);
  xpc_connection_set_target_queue(peer, queue);
  xpc_connection_set_event_handler(peer, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) receive(client, event);
    else if (event == XPC_ERROR_CONNECTION_INVALID) client_gone(client);
  });
  xpc_connection_activate(peer);
  if (xpc_connection_get_euid(peer) != geteuid()) xpc_connection_cancel(peer);
}

/* -------------------------------------------------------------------------------- the side of a server ---- */

static struct region *find(const char *name) {
  pthread_mutex_lock(&lock);
  struct region *region = find_locked(name);
  pthread_mutex_unlock(&lock);
  return region;
}

static void wake(const struct region *region) {
  pthread_mutex_lock(&lock);
  wake_locked(region);
  pthread_mutex_unlock(&lock);
}

static const char *want_bell(void) {
  pthread_mutex_lock(&lock);
  wants_bells = true;
  watch_clients_locked();
  pthread_mutex_unlock(&lock);
  return NULL;
}

static uint32_t parked(const struct region *region) {
  uint32_t all = 0;
  pthread_mutex_lock(&lock);
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) {
    all |= parked_of(client, region->index);
  }
  pthread_mutex_unlock(&lock);
  return all;
}

uint32_t server_clients(void) {
  uint32_t count = 0;
  pthread_mutex_lock(&lock);
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) count += client->owner != 0;
  pthread_mutex_unlock(&lock);
  return count;
}

static void end(void) {
  for (uint32_t i = 0; i < region_count; i++) {
    if (regions[i].held) (void)mutex_unlock(regions[i].mutex, SHMEM_SERVER_OWNER);
  }
  locks_give_all(SHMEM_SERVER_OWNER);
  pthread_mutex_lock(&lock);
  for (struct client *client = clients; client < clients + MAX_CLIENTS; client++) {
    if (client->connection != NULL) xpc_connection_cancel(client->connection);
  }
  xpc_connection_cancel(listener);
  pthread_mutex_unlock(&lock);
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "unregister");
  xpc_dictionary_set_string(request, "name", own_name);
  xpc_dictionary_set_uint64(request, "generation", registration);
  (void)ask(broker, request);
}

/* The first client that is there. */
static xpc_connection_t other(void) {
  xpc_connection_t found = NULL;
  pthread_mutex_lock(&lock);
  for (struct client *client = clients; client < clients + MAX_CLIENTS && found == NULL; client++) {
    if (client->owner != 0) found = client->connection;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static struct side server_side = {.owner = SHMEM_SERVER_OWNER,
                                  .key = "event",
                                  .other = other,
                                  .find = find,
                                  .wake = wake,
                                  .want_bell = want_bell,
                                  .parked = parked,
                                  .end = end};

const char *server_make(const char *schema) {
  if (!make_read_only(sizeof *words, &words_mapping) || !make_shared(sizeof *locks, &locks_mapping))
    return "memory";
  words = words_mapping.address;
  locks = locks_mapping.address;
  all_turns = (_Atomic uint64_t *)&locks->turns;
  has_schema = schema != NULL;
  if (has_schema) sha256(schema, schema_hash);
  side = &server_side;
  return NULL;
}

const char *server_register(const char *service, const char *name) {
  own_name = strdup(name);
  queue = dispatch_queue_create("server", DISPATCH_QUEUE_SERIAL);
  listener = xpc_connection_create(NULL, queue);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_CONNECTION) accept_peer((xpc_connection_t)event);
  });
  xpc_connection_activate(listener);
  const char *problem = broker_hello(service, &broker);
  if (problem != NULL) return problem;
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "register");
  xpc_dictionary_set_string(request, "name", name);
  xpc_dictionary_set_string(request, "policy", "reject");
  xpc_endpoint_t endpoint = xpc_endpoint_create(listener);
  xpc_dictionary_set_value(request, "endpoint", endpoint);
  xpc_release(endpoint);
  xpc_object_t reply = ask(broker, request);
  if (reply == NULL) return "broker";
  problem = refusal(reply);
  if (problem != NULL) return problem;
  if (!get_integer(reply, "generation", UINT64_MAX, &registration)) return "broker";
  xpc_release(reply);
  return NULL;
}

void server_tell_channels(const void *client) {
  pthread_mutex_lock(&lock);
  for (struct client *each = clients; each < clients + MAX_CLIENTS; each++) {
    if (each != client || each->connection == NULL) continue;
    xpc_object_t note = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(note, "event", "channels");
    xpc_connection_send_message(each->connection, note);
    xpc_release(note);
  }
  pthread_mutex_unlock(&lock);
}

static const char *put_channel(const char *name, uint64_t bytes) {
  pthread_mutex_lock(&lock);
  uint32_t index = last_index++;
  bool made = channel_serve(name, index, bytes, atomic32(&words->parked[index]));
  pthread_mutex_unlock(&lock);
  return made ? NULL : "bad_request";
}

const char *server_put(const char *name, uint64_t bytes, const char *kind) {
  if (strcmp(kind, "channel") == 0) return put_channel(name, bytes);
  struct region made = {.slots = 0};
  bool clients_write = strcmp(kind, "write") == 0;
  if (strlen(name) >= sizeof regions->name) return "bad_request";
  bool is_stream = strncmp(kind, "stream:", 7) == 0;
  const size_t all = bytes_with_tiles(bytes, TILE_BYTES);
  if (is_stream ? !make_stream(bytes, (uint32_t)atoi(kind + 7), &made)
                : !(clients_write ? make_shared : make_read_only)(all, &made.memory)) {
    return "memory";
  }
  pthread_mutex_lock(&lock);
  struct region *region = find_locked(name);
  bool replaced = region != NULL;
  if (!replaced) {
    if (region_count == SHMEM_MAX_REGIONS) abort(); /* no test has as many */
    uint32_t index = last_index++;
    region = &regions[region_count];
    *region = (struct region){
      .index = index,
      .writable = true,
      .mutex =
        clients_write ? atomic32(&locks->regions[index].mutex) : atomic32(&words->regions[index].mutex),
      .revision = clients_write ? (_Atomic uint64_t *)&locks->regions[index].revision
                                : (_Atomic uint64_t *)&words->regions[index].revision,
      .tile_bytes = TILE_BYTES,
      .newest = (const _Atomic uint64_t *)&words->regions[index].generation,
      .parked = atomic32(&words->parked[index]),
    };
    region->guard = region->mutex;
    (void)strcpy(region->name, name); /* its length was checked */
    region_count++;
    if (relaying) bell_enter(index, region->parked);
  }
  region->slots = made.slots;
  region->offset = made.offset;
  region->stride = made.stride;
  region->memory = made.memory; /* the one before stays mapped: a command may be at work on it */
  region->bytes = bytes;
  region->copy = NULL; /* likewise */
  region->generation++;
  if (is_stream) begin_stream_locked(region);
  /* The generation first, then the revision, which wakes those who look at the generation. */
  atomic_store((_Atomic uint64_t *)&words->regions[region->index].generation, region->generation);
  if (replaced) {
    (void)atomic_fetch_add(region->revision, 1);
    wake_locked(region);
  }
  pthread_mutex_unlock(&lock);
  return NULL;
}

const char *server_put_lock(const char *name, enum kind kind, uint32_t limit) {
  struct lock made = {.kind = kind, .limit = limit};
  if (strlen(name) >= sizeof made.name || lock_find(name) != NULL) return "bad_request";
  if (kind != KIND_MUTEX && !make_shared(sizeof *made.memory, &made.mapping)) return "memory";
  (void)strcpy(made.name, name); /* its length was checked */
  made.memory = made.mapping.address;
  pthread_mutex_lock(&lock);
  made.index = last_index++;
  made.words = &locks->regions[made.index];
  (void)lock_add(&made);
  pthread_mutex_unlock(&lock);
  return NULL;
}
