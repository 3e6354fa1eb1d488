/* server_requests.c: what clients ask a server. Each function answers NULL, or the code of a refusal. */
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define MAX_READERS_OF_CLIENT 64

/* -------------------------------------------------------------------------------------------- hello ---- */

static bool is_list_of(xpc_object_t list, xpc_type_t type, size_t most) {
  if (!list) return true;
  if (xpc_get_type(list) != XPC_TYPE_ARRAY || xpc_array_get_count(list) > most) return false;
  for (size_t i = 0; i < xpc_array_get_count(list); i++) {
    if (xpc_get_type(xpc_array_get_value(list, i)) != type) return false;
  }
  return true;
}

/* The keys that come after the versions. */
static const char *check_hello(const struct xshm_server *server, const struct served_client *client,
                               xpc_object_t request) {
  xpc_object_t schema = xpc_dictionary_get_value(request, "schema");
  xpc_object_t label = xpc_dictionary_get_value(request, "label");
  if (schema && xpc_get_type(schema) == XPC_TYPE_NULL) schema = NULL;
  if (!peer_typed(request, "words", XPC_TYPE_SHMEM) || (schema && xpc_get_type(schema) != XPC_TYPE_DATA) ||
      !is_list_of(xpc_dictionary_get_value(request, "features"), XPC_TYPE_STRING, SIZE_MAX) ||
      (label && !peer_is_text(peer_string(request, "label"))) || client->owner != 0) {
    return "bad_request";
  }
  if (!schema != !server->has_schema) return "incompatible";
  if (schema) {
    const void *digest = xpc_data_get_bytes_ptr(schema);
    if (!digest || xpc_data_get_length(schema) != PEER_DIGEST_BYTES ||
        memcmp(digest, server->schema, PEER_DIGEST_BYTES) != 0) {
      return "incompatible";
    }
  }
  bool estate =
    is_list_of(xpc_dictionary_get_value(request, "estate"), XPC_TYPE_DICTIONARY, SHMEM_MAX_REGIONS);
  return estate ? NULL : "bad_request";
}

static const char *check_versions(xpc_object_t request) {
  uint64_t min, max, layout;
  if (!peer_integer(request, "min", UINT64_MAX, &min) || !peer_integer(request, "max", UINT64_MAX, &max) ||
      min > max) {
    return "bad_request";
  }
  if (min > 1 || max < 1) return "incompatible";
  if (!peer_integer(request, "layout", UINT64_MAX, &layout)) return "bad_request";
  return layout == SHMEM_LAYOUT_VERSION ? NULL : "incompatible";
}

/* Takes back what a hello that fails half-way has made. */
static const char *undo_hello(struct xshm_server *server, struct served_client *client) {
  if (client->member >= 0) shim_audience_remove(server->end.audience, client->member);
  shim_owner_free(client->death);
  if (client->words.address) (void)shim_memory_close(client->words.address, client->words.mapped);
  client->member = -1;
  client->death = NULL;
  client->words = (shim_mapping){0};
  return "failed";
}

static const char *make_client(struct xshm_server *server, struct served_client *client, xpc_object_t words) {
  struct end *end = &server->end;
  if (server->last_owner >= SHMEM_MUTEX_OWNER) return "failed";
  if (shim_memory_open(words, SHMEM_CLIENT_BYTES, &client->words) != 0) return "failed";
  struct shmem_client_words *theirs = client->words.address;
  client->death =
    shim_owner_create(end->locks->regions, &end->locks->regions[0].revision, SHMEM_STRIDE, SHMEM_MAX_REGIONS,
                      server->last_owner + 1, NULL, &end->locks->turns, NULL);
  client->member = shim_audience_add(end->audience, theirs->parked, SHMEM_MAX_REGIONS, -1);
  if (!client->death || client->member < 0) return undo_hello(server, client);
  if (shim_link_on_death(client->entry->link, shim_owner_death_call(), client->death) != 0) {
    return undo_hello(server, client);
  }
  client->owner = ++server->last_owner;
  return NULL;
}

static bool set_bell(struct xshm_server *server, struct served_client *client, xpc_object_t bell) {
  int fd = bell ? xpc_fd_dup(bell) : -1;
  if (fd < 0) return false;
  client->bell = fd;
  shim_audience_set_bell(server->end.audience, client->member, fd);
  return true;
}

