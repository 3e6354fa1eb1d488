/* client.c: a client of a link: hello, open, the doorbells, and the end of the server. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "peer.h"

struct xshm_client {
  struct end end;
  struct link_entry *broker, *link; /* NULL once they are over */
  shim_mapping words, server, locks;
  shim_owner *death;
  int32_t bell[2];          /* what the server rings: our end, and the one for it until hello is over */
  bool bell_given;          /* the server has it */
  int32_t server_bell;      /* what we ring, or -1 */
  int32_t member;           /* the server in the audience */
  bool noting, notes_again; /* a note `committed` is under way, and something was committed since */
  uint32_t noted;
};

static struct shmem_client_words *words_of(const struct xshm_client *client) { return client->words.address; }

static void ignore(struct end *end, xpc_object_t reply) {
  (void)end;
  (void)reply;
}

/* ------------------------------------------------------------------------------- what the server says ---- */

/* The note may come before the reply to hello, so it needs nothing that hello brings. */
static void take_bell(struct xshm_client *client, xpc_object_t bell) {
  if (!bell || client->server_bell >= 0) return;
  int fd = xpc_fd_dup(bell);
  if (fd < 0) return; /* without it, notes do */
  client->server_bell = fd;
  (void)shim_bell_ring(fd); /* for what was committed without it */
  if (client->end.audience) shim_audience_set_bell(client->end.audience, client->member, fd);
}

static void on_message(struct end *end, struct link_entry *from, xpc_object_t message) {
  struct xshm_client *client = (struct xshm_client *)end;
  if (from != client->link) return;
  const char *event = peer_string(message, "event");
  if (event && strcmp(event, "bell") == 0) take_bell(client, peer_typed(message, "bell", XPC_TYPE_FD));
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_dictionary_set_bool(reply, "ok", false);
  xpc_dictionary_set_string(reply, "code", "no_handler");
  xpc_dictionary_set_string(reply, "message", "Cannot answer: this client takes no requests");
  shim_link_send(from->link, reply);
  xpc_release(reply);
}

/* The pointer that shows a link is cleared; that the server is gone, the words tell already where hello was said. */
static void on_ended(struct end *end, struct link_entry *entry) {
  struct xshm_client *client = (struct xshm_client *)end;
  if (entry == client->link) {
    atomic_store((_Atomic uint32_t *)&words_of(client)->gone, 1);
    if (client->bell[0] >= 0) (void)shutdown(client->bell[0], SHUT_RD); /* readable for ever */
  }
  struct link_entry **shown = entry->context;
  if (shown) *shown = NULL;
}

static const struct end_calls calls = {.message = on_message, .ended = on_ended};

/* ---------------------------------------------------------------------------------------------- notes ---- */

static void note(struct xshm_client *client);

static void noted(struct end *end, xpc_object_t reply) {
  struct xshm_client *client = (struct xshm_client *)end;
  (void)reply;
  client->noting = false;
  if (client->notes_again) note(client);
}

/* Tells the server of a commit, where it has given no doorbell yet: one note at a time. */
static void note(struct xshm_client *client) {
  client->notes_again = client->noting;
  if (client->noting || !client->link) return;
  xpc_object_t request = peer_request("committed");
  xpc_dictionary_set_uint64(request, "index", client->noted);
  client->noting = end_request(&client->end, client->link, request, noted);
}

static void on_committed(struct end *end, uint32_t index) {
  struct xshm_client *client = (struct xshm_client *)end;
  if (client->server_bell >= 0) return;
  if ((shim_word_load(&end->server->parked[index]) & SHMEM_PARKED_BELL) == 0) return;
  client->noted = index;
  note(client);
}

/* ---------------------------------------------------------------------------------------------- hello ---- */

static xpc_object_t make_hello(const struct xshm_client *client, const xshm_connect_options *options) {
  xpc_object_t request = peer_request("hello");
  xpc_dictionary_set_uint64(request, "min", 1);
  xpc_dictionary_set_uint64(request, "max", 1);
  xpc_dictionary_set_uint64(request, "layout", SHMEM_LAYOUT_VERSION);
  peer_set(request, "words", xpc_shmem_create(client->words.address, (size_t)client->words.mapped));
  if (options->schema) {
    uint8_t digest[PEER_DIGEST_BYTES];
    peer_sha256(options->schema, digest);
    xpc_dictionary_set_data(request, "schema", digest, sizeof digest);
  }
  if (options->label) xpc_dictionary_set_string(request, "label", options->label);
  xpc_object_t features = xpc_array_create(NULL, 0);
  xpc_array_set_string(features, XPC_ARRAY_APPEND, "bells");
  peer_set(request, "features", features);
  peer_set(request, "bell", xpc_fd_create(client->bell[1]));
  return request;
}

