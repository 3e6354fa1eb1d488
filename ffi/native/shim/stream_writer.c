/*
 * stream_writer.c: the writing side of a stream: finds a slot that nobody reads, and publishes frames.
 *
 * The writer never waits. It marks a slot's number first and then looks at every reader's lease for that slot; a
 * reader stores its lease first and then looks at the number. So one of the two sees the other: either the reader sees
 * that the frame is being taken, or the writer sees the lease and removes the mark. Each side writes its own words only.
 * A reader that lies can keep slots from the writer, and nothing else.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"
#include "stream_words.h"

/* The most readers of one stream. */
#define MAX_READERS 65536

/* How often all slots are looked at before a loan fails. A reader of every frame that goes from slot to slot just ahead
 * of the look may seem to hold all of them. It goes in one direction, so that it cannot seem so again; this is enough
 * for two of them in one loan. */
#define MAX_LOOKS 3

struct reader {
  const struct shmem_stream_leases *leases; /* NULL: a free place */
  const _Atomic uint32_t *gone;             /* not 0 once the reader's process is dead; NULL: nobody tells */
};

struct shim_stream_writer {
  struct shmem_stream_header *header;
  shim_audience *audience;
  void *revision;
  uint32_t index;
  uint32_t slots;
  uint32_t newest;                          /* the slot with the newest frame; SHMEM_STREAM_MAX_SLOTS: none */
  uint64_t last;                            /* the number of the newest frame */
  uint64_t loaned;                          /* a bit for each slot that is being written */
  uint64_t numbers[SHMEM_STREAM_MAX_SLOTS]; /* the frame in each slot, as the header says; 0: none */
  struct reader *readers;
  uint32_t capacity;
  uint32_t used; /* places below this may be taken */
};

shim_stream_writer *shim_stream_writer_create(void *header, uint32_t slots, double last,
                                              shim_audience *audience, void *revision, uint32_t index) {
  if (slots < 2 || slots > SHMEM_STREAM_MAX_SLOTS || !(last >= 0 && last < (double)STREAM_END)) return NULL;
  shim_stream_writer *writer = calloc(1, sizeof *writer);
  if (!writer) return NULL;
  writer->header = header;
  writer->slots = slots;
  writer->newest = SHMEM_STREAM_MAX_SLOTS;
  writer->last = (uint64_t)last;
  writer->audience = audience;
  writer->revision = revision;
  writer->index = index;
  return writer;
}

void shim_stream_writer_free(shim_stream_writer *writer) {
  if (!writer) return;
  free(writer->readers);
  free(writer);
}

int32_t shim_stream_reader_add(shim_stream_writer *writer, const void *leases, const void *gone) {
  uint32_t place = 0;
  while (place < writer->used && writer->readers[place].leases) place++;
  if (place == writer->capacity) {
    if (writer->capacity >= MAX_READERS) return -ENOSPC;
    uint32_t capacity = writer->capacity == 0 ? 8 : writer->capacity * 2;
    struct reader *readers = realloc(writer->readers, capacity * sizeof *readers);
    if (!readers) return -ENOMEM;
    writer->readers = readers;
    writer->capacity = capacity;
  }
  writer->readers[place] = (struct reader){.leases = leases, .gone = gone};
  if (place == writer->used) writer->used++;
  return (int32_t)place;
}

void shim_stream_reader_remove(shim_stream_writer *writer, int32_t reader) {
  if (reader < 0 || (uint32_t)reader >= writer->used) return;
  writer->readers[reader] = (struct reader){0};
  while (writer->used > 0 && !writer->readers[writer->used - 1].leases) writer->used--;
}

static bool is_alive(const struct reader *reader) {
  return reader->leases && !(reader->gone && atomic_load(reader->gone) != 0);
}

/* Whether a reader that lives leases this frame in this slot. A lease of an earlier frame does not count: the reader
 * was told that it lost that frame. */
static bool is_leased(const shim_stream_writer *writer, uint32_t slot, uint64_t number) {
  for (uint32_t place = 0; place < writer->used; place++) {
    const struct reader *reader = &writer->readers[place];
    if (is_alive(reader) && stream_load(&reader->leases->leased[slot]) == number) return true;
  }
  return false;
}

/* The lowest frame that a reader of every frame still wants. */
static uint64_t lowest_wanted(const shim_stream_writer *writer) {
  uint64_t lowest = UINT64_MAX;
  for (uint32_t place = 0; place < writer->used; place++) {
    const struct reader *reader = &writer->readers[place];
    if (!is_alive(reader)) continue;
    uint64_t cursor = stream_load(&reader->leases->cursor);
    if (cursor != 0 && cursor < lowest) lowest = cursor;
  }
  return lowest;
}

/* The slot with the oldest frame among those that are not in `except`, empty ones first; or MAX_SLOTS. */
static uint32_t oldest_slot(const shim_stream_writer *writer, uint64_t except) {
  uint32_t oldest = SHMEM_STREAM_MAX_SLOTS;
  for (uint32_t slot = 0; slot < writer->slots; slot++) {
    if ((except >> slot & 1) != 0) continue;
    if (oldest == SHMEM_STREAM_MAX_SLOTS || writer->numbers[slot] < writer->numbers[oldest]) oldest = slot;
  }
  return oldest;
}

