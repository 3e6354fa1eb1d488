/* server.c: a server: its memory, its clients coming and going, and the relay between them. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define DEFAULT_SLOTS 4u
#define STREAM_UNIT UINT64_C(16384)

/* -------------------------------------------------------------------------------------------- waking ---- */

uint32_t server_count(const struct xshm_server *server) {
  uint32_t count = 0;
  for (const struct served_client *client = server->clients; client; client = client->next) {
    count += client->owner != 0;
  }
  return count;
}

void server_notify(struct xshm_server *server) {
  if (server->bell[1] >= 0) (void)shim_bell_ring(server->bell[1]); /* both ends are ours */
}

void server_relay(struct xshm_server *server) {
  struct end *end = &server->end;
  for (struct xshm_region *region = end->regions; region; region = region->next) {
    if (!region->is_shared) continue;
    uint64_t revision = xshm_revision(region);
    if (revision == server->relayed[region->index]) continue;
    server->relayed[region->index] = revision;
    shim_revision_wake(end->audience, region->revision, region->index);
  }
}

void server_rung(struct xshm_server *server) {
  if (server->relaying) server_relay(server);
  server_notify(server);
}

int32_t server_make_bell(struct xshm_server *server, struct served_client *client) {
  int32_t ends[2];
  if (client->has_bell || shim_bell_pair(ends) != 0) return -1; /* without one, clients send notes */
  client->has_bell = true;
  client->own_bell = ends[0];
  server->end.extra_polls++;
  return ends[1];
}

static void give_bell(struct xshm_server *server, struct served_client *client) {
  if (client->owner == 0 || client->has_bell) return;
  int32_t bell = server_make_bell(server, client);
  if (bell < 0) return;
  xpc_object_t note = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(note, "event", "bell");
  peer_set(note, "bell", xpc_fd_create(bell));
  shim_link_send(client->entry->link, note);
  xpc_release(note);
  bell_close(&bell); /* the client's copy alone is left: its death ends the stream */
}

void server_watch_clients(struct xshm_server *server) {
  struct end *end = &server->end;
  bool relays = server_count(server) > 1;
  if (relays != server->relaying) {
    server->relaying = relays;
    for (struct xshm_region *region = end->regions; region; region = region->next) {
      if (relays) server->relayed[region->index] = xshm_revision(region);
      if (relays) shim_revision_park(&end->parked[region->index]);
      else if (!end->is_watching) shim_revision_unpark(&end->parked[region->index]);
    }
  }
  if (!relays && !end->is_watching) return;
  for (struct served_client *client = server->clients; client; client = client->next)
    give_bell(server, client);
}

static uint32_t poll_fill(struct end *end, struct pollfd *polls, uint32_t capacity) {
  uint32_t count = 0;
  const struct xshm_server *server = (struct xshm_server *)end;
  for (const struct served_client *client = server->clients; client && count < capacity;
       client = client->next) {
    if (client->own_bell >= 0) polls[count++] = (struct pollfd){.fd = client->own_bell, .events = POLLIN};
  }
  return count;
}

static void forget_own_bell(struct xshm_server *server, struct served_client *client) {
  if (client->own_bell >= 0) server->end.extra_polls--;
  bell_close(&client->own_bell);
}

static void polled(struct end *end, const struct pollfd *polls, uint32_t count) {
  struct xshm_server *server = (struct xshm_server *)end;
  bool rung = false;
  /* The same clients, in the same order: they come and go on this thread, after this call. */
  for (struct served_client *client = server->clients; client && count > 0; client = client->next) {
    if (client->own_bell < 0 || client->own_bell != polls->fd) continue;
    if (polls->revents != 0) {
      rung = true;
      if (!bell_take(client->own_bell)) forget_own_bell(server, client);
    }
    polls++;
    count--;
  }
  if (rung) server_rung(server);
}

/* ------------------------------------------------------------------------------- clients come and go ---- */