/* Takes the reply to hello. An enum xshm_result. */
static int take_hello(struct xshm_client *client, xpc_object_t reply, const char *name, xshm_error *error) {
  uint64_t version, owner;
  xpc_object_t server = peer_typed(reply, "server", XPC_TYPE_FD);
  xpc_object_t locks = peer_typed(reply, "locks", XPC_TYPE_SHMEM);
  if (!peer_integer(reply, "version", 1, &version) || version != 1 ||
      !peer_integer(reply, "owner", SHMEM_MUTEX_OWNER, &owner) || owner <= SHMEM_SERVER_OWNER || !server ||
      !locks || shim_memory_open_read_only(server, SHMEM_SERVER_BYTES, &client->server) != 0 ||
      shim_memory_open(locks, SHMEM_LOCK_BYTES, &client->locks) != 0) {
    return peer_fail(error, XSHM_UNUSABLE, "Cannot use the server of \"%s\": its answer makes no sense",
                     name);
  }
  struct end *end = &client->end;
  end->server = client->server.address;
  end->locks = client->locks.address;
  end->owner = (uint32_t)owner;
  end->audience = shim_audience_create();
  client->bell_given = peer_lists(reply, "features", "bells");
  take_bell(client, peer_typed(reply, "bell", XPC_TYPE_FD));
  if (end->audience) {
    client->member =
      shim_audience_add(end->audience, end->server->parked, SHMEM_MAX_REGIONS, client->server_bell);
  }
  client->death =
    shim_owner_create(end->locks->regions, &end->locks->regions[0].revision, SHMEM_STRIDE, SHMEM_MAX_REGIONS,
                      SHMEM_SERVER_OWNER, end->gone, &end->locks->turns, NULL);
  /* Our own threads wait for what other threads of ours commit, too. */
  if (!end->audience || client->member < 0 || !client->death ||
      shim_audience_add(end->audience, end->parked, SHMEM_MAX_REGIONS, -1) < 0 ||
      shim_link_on_death(client->link->link, shim_owner_death_call(), client->death) != 0) {
    return peer_fail(error, XSHM_MEMORY, "Cannot connect to \"%s\": no memory is left", name);
  }
  return XSHM_OK;
}

/* XSHM_GONE: the server was dead, or died: the next one is to be asked. */
static int say_hello(struct xshm_client *client, xpc_object_t endpoint, const char *name,
                     const xshm_connect_options *options, uint64_t deadline, xshm_error *error) {
  struct end *end = &client->end;
  client->link = end_add(end, shim_link_to_endpoint(end->queue, endpoint), &client->link);
  if (!client->link)
    return peer_fail(error, XSHM_MEMORY, "Cannot connect to \"%s\": no memory is left", name);
  shim_link_activate(client->link->link);
  xpc_object_t reply = end_ask(end, client->link, make_hello(client, options), deadline);
  if (!reply) {
    if (!client->link || shim_now() < deadline) return XSHM_GONE;
    return peer_fail(error, XSHM_TIMEOUT, "Cannot connect to \"%s\" in time: its server does not answer",
                     name);
  }
  int result = XSHM_OK;
  if (peer_refusal(reply)) result = peer_fail_reply(error, "connect to", name, reply);
  else if (!client->link) result = XSHM_GONE;
  else if (xpc_connection_get_euid(shim_link_connection(client->link->link)) != shim_euid())
    result =
      peer_fail(error, XSHM_UNUSABLE, "Cannot use the server of \"%s\": it runs as another user", name);
  else result = take_hello(client, reply, name, error);
  xpc_release(reply);
  return result;
}

/* Gives up a link that was not good enough. */
static void drop_link(struct xshm_client *client) {
  if (client->link) {
    client->link->context = NULL;
    shim_link_cancel(client->link->link);
    client->link = NULL;
  }
  bell_close(&client->server_bell);
  atomic_store((_Atomic uint32_t *)&words_of(client)->gone, 0);
}