/* Takes a slot, whoever leases it. Readers see that before they trust what they read. */
static void empty_slot(shim_stream_writer *writer, uint32_t slot) {
  stream_store(&writer->header->slots[slot].sequence, 0);
  atomic_thread_fence(memory_order_seq_cst); /* nothing of the next frame is written before that */
  writer->numbers[slot] = 0;
  writer->loaned |= UINT64_C(1) << slot;
}

/* Takes a slot that nobody leases. */
static bool take_slot(shim_stream_writer *writer, uint32_t slot) {
  uint64_t number = writer->numbers[slot];
  uint64_t *word = &writer->header->slots[slot].sequence;
  if (number != 0) {
    if (is_leased(writer, slot, number)) return false;
    stream_store(word, number | SHMEM_STREAM_TAKING);
    if (is_leased(writer, slot, number)) { /* it came meanwhile */
      stream_store(word, number);
      return false;
    }
  }
  empty_slot(writer, slot);
  return true;
}

static uint64_t not_to_take(const shim_stream_writer *writer) {
  uint64_t newest = writer->newest < SHMEM_STREAM_MAX_SLOTS ? UINT64_C(1) << writer->newest : 0;
  return writer->loaned | newest;
}

/* Takes the oldest slot whose frame is below `wanted` and that nobody leases; or MAX_SLOTS. */
static uint32_t take_unleased(shim_stream_writer *writer, uint64_t wanted) {
  uint64_t tried = not_to_take(writer);
  for (uint32_t slot; (slot = oldest_slot(writer, tried)) < SHMEM_STREAM_MAX_SLOTS;) {
    if (writer->numbers[slot] >= wanted) break; /* so are all that come after it */
    if (take_slot(writer, slot)) return slot;
    tried |= UINT64_C(1) << slot;
  }
  return SHMEM_STREAM_MAX_SLOTS;
}

int32_t shim_stream_loan(shim_stream_writer *writer, uint32_t flags) {
  uint64_t wanted = (flags & SHIM_LOAN_UNWANTED) != 0 ? lowest_wanted(writer) : UINT64_MAX;
  for (uint32_t looks = 0; looks < MAX_LOOKS; looks++) {
    uint32_t slot = take_unleased(writer, wanted);
    if (slot < SHMEM_STREAM_MAX_SLOTS) return (int32_t)slot;
  }
  if ((flags & SHIM_LOAN_REVOKE) == 0) return -EBUSY;
  uint32_t slot = oldest_slot(writer, not_to_take(writer));
  if (slot == SHMEM_STREAM_MAX_SLOTS) return -EBUSY;
  empty_slot(writer, slot);
  return (int32_t)slot;
}

static bool is_loaned(const shim_stream_writer *writer, uint32_t slot) {
  return slot < writer->slots && (writer->loaned >> slot & 1) != 0;
}

void shim_stream_drop(shim_stream_writer *writer, uint32_t slot) {
  if (is_loaned(writer, slot)) writer->loaned &= ~(UINT64_C(1) << slot);
}

double shim_stream_publish(shim_stream_writer *writer, uint32_t slot, double length, double timestamp,
                           const uint64_t *record) {
  if (!is_loaned(writer, slot) || !(length >= 0 && length < (double)STREAM_END)) return -1;
  if (writer->last + 1 == STREAM_END) return -1; /* in 285 years at a million frames a second */
  struct shmem_stream_slot *words = &writer->header->slots[slot];
  stream_poke(&words->length, (uint64_t)length);
  stream_poke(&words->timestamp, bits_of(timestamp));
  for (uint32_t i = 0; i < SHMEM_STREAM_RECORD_BYTES / 8; i++) {
    stream_poke(&words->record[i], record ? record[i] : 0);
  }
  uint64_t number = ++writer->last;
  writer->loaned &= ~(UINT64_C(1) << slot);
  writer->numbers[slot] = number;
  writer->newest = slot;
  stream_store(&words->sequence, number);
  stream_store(&writer->header->newest, number * SHMEM_STREAM_SEQUENCE_UNIT + slot);
  (void)shim_revision_commit(writer->audience, writer->revision, writer->index);
  return (double)number;
}

/* Whether this reader leases a slot that the writer could take. */
static bool keeps_slot(const shim_stream_writer *writer, const struct reader *reader) {
  uint64_t except = not_to_take(writer);
  for (uint32_t slot = 0; slot < writer->slots; slot++) {
    uint64_t number = writer->numbers[slot];
    if ((except >> slot & 1) != 0 || number == 0) continue;
    if (stream_load(&reader->leases->leased[slot]) == number) return true;
  }
  return false;
}

uint32_t shim_stream_holders(const shim_stream_writer *writer, int32_t *readers, uint32_t capacity) {
  uint32_t count = 0;
  for (uint32_t place = 0; place < writer->used && count < capacity; place++) {
    const struct reader *reader = &writer->readers[place];
    if (is_alive(reader) && keeps_slot(writer, reader)) readers[count++] = (int32_t)place;
  }
  return count;
}