static void on_peer(struct end *end, shim_link *link) {
  struct xshm_server *server = (struct xshm_server *)end;
  struct served_client *client = calloc(1, sizeof *client);
  struct link_entry *entry = NULL;
  if (client) entry = end_add(end, link, client);
  else shim_link_reject(link);
  if (!entry) {
    free(client);
    return;
  }
  *client =
    (struct served_client){.next = server->clients, .entry = entry, .bell = -1, .own_bell = -1, .member = -1};
  server->clients = client;
  shim_link_activate(link);
  /* Its messages are looked at later, on this thread: a stranger's never, since the end comes first. */
  if (xpc_connection_get_euid((xpc_connection_t)shim_link_connection(link)) == shim_euid()) return;
  entry->context = NULL;
  server->clients = client->next;
  free(client);
  shim_link_cancel(link);
}

void server_remove_reader(struct served_client *client, struct served_reader *reader) {
  for (struct served_reader **place = &client->readers; *place; place = &(*place)->next) {
    if (*place != reader) continue;
    *place = reader->next;
    break;
  }
  shim_stream_reader_remove(reader->stream->writer, reader->place);
  (void)shim_memory_close(reader->leases.address, reader->leases.mapped);
  free(reader);
}

/* The steps of `src/link/PROTOCOL.md`: the mutexes are abandoned already, on XPC's thread. */
static void remove_client(struct xshm_server *server, struct served_client *client) {
  struct end *end = &server->end;
  for (struct served_client **place = &server->clients; *place; place = &(*place)->next) {
    if (*place != client) continue;
    *place = client->next;
    break;
  }
  while (client->readers) server_remove_reader(client, client->readers);
  if (client->owner != 0) {
    shim_audience_remove(end->audience, client->member);
    server_relay(server); /* it may have died between its commit and its ring */
    shim_link_forget_death(client->entry->link, client->death);
    shim_owner_free(client->death);
    (void)shim_memory_close(client->words.address, client->words.mapped);
  }
  forget_own_bell(server, client);
  bell_close(&client->bell);
  free(client);
  server_watch_clients(server);
  server_notify(server);
}

static void on_ended(struct end *end, struct link_entry *entry) {
  struct xshm_server *server = (struct xshm_server *)end;
  if (entry == server->listener) server->listener = NULL;
  else if (entry == server->broker) server_broker_ended(server);
  else if (entry->context) remove_client(server, entry->context);
}

static const struct end_calls calls = {
  .message = server_receive,
  .peer = on_peer,
  .ended = on_ended,
  .poll_fill = poll_fill,
  .polled = polled,
  .tick = server_keep_registered,
};

/* ------------------------------------------------------------------------------------ what is served ---- */

static bool has_name(const struct end *end, const char *name) {
  for (const struct xshm_region *region = end->regions; region; region = region->next) {
    if (strcmp(region->name, name) == 0) return true;
  }
  for (const struct xshm_stream *stream = end->streams; stream; stream = stream->next) {
    if (strcmp(stream->name, name) == 0) return true;
  }
  return false;
}

/* What regions and streams have in common. */
static int check(const struct end *end, uint32_t index, const char *name, uint64_t length,
                 xshm_error *error) {
  if (!peer_is_text(name)) {
    return peer_fail(error, XSHM_INVALID,
                     "Cannot serve a name that is empty, above 128 characters, or has control characters");
  }
  if (has_name(end, name)) return peer_fail(error, XSHM_INVALID, "Cannot serve \"%s\" twice", name);
  if (index >= SHMEM_MAX_REGIONS) {
    return peer_fail(error, XSHM_INVALID, "Cannot serve \"%s\": a service has at most %d regions and streams",
                     name, SHMEM_MAX_REGIONS);
  }
  if (length == 0 || length >= PEER_END / SHMEM_STREAM_MAX_SLOTS / 2) {
    return peer_fail(error, XSHM_INVALID, "Cannot serve \"%s\" with a length of %llu bytes", name,
                     (unsigned long long)length);
  }
  return XSHM_OK;
}

static int no_memory(const char *name, xshm_error *error) {
  return peer_fail(error, XSHM_MEMORY, "Cannot serve \"%s\": no memory or thread can be had", name);
}

