/* stream_commands.c: the commands of streams: see `../parties.ts`. */
#define _GNU_SOURCE 1
#include <stdlib.h>

#include "party.h"

#define WORD(i) (command->words[i])

static uint64_t number_of(const char *word) { return strtoull(word, NULL, 10); }

static bool is(const struct command *command, const char *name) { return strcmp(WORD(0), name) == 0; }

/* ----------------------------------------------------------------------------------------- the server ---- */

static enum loan_kind loan_kind_of(const char *word) {
  if (strcmp(word, "revoke") == 0) return LOAN_REVOKE;
  return strcmp(word, "patient") == 0 ? LOAN_PATIENT : LOAN_NOW;
}

/* loan STREAM now|revoke: the slot; error no_slot PID… */
static void loan(const struct command *command, struct region *stream) {
  int slot = server_loan(stream, loan_kind_of(WORD(2)));
  if (slot >= 0) return say(command, "ok %d", slot);
  char pids[256];
  server_holders(stream, pids, sizeof pids);
  say(command, "error no_slot%s", pids);
}

/* loan_wait STREAM MILLISECONDS: the slot, once a patient loan finds one */
static void loan_wait(const struct command *command, struct region *stream) {
  long milliseconds = atol(WORD(2));
  (void)side->want_bell();
  bell_enter(stream->index, stream->parked);
  int slot;
  bool told = false, in_time = true;
  for (;;) {
    uint64_t rings = bell_rings();
    slot = server_loan(stream, LOAN_PATIENT);
    if (slot >= 0 || !in_time) break;
    if (!told) say(command, "parked");
    told = true;
    in_time = bell_await(rings, milliseconds);
  }
  bell_leave(stream->index, stream->parked);
  if (slot >= 0) say(command, "ok %d", slot);
  else say(command, "error timeout");
}

static bool run_on_served(const struct command *command) {
  static const char *const names[] = {"loan", "loan_wait", "fill", "publish", "unloan", "readers"};
  bool known = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) known |= is(command, names[i]);
  if (!known) return false;
  struct region *stream = side->find(WORD(1));
  if (stream == NULL || stream->slots == 0) return say(command, "error not_found"), true;
  uint32_t slot = (uint32_t)number_of(WORD(2));
  if (is(command, "loan")) {
    loan(command, stream);
  } else if (is(command, "loan_wait")) {
    loan_wait(command, stream);
  } else if (is(command, "fill")) {
    memset((uint8_t *)stream->memory.address + stream->offset + slot * stream->stride, atoi(WORD(3)),
           stream->bytes);
    say(command, "ok");
  } else if (is(command, "publish")) {
    uint64_t length = number_of(WORD(3));
    say(command, "ok %llu",
        (unsigned long long)server_publish(stream, slot, length, atof(WORD(4)), (uint8_t)atoi(WORD(5))));
  } else if (is(command, "unloan")) {
    server_unloan(stream, slot);
    say(command, "ok");
  } else {
    say(command, "ok %u", server_readers(stream));
  }
  return true;
}

/* ----------------------------------------------------------------------------------------- the client ---- */

static const uint8_t *frame_of(const struct reader *reader, uint32_t slot) {
  return (const uint8_t *)reader->region.memory.address + reader->region.offset +
         slot * reader->region.stride;
}

/* LEASE NUMBER DROPPED LENGTH TIME RECORD; a lease is its number and its slot */
static void tell(const struct command *command, const struct taken *taken) {
  say(command, "ok %llu:%u %llu %llu %llu %g %u", (unsigned long long)taken->number, taken->slot,
      (unsigned long long)taken->number, (unsigned long long)taken->dropped,
      (unsigned long long)taken->length, taken->time, taken->record);
}

static bool is_replaced(const struct reader *reader) {
  return atomic_load(reader->region.newest) != reader->region.generation;
}

/* frame READER */
static void take(const struct command *command, struct reader *reader) {
  struct taken taken;
  bool replaced = is_replaced(reader);
  if (replaced && !reader->slots.every) return say(command, "error replaced");
  if (!slots_take(&reader->slots, &taken)) return say(command, replaced ? "error replaced" : "ok none");
  client_wake(&reader->region);
  tell(command, &taken);
}

/* await READER bell|futex: as frame, once there is a frame */
static void await_frame(const struct command *command, struct reader *reader) {
  struct taken taken;
  for (;;) {
    uint64_t revision = atomic_load(reader->region.revision);
    if (slots_take(&reader->slots, &taken)) break;
    if (is_replaced(reader)) return say(command, "error replaced");
    if (atomic_load(&ended)) return say(command, "error gone");
    const char *problem = wait_for_news(command, &reader->region, revision, WORD(2));
    if (problem != NULL) return say(command, "error %s", problem);
  }
  client_wake(&reader->region);
  tell(command, &taken);
}

/* look READER LEASE: valid or revoked, and the first and the last byte */
static void look(const struct command *command, const struct reader *reader, uint64_t number, uint32_t slot) {
  const volatile uint8_t *bytes = frame_of(reader, slot);
  unsigned first = bytes[0], last = bytes[reader->region.bytes - 1];
  bool valid = slots_valid(&reader->slots, slot, number);
  say(command, "ok %s %u %u", valid ? "valid" : "revoked", first, last);
}

static bool run_on_reader(const struct command *command) {
  static const char *const names[] = {"frame", "await", "look", "release", "shut", "follow"};
  bool known = false;
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) known |= is(command, names[i]);
  if (!known) return false;
  struct reader *reader = client_reader(WORD(1));
  if (reader == NULL) return say(command, "error not_found"), true;
  char *rest = NULL;
  uint64_t number = strtoull(WORD(2), &rest, 10);
  uint32_t slot = *rest == ':' ? (uint32_t)number_of(rest + 1) : 0;
  if (slot >= SHMEM_STREAM_MAX_SLOTS) slot = 0;
  if (is(command, "frame")) {
    take(command, reader);
  } else if (is(command, "await")) {
    await_frame(command, reader);
  } else if (is(command, "look")) {
    look(command, reader, number, slot);
  } else if (is(command, "release")) {
    slots_release(&reader->slots, slot, number);
    client_wake(&reader->region);
    say(command, "ok");
  } else if (is(command, "shut")) {
    client_shut(reader);
    say(command, "ok");
  } else {
    const char *problem = client_follow(reader);
    if (problem != NULL) say(command, "error %s", problem);
    else say(command, "ok %llu", (unsigned long long)reader->region.generation);
  }
  return true;
}

/* stream STREAM READER newest|every: generation, length in bytes, slots */
static void open_reader(const struct command *command) {
  struct reader *reader = NULL;
  const char *problem = client_stream(WORD(1), WORD(2), strcmp(WORD(3), "every") == 0, &reader);
  if (problem != NULL) return say(command, "error %s", problem);
  say(command, "ok %llu %llu %u", (unsigned long long)reader->region.generation,
      (unsigned long long)reader->region.bytes, reader->slots.slots);
}

bool run_on_streams(const struct command *command) {
  if (is(command, "stream") && command->count == 4) return open_reader(command), true;
  return run_on_served(command) || run_on_reader(command);
}
