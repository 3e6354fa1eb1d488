/* stream.c: what clients and servers do with streams. */
#include <stdlib.h>
#include <string.h>

#include "../shim/stream_words.h"
#include "peer.h"

static bool is_replaced(const struct xshm_stream *stream) {
  const uint64_t *word = &stream->end->server->regions[stream->index].generation;
  return stream_load(word) != stream->generation;
}

static bool is_gone(const struct end *end) { return end->gone && shim_word_load(end->gone) != 0; }

/* Why there is no new frame. */
static int reason(const struct xshm_stream *stream) {
  if (is_replaced(stream)) return XSHM_REPLACED;
  return is_gone(stream->end) ? XSHM_GONE : XSHM_NONE;
}

static const struct shmem_stream_header *header_of(const struct xshm_stream *stream) {
  return stream->memory.address;
}

static void *data_of(const struct xshm_stream *stream, uint32_t slot) {
  return (char *)stream->memory.address + stream->offset + slot * stream->stride;
}

void stream_free(struct xshm_stream *stream) {
  shim_stream_reader_free(stream->reader);
  if (stream->writer) shim_stream_writer_free(stream->writer);
  if (stream->memory.address) (void)shim_memory_close(stream->memory.address, stream->memory.mapped);
  if (stream->memory.fd >= 0) (void)shim_descriptor_close((int32_t)stream->memory.fd);
  if (stream->leases.address) (void)shim_memory_close(stream->leases.address, stream->leases.mapped);
  free(stream->name);
  free(stream);
}

/* ------------------------------------------------------------------------------------------- reading ---- */

static int take_locked(struct xshm_stream *stream, bool every, xshm_frame *frame) {
  shim_frame told;
  double last = shim_stream_reader_last(stream->reader);
  int32_t slot = shim_stream_take(stream->reader, every, last, &told);
  if (slot < 0) return reason(stream);
  /* A hostile server may tell any length. */
  if (told.length > (double)stream->length) told.length = (double)stream->length;
  *frame = (xshm_frame){
    .data = data_of(stream, (uint32_t)slot),
    .length = (size_t)told.length,
    .sequence = (uint64_t)told.sequence,
    .timestamp = told.timestamp,
    .dropped = (uint64_t)told.dropped,
    .slot = (uint32_t)slot,
  };
  for (int i = 0; i < 8; i++) frame->record[i] = stream_peek(&header_of(stream)->slots[slot].record[i]);
  return XSHM_OK;
}

static int take(struct xshm_stream *stream, bool every, xshm_frame *frame) {
  if (!stream->reader) return XSHM_INVALID;
  pthread_mutex_lock(&stream->end->lock);
  int result = take_locked(stream, every, frame);
  pthread_mutex_unlock(&stream->end->lock);
  return result;
}

int xshm_stream_latest(xshm_stream *stream, xshm_frame *frame) { return take(stream, false, frame); }

int xshm_stream_next(xshm_stream *stream, xshm_frame *frame) { return take(stream, true, frame); }

/* Whether there is a frame after the one that was taken last. */
static bool has_news(struct xshm_stream *stream) {
  uint64_t newest = stream_load(&header_of(stream)->newest) / SHMEM_STREAM_SEQUENCE_UNIT;
  pthread_mutex_lock(&stream->end->lock);
  double last = shim_stream_reader_last(stream->reader);
  pthread_mutex_unlock(&stream->end->lock);
  return is_frame(newest) && (double)newest > last;
}

int xshm_stream_wait(xshm_stream *stream, int milliseconds, unsigned microseconds) {
  struct end *end = stream->end;
  if (!stream->reader) return XSHM_INVALID;
  const uint64_t deadline = shim_deadline(milliseconds);
  uint32_t spin = microseconds < SHIM_SPIN_ONLY ? microseconds : SHIM_SPIN_ONLY - 1;
  for (;;) {
    uint64_t revision = stream_load(stream->revision);
    if (has_news(stream)) return XSHM_OK;
    int result = reason(stream);
    if (result != XSHM_NONE) return result;
    uint64_t now = shim_now();
    if (now >= deadline) return XSHM_TIMEOUT;
    double left = deadline == UINT64_MAX ? -1 : (double)(deadline - now) / 1e6;
    (void)shim_revision_wait(stream->revision, &end->parked[stream->index], end->gone, (double)revision, spin,
                             left);
  }
}

bool xshm_stream_holds(xshm_stream *stream, const xshm_frame *frame) {
  return stream->reader && shim_stream_holds(stream->reader, frame->slot, (double)frame->sequence);
}

void xshm_stream_release(xshm_stream *stream, xshm_frame *frame) {
  struct end *end = stream->end;
  if (frame->slot >= stream->slots) return;
  pthread_mutex_lock(&end->lock);
  if (stream->reader) {
    shim_stream_release(stream->reader, frame->slot, (double)frame->sequence);
    if (end->committed) end->committed(end, stream->index);
  } else if ((stream->loaned >> frame->slot & 1) != 0) {
    stream->loaned &= ~(UINT64_C(1) << frame->slot);
    shim_stream_drop(stream->writer, frame->slot);
  }
  pthread_mutex_unlock(&end->lock);
  *frame = (xshm_frame){.slot = UINT32_MAX};
}

/* ------------------------------------------------------------------------------------------- writing ---- */

_Static_assert(XSHM_LOAN_REVOKE == SHIM_LOAN_REVOKE && XSHM_LOAN_PATIENT == SHIM_LOAN_UNWANTED,
               "flags of loans");

int xshm_stream_loan(xshm_stream *stream, xshm_frame *frame) {
  return xshm_stream_loan_with(stream, 0, frame);
}

int xshm_stream_loan_with(xshm_stream *stream, unsigned flags, xshm_frame *frame) {
  if (!stream->writer || (flags & ~(XSHM_LOAN_REVOKE | XSHM_LOAN_PATIENT)) != 0) return XSHM_INVALID;
  pthread_mutex_lock(&stream->end->lock);
  int32_t slot = shim_stream_loan(stream->writer, flags);
  if (slot >= 0) stream->loaned |= UINT64_C(1) << slot;
  pthread_mutex_unlock(&stream->end->lock);
  if (slot < 0) return XSHM_BUSY;
  *frame = (xshm_frame){
    .data = data_of(stream, (uint32_t)slot), .length = (size_t)stream->length, .slot = (uint32_t)slot};
  return XSHM_OK;
}

int xshm_stream_publish(xshm_stream *stream, xshm_frame *frame) {
  if (!stream->writer || frame->slot >= stream->slots || frame->length > stream->length) return XSHM_INVALID;
  const uint64_t bit = UINT64_C(1) << frame->slot;
  pthread_mutex_lock(&stream->end->lock);
  double number = -1;
  if ((stream->loaned & bit) != 0) {
    number = shim_stream_publish(stream->writer, frame->slot, (double)frame->length, frame->timestamp,
                                 frame->record);
    stream->loaned &= ~bit;
  }
  pthread_mutex_unlock(&stream->end->lock);
  if (number < 0) return XSHM_INVALID;
  frame->sequence = (uint64_t)number;
  return XSHM_OK;
}

unsigned xshm_stream_slots(const xshm_stream *stream) { return stream->slots; }

uint64_t xshm_stream_generation(const xshm_stream *stream) { return stream->generation; }

size_t xshm_stream_length(const xshm_stream *stream) { return (size_t)stream->length; }