static void begin_generation(struct end *end, uint32_t index) {
  atomic_store((_Atomic uint64_t *)&end->server->regions[index].generation, 1);
}

static int add_region(struct end *end, uint32_t index, const xshm_region_options *options,
                      xshm_error *error) {
  const char *name = options->name;
  int result = check(end, index, name, options->length, error);
  if (result != XSHM_OK) return result;
  if (options->clients != XSHM_READ && options->clients != XSHM_WRITE) {
    return peer_fail(error, XSHM_INVALID, "Cannot serve \"%s\": `clients` is XSHM_READ or XSHM_WRITE", name);
  }
  struct xshm_region *region = calloc(1, sizeof *region);
  if (!region) return no_memory(name, error);
  *region = (struct xshm_region){.name = peer_copy(name),
                                 .index = index,
                                 .generation = 1,
                                 .length = options->length,
                                 .memory = {.fd = -1},
                                 .is_shared = options->clients == XSHM_WRITE,
                                 .is_writable = true};
  int failed = !region->name       ? -1
               : region->is_shared ? shim_memory_create(region->length, &region->memory)
                                   : shim_memory_create_read_only(region->length, &region->memory);
  if (failed != 0) {
    region_free(region);
    return no_memory(name, error);
  }
  region_add(end, region);
  begin_generation(end, index);
  return XSHM_OK;
}

static int add_stream(struct end *end, uint32_t index, const xshm_stream_options *options,
                      xshm_error *error) {
  const char *name = options->name;
  const uint32_t slots = options->slots == 0 ? DEFAULT_SLOTS : options->slots;
  int result = check(end, index, name, options->length, error);
  if (result != XSHM_OK) return result;
  if (slots < 2 || slots > SHMEM_STREAM_MAX_SLOTS) {
    return peer_fail(error, XSHM_INVALID, "Cannot serve \"%s\" with %u slots: 2 to %d can be", name, slots,
                     SHMEM_STREAM_MAX_SLOTS);
  }
  struct xshm_stream *stream = calloc(1, sizeof *stream);
  if (!stream) return no_memory(name, error);
  *stream =
    (struct xshm_stream){.name = peer_copy(name),
                         .end = end,
                         .index = index,
                         .slots = slots,
                         .generation = 1,
                         .length = options->length,
                         .offset = (SHMEM_STREAM_HEADER_BYTES + STREAM_UNIT - 1) / STREAM_UNIT * STREAM_UNIT,
                         .stride = (options->length + STREAM_UNIT - 1) / STREAM_UNIT * STREAM_UNIT,
                         .memory = {.fd = -1},
                         .leases = {.fd = -1},
                         .revision = &end->server->regions[index].revision};
  if (stream->name &&
      shim_memory_create_read_only(stream->offset + slots * stream->stride, &stream->memory) == 0) {
    stream->writer =
      shim_stream_writer_create(stream->memory.address, slots, 0, end->audience, stream->revision, index);
  }
  if (!stream->writer) {
    stream_free(stream);
    return no_memory(name, error);
  }
  struct xshm_stream **place = &end->streams;
  while (*place) place = &(*place)->next;
  *place = stream;
  begin_generation(end, index);
  return XSHM_OK;
}

static int make(struct xshm_server *server, const xshm_service *service, xshm_error *error) {
  struct end *end = &server->end;
  if (shim_memory_create_read_only(SHMEM_SERVER_BYTES, &server->words) != 0 ||
      shim_memory_create(SHMEM_LOCK_BYTES, &server->locks) != 0) {
    return no_memory(server->name, error);
  }
  end->server = server->words.address;
  end->locks = server->locks.address;
  end->owner = server->last_owner = SHMEM_SERVER_OWNER;
  end->parked = end->server->parked;
  end->audience = shim_audience_create();
  /* Our own threads wait for what other threads of ours commit, too. */
  if (!end->audience || shim_audience_add(end->audience, end->parked, SHMEM_MAX_REGIONS, -1) < 0) {
    return no_memory(server->name, error);
  }
  int result = XSHM_OK;
  uint32_t index = 0;
  for (const xshm_region_options *each = service->regions; each && each->name && result == XSHM_OK; each++) {
    result = add_region(end, index++, each, error);
  }
  for (const xshm_stream_options *each = service->streams; each && each->name && result == XSHM_OK; each++) {
    result = add_stream(end, index++, each, error);
  }
  return result;
}

