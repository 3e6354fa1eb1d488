/*
 * stream_reader.c: the reading side of a stream: leases frames, in place.
 *
 * A lease is a word of the reader's own, one for each slot: the number of the frame that is read there. The reader
 * stores it and then looks whether the slot still has that frame; the writer does the reverse (stream_writer.c). All
 * that the writer wrote is read once and checked, since a server may be hostile, too.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "stream_words.h"

/* How often a lease is tried, while the writer overtakes the reader. A writer that is that fast has published as many
 * frames meanwhile; the caller looks again at the next one. */
#define MAX_TRIES 64

struct shim_stream_reader {
  const struct shmem_stream_header *header;
  struct shmem_stream_leases *leases;
  shim_audience *audience;
  void *revision;
  uint32_t index;
  uint32_t slots;
  uint64_t last;                           /* the frame that was taken last: what `dropped` counts from */
  uint64_t cursor;                         /* what our cursor says; 0: frames need not be kept for us */
  bool follows;                            /* `last` is of an earlier generation */
  uint64_t held[SHMEM_STREAM_MAX_SLOTS];   /* the frame in each lease of ours */
  uint32_t counts[SHMEM_STREAM_MAX_SLOTS]; /* how many leases share the word */
};

/* Of the frames from before, the newest is the first to see. */
static uint64_t before_newest(const shim_stream_reader *reader) {
  uint64_t newest = stream_load(&reader->header->newest) / SHMEM_STREAM_SEQUENCE_UNIT;
  return is_frame(newest) ? newest - 1 : 0;
}

shim_stream_reader *shim_stream_reader_create(const void *header, uint32_t slots, void *leases, double last,
                                              shim_audience *audience, void *revision, uint32_t index) {
  if (slots < 2 || slots > SHMEM_STREAM_MAX_SLOTS) return NULL;
  shim_stream_reader *reader = calloc(1, sizeof *reader);
  if (!reader) return NULL;
  reader->header = header;
  reader->slots = slots;
  reader->leases = leases;
  reader->audience = audience;
  reader->revision = revision;
  reader->index = index;
  reader->follows = last >= 0 && last < (double)STREAM_END;
  reader->last = reader->follows ? (uint64_t)last : before_newest(reader);
  return reader;
}

/* Tells a writer that waits for a slot. */
static void wake_writer(shim_stream_reader *reader) {
  shim_revision_wake(reader->audience, reader->revision, reader->index);
}

void shim_stream_reader_free(shim_stream_reader *reader) {
  if (!reader) return;
  for (uint32_t slot = 0; slot < reader->slots; slot++) stream_store(&reader->leases->leased[slot], 0);
  stream_store(&reader->leases->cursor, 0);
  wake_writer(reader);
  free(reader);
}

double shim_stream_reader_last(const shim_stream_reader *reader) { return (double)reader->last; }

static void store_cursor(shim_stream_reader *reader, uint64_t cursor) {
  reader->cursor = cursor;
  stream_store(&reader->leases->cursor, cursor);
}

void shim_stream_reader_want_every(shim_stream_reader *reader) {
  /* All are kept from now on; only then is one chosen to begin with, so that nothing after it is lost. */
  store_cursor(reader, 1);
  uint64_t before = before_newest(reader);
  if (before > reader->last && !reader->follows) reader->last = before;
  store_cursor(reader, reader->last + 1);
  wake_writer(reader);
}

/* Frames up to this one are not wanted any more. The cursor never goes back, whatever is taken once more. */
static void pass(shim_stream_reader *reader, uint64_t number) {
  if (reader->cursor == 0 || number < reader->cursor || !is_frame(number)) return;
  store_cursor(reader, number + 1);
  wake_writer(reader);
}

static bool lease(shim_stream_reader *reader, uint32_t slot, uint64_t number) {
  const uint64_t *word = &reader->header->slots[slot].sequence;
  if (reader->counts[slot] > 0 && reader->held[slot] == number) {
    if (stream_load(word) != number) return false; /* revoked */
    reader->counts[slot]++;
    return true;
  }
  stream_store(&reader->leases->leased[slot], number);
  if (stream_load(word) != number) {
    /* An older lease in this slot was revoked, and needs its word no longer. */
    stream_store(&reader->leases->leased[slot], 0);
    return false;
  }
  reader->held[slot] = number;
  reader->counts[slot] = 1;
  return true;
}