/* A doorbell for the next server to be asked: the last one may have been closed with its server. */
static bool make_bell(struct xshm_client *client) {
  bell_close(&client->bell[0]);
  bell_close(&client->bell[1]);
  if (shim_bell_pair(client->bell) == 0) return true;
  client->bell[0] = client->bell[1] = -1;
  return false;
}

static int connect_locked(struct xshm_client *client, const char *name, int milliseconds,
                          const xshm_connect_options *options, xshm_error *error) {
  struct end *end = &client->end;
  const char *service = options->broker ? options->broker : PEER_DEFAULT_BROKER;
  const bool at_once = milliseconds == 0;
  const uint64_t deadline = shim_deadline(milliseconds), patience = shim_deadline(PEER_PATIENCE);
  uint64_t after = 0;
  for (;;) {
    xshm_error failure = {.code = XSHM_UNUSABLE};
    xpc_object_t endpoint =
      broker_find(end, &client->broker, service, name, deadline, at_once, &after, &failure);
    if (!endpoint) return peer_fail(error, failure.code, "%s", failure.message);
    if (!make_bell(client)) {
      xpc_release(endpoint);
      return peer_fail(error, XSHM_MEMORY, "Cannot connect to \"%s\": no descriptor can be had", name);
    }
    uint64_t answer = at_once || patience < deadline ? shim_deadline(PEER_PATIENCE) : deadline;
    int result = say_hello(client, endpoint, name, options, answer, error);
    xpc_release(endpoint);
    bell_close(&client->bell[1]); /* the server has its own by now */
    if (result == XSHM_OK) return XSHM_OK;
    drop_link(client);
    if (result != XSHM_GONE) return result;
  }
}

/* ----------------------------------------------------------------------------------- its life, in all ---- */

/* What is left once no thread is at work any more. */
static void free_client(struct xshm_client *client) {
  struct end *end = &client->end;
  end_free_opened(end);
  shim_owner_free(client->death);
  shim_audience_free(end->audience);
  bell_close(&client->bell[0]);
  bell_close(&client->bell[1]);
  bell_close(&client->server_bell);
  end_unmap(&client->words);
  end_unmap(&client->server);
  end_unmap(&client->locks);
  free(client);
}

static void stop(struct xshm_client *client) {
  pthread_mutex_lock(&client->end.lock);
  end_unlock_all(&client->end);
  /* It is we who leave: what the server holds it holds still. */
  if (client->death && client->link) shim_link_forget_death(client->link->link, client->death);
  pthread_mutex_unlock(&client->end.lock);
  end_stop(&client->end);
  free_client(client);
}

xshm_client *xshm_connect_with(const char *name, int milliseconds, const xshm_connect_options *options,
                               xshm_error *error) {
  static const xshm_connect_options none = {0};
  if (!options) options = &none;
  if (!peer_is_service_name(name) || (options->broker && !peer_is_service_name(options->broker))) {
    (void)peer_fail(error, XSHM_INVALID,
                    "Cannot connect: a name has 1 to 128 of the characters A-Z a-z 0-9 . _ -");
    return NULL;
  }
  if (options->label && !peer_is_text(options->label)) {
    (void)peer_fail(error, XSHM_INVALID, "Cannot connect to \"%s\": the label is empty, too long or no text",
                    name);
    return NULL;
  }
  struct xshm_client *client = calloc(1, sizeof *client);
  if (client) client->bell[0] = client->bell[1] = client->server_bell = -1;
  if (!client || shim_memory_create(SHMEM_CLIENT_BYTES, &client->words) != 0 ||
      end_start(&client->end, &calls) != XSHM_OK) {
    (void)peer_fail(error, XSHM_MEMORY, "Cannot connect to \"%s\": no memory or thread can be had", name);
    if (client) free_client(client);
    return NULL;
  }
  struct end *end = &client->end;
  pthread_mutex_lock(&end->lock);
  end->parked = words_of(client)->parked;
  end->gone = &words_of(client)->gone;
  int result = connect_locked(client, name, milliseconds, options, error);
  if (client->broker) {
    client->broker->context = NULL;
    shim_link_cancel(client->broker->link); /* the two apps talk directly now */
    client->broker = NULL;
  }
  end->committed = on_committed;
  pthread_mutex_unlock(&end->lock);
  if (result == XSHM_OK) return client;
  stop(client);
  return NULL;
}