/* -------------------------------------------------------------------------------- its life, in all ---- */

static void free_server(struct xshm_server *server) {
  struct end *end = &server->end;
  end_free_opened(end);
  shim_audience_free(end->audience);
  end_unmap(&server->words);
  if (server->words.fd >= 0) (void)shim_descriptor_close((int32_t)server->words.fd);
  end_unmap(&server->locks);
  bell_close(&server->bell[0]);
  bell_close(&server->bell[1]);
  free(server->name);
  free(server->service);
  free(server);
}

static int listen_and_register(struct xshm_server *server, xshm_error *error) {
  struct end *end = &server->end;
  server->listener = end_add(end, shim_link_listen_anonymous(end->queue), &server->listener);
  if (!server->listener) return no_memory(server->name, error);
  shim_link_activate(server->listener->link);
  server->settled = false; /* now the thread registers */
  end_poke(end);
  const uint64_t deadline = shim_deadline(PEER_PATIENCE);
  while (!server->settled && end_wait(end, deadline)) continue;
  if (server->registration) return XSHM_OK;
  if (server->settled) return peer_fail(error, server->failure.code, "%s", server->failure.message);
  return peer_fail(error, XSHM_NO_BROKER, "Cannot serve \"%s\": the broker at \"%s\" does not answer",
                   server->name, server->service);
}

static void stop(struct xshm_server *server) {
  struct end *end = &server->end;
  pthread_mutex_lock(&end->lock);
  end_unlock_all(end);
  for (struct link_entry *entry = end->links; entry; entry = entry->next) {
    if (entry != server->broker) shim_link_cancel(entry->link);
  }
  if (server->broker && server->registered) {
    xpc_object_t request = peer_request("unregister");
    xpc_dictionary_set_string(request, "name", server->name);
    xpc_dictionary_set_uint64(request, "generation", server->registration);
    /* The end of the connection says the same, but later. */
    xpc_object_t reply = end_ask(end, server->broker, request, shim_deadline(1000));
    if (reply) xpc_release(reply);
  }
  server->replaced = true; /* not to be registered again */
  pthread_mutex_unlock(&end->lock);
  end_stop(end);
  free_server(server);
}

xshm_server *xshm_serve(const char *name, const xshm_service *service, xshm_error *error) {
  static const xshm_service nothing = {0};
  if (!service) service = &nothing;
  if (!peer_is_service_name(name) || (service->broker && !peer_is_service_name(service->broker))) {
    (void)peer_fail(error, XSHM_INVALID,
                    "Cannot serve: a name has 1 to 128 of the characters A-Z a-z 0-9 . _ -");
    return NULL;
  }
  struct xshm_server *server = calloc(1, sizeof *server);
  if (!server) {
    (void)no_memory(name, error);
    return NULL;
  }
  server->bell[0] = server->bell[1] = -1;
  server->words.fd = server->locks.fd = -1;
  server->settled = true; /* the thread does not register before there is a listener */
  server->name = peer_copy(name);
  server->service = peer_copy(service->broker ? service->broker : PEER_DEFAULT_BROKER);
  server->has_schema = service->schema;
  if (service->schema) peer_sha256(service->schema, server->schema);
  int result = server->name && server->service ? make(server, service, error) : no_memory(name, error);
  if (result == XSHM_OK && end_start(&server->end, &calls) != XSHM_OK) result = no_memory(name, error);
  if (result != XSHM_OK) {
    free_server(server);
    return NULL;
  }
  pthread_mutex_lock(&server->end.lock);
  result = listen_and_register(server, error);
  pthread_mutex_unlock(&server->end.lock);
  if (result == XSHM_OK) return server;
  stop(server);
  return NULL;
}

