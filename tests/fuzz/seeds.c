/*
 * seeds.c: writes the fuzzers' first inputs, made by the library's own encoder: `seeds FOLDER` fills
 * FOLDER/decoder and FOLDER/receive.
 */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inputs.h"
#include "internal.h"

/* An input under way. */
struct input {
  uint8_t bytes[1 << 17];
  size_t length;
};

static void put(struct input *input, const void *bytes, size_t length) {
  FUZZ_REQUIRE(input->length + length <= sizeof input->bytes);
  if (length) memcpy(input->bytes + input->length, bytes, length);
  input->length += length;
}

static void put_byte(struct input *input, uint8_t byte) { put(input, &byte, 1); }

static void save(const char *folder, const char *target, const char *name, const struct input *input) {
  char path[4096];
  int length = snprintf(path, sizeof path, "%s/%s/%s", folder, target, name);
  FUZZ_REQUIRE(length > 0 && (size_t)length < sizeof path);
  FILE *file = fopen(path, "wbe");
  FUZZ_REQUIRE(file && fwrite(input->bytes, 1, input->length, file) == input->length && fclose(file) == 0);
}

/* --------------------------------------------------------------------------------------- messages ---- */

static void set_descriptor(xpc_object_t dictionary, const char *key, uint8_t kind) {
  int fd = fuzz_descriptor(kind);
  xpc_dictionary_set_fd(dictionary, key, fd);
  close(fd);
}

static void set_memory(xpc_object_t dictionary, const char *key) {
  xpc_object_t memory = xpc_shmem_adopt(fuzz_descriptor(FUZZ_SEALED_MEMORY), FUZZ_MEMORY_BYTES);
  xpc_dictionary_set_value(dictionary, key, memory);
  xpc_release(memory);
}

static void set_endpoint(xpc_object_t dictionary, const char *key, bool alive) {
  xpc_object_t endpoint = xpc_endpoint_adopt(alive ? fuzz_descriptor(FUZZ_PORT) : -1);
  xpc_dictionary_set_value(dictionary, key, endpoint);
  xpc_release(endpoint);
}

static xpc_object_t make_empty(void) { return xpc_dictionary_create_empty(); }

/* One of each type of value. */
static xpc_object_t make_values(void) {
  xpc_object_t values = xpc_dictionary_create_empty();
  xpc_object_t null = xpc_null_create();
  uuid_t uuid = {1, 2, 3};
  xpc_dictionary_set_value(values, "null", null);
  xpc_dictionary_set_bool(values, "bool", true);
  xpc_dictionary_set_int64(values, "int64", INT64_MIN);
  xpc_dictionary_set_uint64(values, "uint64", UINT64_MAX);
  xpc_dictionary_set_double(values, "double", 0.5);
  xpc_dictionary_set_date(values, "date", 1);
  xpc_dictionary_set_data(values, "data", "\0\1\2", 3);
  xpc_dictionary_set_string(values, "string", "text");
  xpc_dictionary_set_uuid(values, "uuid", uuid);
  xpc_release(null);
  return values;
}

/* What a client of the library says first, and what a server answers. */
static xpc_object_t make_hello(void) {
  xpc_object_t hello = xpc_dictionary_create_empty();
  xpc_dictionary_set_string(hello, "op", "hello");
  xpc_dictionary_set_uint64(hello, "version", 1);
  xpc_dictionary_set_uint64(hello, "layout", 1);
  set_memory(hello, "words");
  return hello;
}

static xpc_object_t make_welcome(void) {
  xpc_object_t welcome = xpc_dictionary_create_empty();
  xpc_dictionary_set_bool(welcome, "ok", true);
  xpc_dictionary_set_uint64(welcome, "owner", 2);
  set_descriptor(welcome, "server", FUZZ_SEALED_MEMORY);
  set_memory(welcome, "locks");
  return welcome;
}

static xpc_object_t make_register(void) {
  xpc_object_t request = xpc_dictionary_create_empty();
  xpc_dictionary_set_string(request, "op", "register");
  xpc_dictionary_set_string(request, "name", "com.example.studio");
  xpc_dictionary_set_string(request, "policy", "reject");
  set_endpoint(request, "endpoint", true);
  set_endpoint(request, "dead", false);
  return request;
}

static xpc_object_t make_nested(void) {
  xpc_object_t inner = make_values();
  for (int i = 0; i < XPC_DEPTH_LIMIT / 2 - 1; i++) {
    xpc_object_t array = xpc_array_create_empty(), outer = xpc_dictionary_create_empty();
    xpc_array_append_value(array, inner);
    xpc_dictionary_set_value(outer, "a", array);
    xpc_release(inner);
    xpc_release(array);
    inner = outer;
  }
  return inner;
}