xshm_client *xshm_connect(const char *name, int milliseconds, xshm_error *error) {
  return xshm_connect_with(name, milliseconds, NULL, error);
}

void xshm_client_close(xshm_client *client) {
  if (client) stop(client);
}

bool xshm_client_is_connected(const xshm_client *client) { return shim_word_load(client->end.gone) == 0; }

int xshm_client_descriptor(xshm_client *client) {
  struct end *end = &client->end;
  pthread_mutex_lock(&end->lock);
  if (!client->bell_given && client->link) {
    int32_t ends[2];
    bool made = shim_bell_pair(ends) == 0;
    if (made) {
      xpc_object_t request = peer_request("bell");
      peer_set(request, "bell", xpc_fd_create(ends[1]));
      xpc_object_t reply = end_ask(end, client->link, request, shim_deadline(PEER_PATIENCE));
      client->bell_given = reply && !peer_refusal(reply);
      if (reply) xpc_release(reply);
      (void)shim_descriptor_close(ends[1]);
      bell_close(&client->bell[0]);
      client->bell[0] = ends[0];
      if (!client->link) (void)shutdown(ends[0], SHUT_RD);
    }
  }
  /* A server that has no doorbell of ours tells nothing but its end. */
  if (client->bell_given && !end->is_watching) end_watch_all(end);
  int fd = client->bell[0];
  pthread_mutex_unlock(&end->lock);
  return fd;
}

int xshm_client_clear(xshm_client *client) {
  if (!xshm_client_is_connected(client)) return XSHM_GONE;
  (void)bell_take(client->bell[0]); /* its end is told above, or at the next call */
  return XSHM_OK;
}

/* -------------------------------------------------------------------------------------------- opening ---- */

/* Asks the server for something of a name. The reply, or NULL and an error. With the lock. */
static xpc_object_t ask_for(struct xshm_client *client, xpc_object_t request, const char *name,
                            xshm_error *error) {
  if (!client->link) {
    xpc_release(request);
    (void)peer_fail(error, XSHM_GONE, "Cannot open \"%s\": the server is gone", name);
    return NULL;
  }
  uint64_t deadline = shim_deadline(PEER_PATIENCE);
  xpc_object_t reply = end_ask(&client->end, client->link, request, deadline);
  if (!reply) {
    bool late = client->link && shim_now() >= deadline;
    (void)peer_fail(error, late ? XSHM_TIMEOUT : XSHM_GONE, "Cannot open \"%s\": the server %s", name,
                    late ? "does not answer" : "is gone");
    return NULL;
  }
  if (!peer_refusal(reply)) return reply;
  (void)peer_fail_reply(error, "open", name, reply);
  xpc_release(reply);
  return NULL;
}

/* The bytes of a region with the words of its tiles; 0: out of range. */
static uint64_t bytes_with_tiles(uint64_t length, uint64_t tile) {
  if (tile == 0) return length;
  uint64_t tiles = (length + tile - 1) / tile;
  uint64_t behind = (length + SHMEM_STRIDE - 1) / SHMEM_STRIDE * SHMEM_STRIDE;
  uint64_t all = behind + SHMEM_TILES_HEADER_BYTES + tiles * 8;
  return all < PEER_END ? all : 0;
}