static const char *hello(struct xshm_server *server, struct served_client *client, xpc_object_t request,
                         xpc_object_t reply) {
  const char *code = check_versions(request);
  if (!code) code = check_hello(server, client, request);
  if (!code) code = make_client(server, client, peer_typed(request, "words", XPC_TYPE_SHMEM));
  if (code) return code;
  xpc_dictionary_set_uint64(reply, "version", 1);
  xpc_dictionary_set_uint64(reply, "owner", client->owner);
  peer_set(reply, "server", xpc_fd_create((int)server->words.fd));
  peer_set(reply, "locks", xpc_shmem_create(server->locks.address, (size_t)server->locks.mapped));
  xpc_object_t features = xpc_array_create(NULL, 0);
  if (peer_lists(request, "features", "bells")) {
    bool taken = set_bell(server, client, peer_typed(request, "bell", XPC_TYPE_FD));
    if (taken) xpc_array_set_string(features, XPC_ARRAY_APPEND, "bells");
    int32_t bell = server_make_bell(server, client);
    if (bell >= 0) peer_set(reply, "bell", xpc_fd_create(bell));
    bell_close(&bell);
  }
  peer_set(reply, "features", features);
  server_watch_clients(server); /* before the answer: what this client commits reaches the others */
  server_notify(server);
  return NULL;
}

/* ---------------------------------------------------------------------------------- regions and streams ---- */

static struct xshm_region *find_region(const struct xshm_server *server, const char *name) {
  struct xshm_region *region = server->end.regions;
  while (region && strcmp(region->name, name) != 0) region = region->next;
  return region;
}

static struct xshm_stream *find_stream(const struct xshm_server *server, const char *name) {
  struct xshm_stream *stream = server->end.streams;
  while (stream && strcmp(stream->name, name) != 0) stream = stream->next;
  return stream;
}

static const char *open_region(struct xshm_server *server, xpc_object_t request, xpc_object_t reply) {
  const char *name = peer_string(request, "name");
  if (!name) return "bad_request";
  const struct xshm_region *region = find_region(server, name);
  if (!region) return "not_found";
  xpc_dictionary_set_uint64(reply, "index", region->index);
  xpc_dictionary_set_uint64(reply, "generation", region->generation);
  xpc_dictionary_set_uint64(reply, "byteLength", region->length);
  peer_set(reply, "memory",
           region->is_shared ? xpc_shmem_create(region->memory.address, (size_t)region->memory.mapped)
                             : xpc_fd_create((int)region->memory.fd));
  return NULL;
}

static uint32_t count_readers(const struct served_client *client, const struct xshm_stream *stream) {
  uint32_t count = 0;
  for (struct served_reader *reader = client->readers; reader; reader = reader->next) {
    count += reader->stream == stream;
  }
  return count;
}

/* Makes a reader; NULL where it cannot be had. */
static struct served_reader *add_reader(struct xshm_server *server, struct served_client *client,
                                        struct xshm_stream *stream, xpc_object_t leases) {
  struct served_reader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  if (shim_memory_open(leases, SHMEM_STREAM_LEASES_BYTES, &reader->leases) != 0) {
    free(reader);
    return NULL;
  }
  reader->place =
    shim_stream_reader_add(stream->writer, reader->leases.address, shim_owner_dead(client->death));
  if (reader->place < 0) {
    (void)shim_memory_close(reader->leases.address, reader->leases.mapped);
    free(reader);
    return NULL;
  }
  reader->stream = stream;
  reader->number = ++server->last_reader;
  reader->next = client->readers;
  client->readers = reader;
  return reader;
}

static const char *open_stream(struct xshm_server *server, struct served_client *client, xpc_object_t request,
                               xpc_object_t reply) {
  const char *name = peer_string(request, "name");
  xpc_object_t leases = peer_typed(request, "leases", XPC_TYPE_SHMEM);
  if (!name || !leases) return "bad_request";
  struct xshm_stream *stream = find_stream(server, name);
  if (!stream) return "not_found";
  if (count_readers(client, stream) >= MAX_READERS_OF_CLIENT) return "failed";
  const struct served_reader *reader = add_reader(server, client, stream, leases);
  if (!reader) return "failed";
  xpc_dictionary_set_uint64(reply, "index", stream->index);
  xpc_dictionary_set_uint64(reply, "generation", stream->generation);
  xpc_dictionary_set_uint64(reply, "byteLength", stream->length);
  xpc_dictionary_set_uint64(reply, "slots", stream->slots);
  xpc_dictionary_set_uint64(reply, "offset", stream->offset);
  xpc_dictionary_set_uint64(reply, "stride", stream->stride);
  xpc_dictionary_set_uint64(reply, "reader", reader->number);
  peer_set(reply, "memory", xpc_fd_create((int)stream->memory.fd));
  return NULL;
}

static const char *close_stream(struct xshm_server *server, struct served_client *client,
                                xpc_object_t request) {
  uint64_t generation, number;
  if (!peer_string(request, "name") || !peer_integer(request, "generation", PEER_END - 1, &generation) ||
      !peer_integer(request, "reader", PEER_END - 1, &number)) {
    return "bad_request";
  }
  /* Numbers are never given again, so they name the stream and its generation too. */
  for (struct served_reader *reader = client->readers; reader; reader = reader->next) {
    if (reader->number != number) continue;
    server_remove_reader(client, reader);
    server_notify(server); /* a slot may be free */
    break;
  }
  return NULL;
}