/* The newest frame. False: there is none after `after`. */
static bool find_newest(const shim_stream_reader *reader, uint64_t after, uint32_t *slot, uint64_t *number) {
  uint64_t newest = stream_load(&reader->header->newest);
  *slot = (uint32_t)(newest % SHMEM_STREAM_SEQUENCE_UNIT);
  *number = newest / SHMEM_STREAM_SEQUENCE_UNIT;
  return is_frame(*number) && *number > after && *slot < reader->slots;
}

/* Looks through the slots for a frame after `after` and below `*number`, the oldest that there is. */
static void look_through(const shim_stream_reader *reader, uint64_t after, uint32_t *slot, uint64_t *number) {
  for (uint32_t i = 0; i < reader->slots && *number != after + 1; i++) {
    uint64_t candidate = stream_load(&reader->header->slots[i].sequence);
    if (candidate <= after || candidate >= *number) continue;
    *slot = i;
    *number = candidate;
  }
}

/* The oldest frame after `after` that is still there. */
static bool find_next(const shim_stream_reader *reader, uint64_t after, uint32_t *slot, uint64_t *number) {
  *number = STREAM_END;
  look_through(reader, after, slot, number);
  if (*number == STREAM_END) return false;
  /* An earlier one may have come to a slot that was looked at already. All before the one that was found are there by
   * now, so a second look misses none. */
  if (*number != after + 1) look_through(reader, after, slot, number);
  return true;
}

/* Copies what is told of the frame, and looks once more whether the slot still has it. */
static bool describe(const shim_stream_reader *reader, uint32_t slot, uint64_t number, shim_frame *frame) {
  const struct shmem_stream_slot *words = &reader->header->slots[slot];
  frame->sequence = (double)number;
  frame->length = (double)stream_peek(&words->length);
  frame->timestamp = double_of(stream_peek(&words->timestamp));
  return stream_load(&words->sequence) == number;
}

int32_t shim_stream_take(shim_stream_reader *reader, bool every, double after, shim_frame *frame) {
  uint64_t from = after >= (double)STREAM_END ? STREAM_END : after > 0 ? (uint64_t)after : 0;
  if (every) pass(reader, from);
  for (uint32_t tries = 0; tries < MAX_TRIES; tries++) {
    uint32_t slot = 0;
    uint64_t number = 0;
    bool found = every ? find_next(reader, from, &slot, &number) : find_newest(reader, from, &slot, &number);
    if (!found) return -EAGAIN;
    bool leased = lease(reader, slot, number);
    if (!leased || !describe(reader, slot, number, frame)) {
      if (leased) shim_stream_release(reader, slot, (double)number);
      /* It is being taken, or gone. Not tried again, so that this reader cannot be in the writer's way again. */
      if (every) from = number;
      continue;
    }
    frame->dropped = number > reader->last ? (double)(number - reader->last - 1) : 0;
    if (number > reader->last) reader->last = number;
    if (every) pass(reader, number);
    return (int32_t)slot;
  }
  return -EAGAIN;
}

void shim_stream_release(shim_stream_reader *reader, uint32_t slot, double sequence) {
  if (slot >= reader->slots || reader->counts[slot] == 0 || (double)reader->held[slot] != sequence) return;
  if (--reader->counts[slot] > 0) return;
  stream_store(&reader->leases->leased[slot], 0);
  wake_writer(reader);
}

bool shim_stream_holds(const shim_stream_reader *reader, uint32_t slot, double sequence) {
  atomic_thread_fence(memory_order_acquire); /* what was read of the frame was read before this look */
  if (slot >= reader->slots) return false;
  /* While the writer only looks whether the slot is leased, the frame is what it was. */
  uint64_t number = stream_load(&reader->header->slots[slot].sequence) & ~(uint64_t)SHMEM_STREAM_TAKING;
  return (double)number == sequence;
}