static int take_region(struct xshm_region *region, xpc_object_t reply, xshm_access access) {
  uint64_t index, tile = 0;
  if (!peer_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !peer_integer(reply, "generation", PEER_END - 1, &region->generation) || region->generation == 0 ||
      !peer_integer(reply, "byteLength", PEER_END - 1, &region->length) || region->length == 0) {
    return XSHM_UNUSABLE;
  }
  if (xpc_dictionary_get_value(reply, "tileBytes") &&
      (!peer_integer(reply, "tileBytes", UINT64_C(1) << 30, &tile) || tile < 64 || tile % 64 != 0)) {
    return XSHM_UNUSABLE;
  }
  uint64_t bytes = bytes_with_tiles(region->length, tile);
  xpc_object_t shmem = peer_typed(reply, "memory", XPC_TYPE_SHMEM);
  xpc_object_t fd = peer_typed(reply, "memory", XPC_TYPE_FD);
  if (bytes == 0 || (!shmem && !fd) || region->length > SIZE_MAX) return XSHM_UNUSABLE;
  if (access == XSHM_WRITE && !shmem) return XSHM_READ_ONLY;
  int error = shmem ? shim_memory_open(shmem, bytes, &region->memory)
                    : shim_memory_open_read_only(fd, bytes, &region->memory);
  if (error != 0) return XSHM_UNUSABLE;
  region->index = (uint32_t)index;
  region->is_shared = shmem;
  region->is_writable = access == XSHM_WRITE;
  if (region->is_writable || !shmem) return XSHM_OK;
  return mprotect(region->memory.address, (size_t)region->memory.mapped, PROT_READ) == 0 ? XSHM_OK
                                                                                         : XSHM_MEMORY;
}

static int fail_to_open(int result, const char *name, xshm_error *error) {
  const char *why = result == XSHM_READ_ONLY ? "clients may only read it, so open it with XSHM_READ"
                    : result == XSHM_MEMORY  ? "no memory is left"
                                             : "the server's answer makes no sense";
  return peer_fail(error, result, "Cannot open \"%s\": %s", name, why);
}

static int open_locked(struct xshm_client *client, struct xshm_region *region, const char *name,
                       xshm_access access, xshm_error *error) {
  xpc_object_t request = peer_request("open");
  xpc_dictionary_set_string(request, "name", name);
  xpc_object_t reply = ask_for(client, request, name, error);
  if (!reply) return XSHM_REFUSED; /* it is told */
  int result = take_region(region, reply, access);
  xpc_release(reply);
  if (result != XSHM_OK) return fail_to_open(result, name, error);
  region_add(&client->end, region);
  return XSHM_OK;
}

xshm_region *xshm_open(xshm_client *client, const char *name, xshm_access access, xshm_error *error) {
  if (!peer_is_text(name) || (access != XSHM_READ && access != XSHM_WRITE)) {
    (void)peer_fail(error, XSHM_INVALID, "Cannot open a region: its name or the access is out of range");
    return NULL;
  }
  struct xshm_region *region = calloc(1, sizeof *region);
  if (!region) {
    (void)fail_to_open(XSHM_MEMORY, name, error);
    return NULL;
  }
  region->memory.fd = -1;
  pthread_mutex_lock(&client->end.lock);
  int result = open_locked(client, region, name, access, error);
  pthread_mutex_unlock(&client->end.lock);
  if (result == XSHM_OK) return region;
  region_free(region);
  return NULL;
}

/* Nothing rings for an index that nothing is open of. */
static void unwatch(struct end *end, uint32_t index) {
  for (struct xshm_region *region = end->regions; region; region = region->next) {
    if (region->index == index) return;
  }
  for (struct xshm_stream *stream = end->streams; stream; stream = stream->next) {
    if (stream->index == index) return;
  }
  shim_revision_unpark(&end->parked[index]);
}

void xshm_region_close(xshm_region *region) {
  if (!region || region->end->owner == SHMEM_SERVER_OWNER) return;
  struct end *end = region->end;
  pthread_mutex_lock(&end->lock);
  for (struct xshm_region **place = &end->regions; *place; place = &(*place)->next) {
    if (*place != region) continue;
    *place = region->next;
    break;
  }
  if (region->mutex && atomic_exchange(&region->holds, 0) != 0) {
    (void)shim_turn_unlock(region->mutex, &end->locks->turns, end->owner); /* or it was taken from us */
  }
  unwatch(end, region->index);
  pthread_mutex_unlock(&end->lock);
  region_free(region);
}

/* -------------------------------------------------------------------------------------------- streams ---- */

