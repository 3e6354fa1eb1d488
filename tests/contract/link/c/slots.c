/* slots.c: the page's section "Streams", from "Writing" to "Reading". Plain atomic operators are seq_cst. */
#include "party.h"

static uint64_t load(const uint64_t *word) { return atomic_load((const _Atomic uint64_t *)word); }
static void store(uint64_t *word, uint64_t value) { atomic_store((_Atomic uint64_t *)word, value); }

static bool is_frame(uint64_t number) { return number > 0 && number < 1ull << 53; }

/* -------------------------------------------------------------------------------------------- writing ---- */

static bool is_leased(const struct slot_readers *readers, uint32_t slot, uint64_t number) {
  bool leased = false;
  for (uint32_t i = 0; i < readers->count; i++) {
    leased |= load(&readers->leases[i]->leased[slot]) == number;
  }
  return leased;
}

static uint64_t lowest_cursor(const struct slot_readers *readers) {
  uint64_t lowest = UINT64_MAX;
  for (uint32_t i = 0; i < readers->count; i++) {
    uint64_t cursor = load(&readers->leases[i]->cursor);
    if (cursor != 0 && cursor < lowest) lowest = cursor;
  }
  return lowest;
}

static int oldest(const struct slot_writer *writer, uint64_t except) {
  int found = -1;
  for (uint32_t slot = 0; slot < writer->slots; slot++) {
    if ((except >> slot & 1) != 0 || (writer->last > 0 && slot == writer->newest)) continue;
    if (found < 0 || writer->numbers[slot] < writer->numbers[found]) found = (int)slot;
  }
  return found;
}

static void empty(struct slot_writer *writer, uint32_t slot) {
  store(&writer->header->slots[slot].sequence, 0);
  atomic_thread_fence(memory_order_seq_cst);
  writer->numbers[slot] = 0;
  writer->loaned |= 1ull << slot;
}

static bool try_slot(struct slot_writer *writer, const struct slot_readers *readers, uint32_t slot) {
  uint64_t number = writer->numbers[slot], *word = &writer->header->slots[slot].sequence;
  if (number != 0) {
    if (is_leased(readers, slot, number)) return false;
    store(word, number | SHMEM_STREAM_TAKING);
    if (is_leased(readers, slot, number)) {
      store(word, number);
      return false;
    }
  }
  empty(writer, slot);
  return true;
}

int slots_loan(struct slot_writer *writer, const struct slot_readers *readers, enum loan_kind kind) {
  uint64_t wanted = kind == LOAN_PATIENT ? lowest_cursor(readers) : UINT64_MAX;
  for (int look = 0; look < 3; look++) {
    uint64_t tried = writer->loaned;
    for (int slot; (slot = oldest(writer, tried)) >= 0; tried |= 1ull << slot) {
      if (writer->numbers[slot] < wanted && try_slot(writer, readers, (uint32_t)slot)) return slot;
    }
  }
  int slot = kind == LOAN_REVOKE ? oldest(writer, writer->loaned) : -1;
  if (slot >= 0) empty(writer, (uint32_t)slot);
  return slot;
}

uint64_t slots_publish(struct slot_writer *writer, uint32_t slot, uint64_t length, double time,
                       uint8_t record) {
  if (slot >= writer->slots || (writer->loaned >> slot & 1) == 0) return 0;
  struct shmem_stream_slot *words = &writer->header->slots[slot];
  words->length = length;
  memcpy(&words->timestamp, &time, sizeof time);
  memset(words->record, record, sizeof words->record);
  writer->loaned &= ~(1ull << slot);
  writer->newest = slot;
  writer->numbers[slot] = ++writer->last;
  store(&words->sequence, writer->last);
  store(&writer->header->newest, writer->last * SHMEM_STREAM_SEQUENCE_UNIT + slot);
  return writer->last;
}

bool slots_keeps(const struct slot_writer *writer, const struct shmem_stream_leases *leases) {
  bool keeps = false;
  for (uint32_t slot = 0; slot < writer->slots; slot++) {
    if (writer->numbers[slot] == 0 || slot == writer->newest) continue;
    keeps |= load(&leases->leased[slot]) == writer->numbers[slot];
  }
  return keeps;
}

/* -------------------------------------------------------------------------------------------- reading ---- */

static uint64_t newest_of(const struct slot_reader *reader, uint32_t *slot) {
  uint64_t newest = load(&reader->header->newest);
  *slot = (uint32_t)(newest % SHMEM_STREAM_SEQUENCE_UNIT);
  newest /= SHMEM_STREAM_SEQUENCE_UNIT;
  return is_frame(newest) && *slot < reader->slots ? newest : 0;
}

void slots_begin(struct slot_reader *reader, bool goes_on) {
  uint32_t slot;
  if (reader->every) store(&reader->leases->cursor, 1);
  uint64_t newest = newest_of(reader, &slot);
  if (!goes_on) reader->last = newest == 0 ? 0 : newest - 1;
  if (reader->every) store(&reader->leases->cursor, reader->last + 1);
}

static uint64_t lowest_above(const struct slot_reader *reader, uint64_t after, uint32_t *slot) {
  uint64_t found = 0;
  for (uint32_t i = 0; i < reader->slots; i++) {
    uint64_t number = load(&reader->header->slots[i].sequence);
    if (!is_frame(number) || number <= after || (found != 0 && number >= found)) continue;
    found = number;
    *slot = i;
  }
  return found;
}

static uint64_t find(const struct slot_reader *reader, uint64_t after, uint32_t *slot) {
  if (!reader->every) {
    uint64_t newest = newest_of(reader, slot);
    return newest > after ? newest : 0;
  }
  uint64_t found = lowest_above(reader, after, slot);
  if (found == 0 || found == after + 1) return found;
  uint32_t other = *slot;
  uint64_t again = lowest_above(reader, after, &other);
  if (again == 0 || again > found) return found;
  *slot = other;
  return again;
}

static bool lease(struct slot_reader *reader, uint32_t slot, uint64_t number) {
  store(&reader->leases->leased[slot], number);
  if (load(&reader->header->slots[slot].sequence) == number) {
    reader->counts[slot] = reader->held[slot] == number ? reader->counts[slot] + 1 : 1;
    reader->held[slot] = number;
    return true;
  }
  store(&reader->leases->leased[slot], 0);
  return false;
}

bool slots_take(struct slot_reader *reader, struct taken *taken) {
  uint64_t after = reader->last;
  for (int tries = 0; tries < 1000; tries++) {
    uint64_t number = find(reader, after, &taken->slot);
    if (number == 0) return false;
    if (!lease(reader, taken->slot, number)) {
      if (reader->every) after = number;
      continue;
    }
    const struct shmem_stream_slot *words = &reader->header->slots[taken->slot];
    taken->number = number;
    taken->dropped = number - reader->last - 1;
    taken->length = words->length;
    memcpy(&taken->time, &words->timestamp, sizeof taken->time);
    taken->record = (uint8_t)words->record[0];
    reader->last = number;
    if (reader->every) store(&reader->leases->cursor, number + 1);
    return true;
  }
  return false;
}

void slots_release(struct slot_reader *reader, uint32_t slot, uint64_t number) {
  if (reader->held[slot] != number || reader->counts[slot] == 0 || --reader->counts[slot] > 0) return;
  reader->held[slot] = 0;
  store(&reader->leases->leased[slot], 0);
}

bool slots_valid(const struct slot_reader *reader, uint32_t slot, uint64_t number) {
  atomic_thread_fence(memory_order_acquire);
  return (load(&reader->header->slots[slot].sequence) & ~SHMEM_STREAM_TAKING) == number;
}