static xpc_object_t make_descriptors(void) {
  xpc_object_t message = xpc_dictionary_create_empty();
  char key[2] = "a";
  for (uint8_t kind = 0; kind < FUZZ_KINDS; kind++, key[0]++) set_descriptor(message, key, kind);
  return message;
}

static xpc_object_t make_long(void) {
  static uint8_t bytes[20000];
  xpc_object_t message = xpc_dictionary_create_empty();
  xpc_dictionary_set_data(message, "data", bytes, sizeof bytes);
  return message;
}

static const struct {
  const char *name;
  xpc_object_t (*make)(void);
} messages[] = {
  {"empty", make_empty},
  {"values", make_values},
  {"hello", make_hello},
  {"welcome", make_welcome},
  {"register", make_register},
  {"nested", make_nested},
  {"descriptors", make_descriptors},
  {"long", make_long},
};

/* ----------------------------------------------------------------------------------------- inputs ---- */

/* The kind to note for a descriptor of a message. */
static uint8_t kind_of(xpc_object_t holder) {
  switch (xpc_kind_of(holder)) {
    case XPC_KIND_ENDPOINT: return FUZZ_PORT;
    case XPC_KIND_SHMEM: return FUZZ_SEALED_MEMORY;
    default: return FUZZ_DEVICE;
  }
}

static void put_kinds(struct input *input, const struct xpc_capture *capture) {
  for (size_t i = 0; i < capture->holder_count; i++) put_byte(input, kind_of(capture->holders[i]));
}

static void put_packet(struct input *input, uint8_t form, struct xpc_header header,
                       const struct xpc_capture *capture) {
  put_byte(input, (uint8_t)(form | FUZZ_FORM_REPAIRED | (capture ? capture->holder_count : 0)));
  if (capture) put_kinds(input, capture);
  size_t length = sizeof header + (capture ? capture->length : 0);
  put_byte(input, (uint8_t)length);
  put_byte(input, (uint8_t)(length >> 8));
  put(input, &header, sizeof header);
  if (capture) put(input, capture->bytes, capture->length);
}

static void save_message(const char *folder, const char *name, xpc_object_t message) {
  static struct input input;
  struct xpc_capture capture = {0};
  char file[128];
  FUZZ_REQUIRE(xpc_wire_encode(message, &capture) == NULL);
  FUZZ_REQUIRE(capture.holder_count <= FUZZ_MAX_DESCRIPTORS);

  input.length = 0;
  put_byte(&input, (uint8_t)capture.holder_count);
  put_kinds(&input, &capture);
  put(&input, capture.bytes, capture.length);
  save(folder, "decoder", name, &input);

  struct xpc_header hello = {.kind = XPC_PACKET_HELLO};
  struct xpc_header no_reply = {.kind = XPC_PACKET_NO_REPLY, .answers = 1};
  for (uint8_t receiver = 0; receiver < FUZZ_RECEIVERS; receiver++) {
    struct xpc_header request = {.kind = XPC_PACKET_MESSAGE, .request = 1};
    struct xpc_header reply = {.kind = XPC_PACKET_MESSAGE, .answers = 1};
    input.length = 0;
    put_byte(&input, receiver);
    if (receiver == FUZZ_CLIENT) put_packet(&input, 0, hello, NULL);
    put_packet(&input, 0, request, &capture);
    put_packet(&input, FUZZ_FORM_LARGE, request, &capture);
    put_packet(&input, 0, reply, &capture);
    put_packet(&input, 0, no_reply, NULL);
    snprintf(file, sizeof file, "%s-%u", name, receiver);
    save(folder, "receive", file, &input);
  }
  xpc_capture_clear(&capture);
}

/* Descriptors that come ahead of their message, in a packet of their own. */
static void save_carried(const char *folder) {
  static struct input input;
  struct xpc_capture capture = {0};
  xpc_object_t message = make_descriptors();
  FUZZ_REQUIRE(xpc_wire_encode(message, &capture) == NULL);
  const uint8_t *bytes = capture.bytes;
  struct xpc_header carry = {.kind = XPC_PACKET_CARRY}, request = {.kind = XPC_PACKET_MESSAGE, .request = 1};
  struct xpc_capture none = {.bytes = capture.bytes, .length = capture.length};
  input.length = 0;
  put_byte(&input, FUZZ_SERVICE);
  capture.length = 0;
  put_packet(&input, 0, carry, &capture);
  put_packet(&input, 0, request, &none);
  save(folder, "receive", "carried", &input);
  FUZZ_REQUIRE(capture.bytes == bytes);
  xpc_capture_clear(&capture);
  xpc_release(message);
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  for (size_t i = 0; i < sizeof messages / sizeof *messages; i++) {
    xpc_object_t message = messages[i].make();
    save_message(arguments[1], messages[i].name, message);
    xpc_release(message);
  }
  save_carried(arguments[1]);
  return 0;
}