void xshm_server_close(xshm_server *server) {
  if (server) stop(server);
}

xshm_region *xshm_server_region(xshm_server *server, const char *name) {
  struct xshm_region *region = server->end.regions; /* the list never changes */
  while (region && name && strcmp(region->name, name) != 0) region = region->next;
  return name ? region : NULL;
}

xshm_stream *xshm_server_stream(xshm_server *server, const char *name) {
  struct xshm_stream *stream = server->end.streams; /* likewise */
  while (stream && name && strcmp(stream->name, name) != 0) stream = stream->next;
  return name ? stream : NULL;
}

size_t xshm_server_clients(const xshm_server *server) {
  pthread_mutex_t *lock = (pthread_mutex_t *)&server->end.lock; /* not part of what is const */
  pthread_mutex_lock(lock);
  size_t count = server_count(server);
  pthread_mutex_unlock(lock);
  return count;
}

bool xshm_server_is_registered(const xshm_server *server) {
  pthread_mutex_t *lock = (pthread_mutex_t *)&server->end.lock; /* likewise */
  pthread_mutex_lock(lock);
  bool registered = server->registered;
  pthread_mutex_unlock(lock);
  return registered;
}

int xshm_server_descriptor(xshm_server *server) {
  struct end *end = &server->end;
  pthread_mutex_lock(&end->lock);
  if (server->bell[0] < 0 && shim_bell_pair(server->bell) != 0) server->bell[0] = server->bell[1] = -1;
  if (server->bell[0] >= 0 && !end->is_watching) {
    end_watch_all(end);
    server_watch_clients(server);
    end_poke(end); /* there may be more doorbells to look at */
  }
  int fd = server->bell[0];
  pthread_mutex_unlock(&end->lock);
  return fd;
}

int xshm_server_clear(xshm_server *server) {
  (void)bell_take(server->bell[0]); /* our own other end keeps it open */
  return XSHM_OK;
}

size_t xshm_stream_readers(xshm_stream *stream) {
  if (!stream->writer) return 0;
  const struct xshm_server *server = (struct xshm_server *)stream->end;
  size_t count = 0;
  pthread_mutex_lock(&stream->end->lock);
  for (const struct served_client *client = server->clients; client; client = client->next) {
    for (const struct served_reader *reader = client->readers; reader; reader = reader->next) {
      count += reader->stream == stream;
    }
  }
  pthread_mutex_unlock(&stream->end->lock);
  return count;
}

/* Whether one of the readers with these places in the stream's writer is of this client. */
static bool holds(const struct served_client *client, const struct xshm_stream *stream, const int32_t *places,
                  uint32_t count) {
  for (const struct served_reader *reader = client->readers; reader; reader = reader->next) {
    for (uint32_t i = 0; i < count && reader->stream == stream; i++) {
      if (places[i] == reader->place) return true;
    }
  }
  return false;
}

static bool contains(const int *pids, size_t count, int pid) {
  for (size_t i = 0; i < count; i++) {
    if (pids[i] == pid) return true;
  }
  return false;
}

size_t xshm_stream_holders(xshm_stream *stream, int *pids, size_t capacity) {
  enum { MOST = 256 };
  int32_t places[MOST];
  size_t count = 0;
  if (!stream->writer) return 0;
  const struct xshm_server *server = (struct xshm_server *)stream->end;
  pthread_mutex_lock(&stream->end->lock);
  uint32_t found = shim_stream_holders(stream->writer, places, MOST);
  if (found > MOST) found = MOST;
  for (const struct served_client *client = server->clients; client && count < capacity;
       client = client->next) {
    if (!holds(client, stream, places, found)) continue;
    int pid = (int)xpc_connection_get_pid((xpc_connection_t)shim_link_connection(client->entry->link));
    if (!contains(pids, count, pid)) pids[count++] = pid;
  }
  pthread_mutex_unlock(&stream->end->lock);
  return count;
}