static int take_stream(struct xshm_stream *stream, xpc_object_t reply) {
  const uint64_t most = PEER_END - 1, unit = 16384;
  uint64_t index, slots;
  xpc_object_t memory = peer_typed(reply, "memory", XPC_TYPE_FD);
  if (!memory || !peer_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !peer_integer(reply, "generation", most, &stream->generation) ||
      !peer_integer(reply, "byteLength", most, &stream->length) || stream->length == 0 ||
      !peer_integer(reply, "slots", SHMEM_STREAM_MAX_SLOTS, &slots) || slots < 2 ||
      !peer_integer(reply, "offset", most, &stream->offset) || stream->offset < SHMEM_STREAM_HEADER_BYTES ||
      stream->offset % unit != 0 || !peer_integer(reply, "stride", most, &stream->stride) ||
      stream->stride < stream->length || stream->stride % unit != 0 ||
      stream->stride > (most - stream->offset) / slots ||
      !peer_integer(reply, "reader", most, &stream->number)) {
    return XSHM_UNUSABLE;
  }
  uint64_t bytes = stream->offset + slots * stream->stride;
  if (bytes > SIZE_MAX || shim_memory_open_read_only(memory, bytes, &stream->memory) != 0)
    return XSHM_UNUSABLE;
  stream->index = (uint32_t)index;
  stream->slots = (uint32_t)slots;
  return XSHM_OK;
}

static int open_stream_locked(struct xshm_client *client, struct xshm_stream *stream, bool every,
                              xshm_error *error) {
  struct end *end = &client->end;
  xpc_object_t request = peer_request("stream");
  xpc_dictionary_set_string(request, "name", stream->name);
  peer_set(request, "leases", xpc_shmem_create(stream->leases.address, (size_t)stream->leases.mapped));
  xpc_object_t reply = ask_for(client, request, stream->name, error);
  if (!reply) return XSHM_REFUSED; /* it is told */
  int result = take_stream(stream, reply);
  xpc_release(reply);
  if (result != XSHM_OK) return fail_to_open(result, stream->name, error);
  stream->end = end;
  stream->revision = &end->server->regions[stream->index].revision;
  stream->reader = shim_stream_reader_create(stream->memory.address, stream->slots, stream->leases.address,
                                             -1, end->audience, stream->revision, stream->index);
  if (!stream->reader) return fail_to_open(XSHM_MEMORY, stream->name, error);
  if (every) shim_stream_reader_want_every(stream->reader);
  stream->next = end->streams;
  end->streams = stream;
  end_watch(end, stream->index);
  return XSHM_OK;
}

static xshm_stream *open_stream(xshm_client *client, const char *name, bool every, xshm_error *error) {
  if (!peer_is_text(name)) {
    (void)peer_fail(error, XSHM_INVALID, "Cannot open a stream: its name is empty, too long or no text");
    return NULL;
  }
  struct xshm_stream *stream = calloc(1, sizeof *stream);
  if (stream) stream->memory.fd = stream->leases.fd = -1;
  if (!stream || !(stream->name = peer_copy(name)) ||
      shim_memory_create(SHMEM_STREAM_LEASES_BYTES, &stream->leases) != 0) {
    (void)fail_to_open(XSHM_MEMORY, name, error);
    if (stream) stream_free(stream);
    return NULL;
  }
  pthread_mutex_lock(&client->end.lock);
  int result = open_stream_locked(client, stream, every, error);
  if (result != XSHM_OK) stream_free(stream); /* with the lock: a reader touches the audience */
  pthread_mutex_unlock(&client->end.lock);
  return result == XSHM_OK ? stream : NULL;
}

xshm_stream *xshm_stream_open(xshm_client *client, const char *name, xshm_error *error) {
  return open_stream(client, name, false, error);
}

xshm_stream *xshm_stream_open_every(xshm_client *client, const char *name, xshm_error *error) {
  return open_stream(client, name, true, error);
}

void xshm_stream_close(xshm_stream *stream) {
  if (!stream || !stream->reader) return;
  struct end *end = stream->end;
  struct xshm_client *client = (struct xshm_client *)end;
  pthread_mutex_lock(&end->lock);
  for (struct xshm_stream **place = &end->streams; *place; place = &(*place)->next) {
    if (*place != stream) continue;
    *place = stream->next;
    break;
  }
  unwatch(end, stream->index);
  if (client->link) {
    xpc_object_t request = peer_request("stream_close");
    xpc_dictionary_set_string(request, "name", stream->name);
    xpc_dictionary_set_uint64(request, "generation", stream->generation);
    xpc_dictionary_set_uint64(request, "reader", stream->number);
    (void)end_request(end, client->link, request, ignore); /* or the reader ends with the link */
  }
  stream_free(stream);
  pthread_mutex_unlock(&end->lock);
}