static const char *describe(const struct xshm_server *server, xpc_object_t reply) {
  xpc_object_t regions = xpc_array_create(NULL, 0), streams = xpc_array_create(NULL, 0);
  for (const struct xshm_region *region = server->end.regions; region; region = region->next) {
    xpc_object_t entry = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(entry, "name", region->name);
    xpc_dictionary_set_string(entry, "clients", region->is_shared ? "write" : "read");
    xpc_dictionary_set_uint64(entry, "byteLength", region->length);
    xpc_dictionary_set_uint64(entry, "generation", region->generation);
    xpc_dictionary_set_uint64(entry, "revision", xshm_revision(region));
    xpc_array_append_value(regions, entry);
    xpc_release(entry);
  }
  for (const struct xshm_stream *stream = server->end.streams; stream; stream = stream->next) {
    xpc_object_t entry = xpc_dictionary_create(NULL, NULL, 0);
    const struct shmem_stream_header *header = stream->memory.address;
    uint64_t newest = atomic_load((const _Atomic uint64_t *)&header->newest), readers = 0;
    for (const struct served_client *client = server->clients; client; client = client->next) {
      readers += count_readers(client, stream);
    }
    xpc_dictionary_set_string(entry, "name", stream->name);
    xpc_dictionary_set_uint64(entry, "byteLength", stream->length);
    xpc_dictionary_set_uint64(entry, "slots", stream->slots);
    xpc_dictionary_set_uint64(entry, "generation", stream->generation);
    xpc_dictionary_set_uint64(entry, "sequence", newest / SHMEM_STREAM_SEQUENCE_UNIT);
    xpc_dictionary_set_uint64(entry, "readers", readers);
    xpc_array_append_value(streams, entry);
    xpc_release(entry);
  }
  peer_set(reply, "regions", regions);
  peer_set(reply, "streams", streams);
  peer_set(reply, "locks", xpc_array_create(NULL, 0));
  return NULL;
}

/* ------------------------------------------------------------------------------------ all that is asked ---- */

static const char *take_bell(struct xshm_server *server, struct served_client *client, xpc_object_t request) {
  xpc_object_t bell = peer_typed(request, "bell", XPC_TYPE_FD);
  if (!bell) return "bad_request";
  return client->bell < 0 && set_bell(server, client, bell) ? NULL : "failed";
}

/* What a server of this library has none of. */
static const char *refuse(const char *op, xpc_object_t request) {
  static const struct {
    const char *op, *code;
    bool is_named;
  } known[] = {
    {"lock", "not_found", true},      {"channel", "not_found", true},    {"channel_close", "not_found", true},
    {"request", "no_handler", false}, {"received", "no_handler", false}, {"give", "failed", true},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].op, op) != 0) continue;
    return known[i].is_named && !peer_string(request, "name") ? "bad_request" : known[i].code;
  }
  return "bad_request";
}

static bool is_known(const char *op) {
  static const char *const known[] = {"open",         "lock",    "bell",          "stream",
                                      "stream_close", "channel", "channel_close", "request",
                                      "received",     "give",    "committed"};
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i], op) == 0) return true;
  }
  return false;
}

static const char *answer(struct xshm_server *server, struct served_client *client, const char *op,
                          xpc_object_t request, xpc_object_t reply) {
  if (strcmp(op, "hello") == 0) return hello(server, client, request, reply);
  if (strcmp(op, "describe") == 0) return describe(server, reply);
  if (!is_known(op)) return "bad_request";
  if (client->owner == 0) return "hello_first";
  if (strcmp(op, "open") == 0) return open_region(server, request, reply);
  if (strcmp(op, "stream") == 0) return open_stream(server, client, request, reply);
  if (strcmp(op, "stream_close") == 0) return close_stream(server, client, request);
  if (strcmp(op, "bell") == 0) return take_bell(server, client, request);
  if (strcmp(op, "committed") == 0) return server_rung(server), NULL;
  return refuse(op, request);
}

void server_receive(struct end *end, struct link_entry *from, xpc_object_t message) {
  struct xshm_server *server = (struct xshm_server *)end;
  if (from == server->broker) {
    server_broker_said(server, message);
    return;
  }
  struct served_client *client = from->context;
  if (!client || from == server->listener) return;
  const char *op = peer_string(message, "op");
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) {
    if (op && strcmp(op, "committed") == 0 && client->owner != 0) server_rung(server);
    return;
  }
  const char *code = answer(server, client, op ? op : "", message, reply);
  xpc_dictionary_set_bool(reply, "ok", !code);
  if (code) {
    xpc_dictionary_set_string(reply, "code", code);
    xpc_dictionary_set_string(reply, "message", "the server refuses it");
  }
  shim_link_send(from->link, reply);
  xpc_release(reply);
}
