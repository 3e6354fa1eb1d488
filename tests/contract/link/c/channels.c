/* channels.c: the page's section "Channels": rings, their commands, and the ends of either side. */
#define _GNU_SOURCE 1
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "party.h"

#define WORD(i) (command->words[i])
#define MAX_CHANNELS 64

enum ring_result { RING_DONE, RING_NOT_NOW, RING_LEFT_BY_OTHER, RING_BROKEN };

/* An end of a channel. */
struct channel {
  bool used;
  char name[129];
  const void *client; /* at a server: whose it is */
  uint32_t index;
  uint64_t bytes; /* of a ring */
  struct shmem_ring *out, *in;
  uint64_t head, tail; /* ours: never read back from the memory */
  _Atomic uint32_t *parked;
  bool left; /* by us */
  bool over; /* the other side closed it, or is gone: what is in the ring can be received still */
};

/* A channel that this process serves. */
struct served {
  char name[129];
  uint32_t index;
  uint64_t bytes;
  _Atomic uint32_t *parked;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct channel channels[MAX_CHANNELS];
static struct served served[MAX_CHANNELS];
static uint32_t served_count;

static uint64_t ring_bytes(uint64_t bytes) { return sizeof(struct shmem_ring) + (bytes + 127) / 128 * 128; }

/* ------------------------------------------------------------------------------------------- the rings ---- */

static uint64_t need_of(uint64_t length) { return 8 + (length + 7) / 8 * 8; }

static void put_byte(const struct channel *channel, uint64_t at, uint8_t byte) {
  ((uint8_t *)(channel->out + 1))[at % channel->bytes] = byte;
}

static uint8_t get_byte(const struct channel *channel, uint64_t at) {
  return ((volatile uint8_t *)(channel->in + 1))[at % channel->bytes];
}

/* A message whose bytes are all the same. */
static enum ring_result send_message(struct channel *channel, uint64_t length, uint8_t byte) {
  uint64_t tail = atomic_load((_Atomic uint64_t *)&channel->out->tail);
  if ((tail & SHMEM_RING_LEFT) != 0 || channel->over) return RING_LEFT_BY_OTHER;
  uint64_t used = channel->head - tail;
  if (used > channel->bytes || used % 8 != 0) return RING_BROKEN;
  if (channel->bytes - used < need_of(length)) return RING_NOT_NOW;
  for (uint64_t i = 0; i < 8; i++) put_byte(channel, channel->head + i, (uint8_t)(length >> 8 * i));
  for (uint64_t i = 0; i < length; i++) put_byte(channel, channel->head + 8 + i, byte);
  channel->head += need_of(length);
  atomic_store((_Atomic uint64_t *)&channel->out->head, channel->head);
  return RING_DONE;
}

/* The next message: its length, its first and its last byte. */
static enum ring_result receive_message(struct channel *channel, uint64_t *length, uint8_t ends[2]) {
  uint64_t word = atomic_load((_Atomic uint64_t *)&channel->in->head);
  uint64_t used = (word & ~(uint64_t)SHMEM_RING_LEFT) - channel->tail;
  if (used == 0) return (word & SHMEM_RING_LEFT) != 0 || channel->over ? RING_LEFT_BY_OTHER : RING_NOT_NOW;
  if (used > channel->bytes || used % 8 != 0) return RING_BROKEN;
  *length = 0;
  for (uint64_t i = 0; i < 8; i++) *length |= (uint64_t)get_byte(channel, channel->tail + i) << 8 * i;
  if (*length > channel->bytes / 2 || need_of(*length) > used) return RING_BROKEN;
  ends[0] = *length == 0 ? 0 : get_byte(channel, channel->tail + 8);
  ends[1] = *length == 0 ? 0 : get_byte(channel, channel->tail + 8 + *length - 1);
  channel->tail += need_of(*length);
  atomic_store((_Atomic uint64_t *)&channel->in->tail, channel->tail);
  return RING_DONE;
}

/* Looks at the other side's parked word, as after a commit of the word. */
static void wake(const struct channel *channel, uint64_t *word) {
  const struct region region = {.index = channel->index, .revision = (_Atomic uint64_t *)word};
  side->wake(&region);
}

static void leave(struct channel *channel) {
  pthread_mutex_lock(&lock);
  bool was = channel->left;
  channel->left = true;
  if (!was) {
    atomic_store((_Atomic uint64_t *)&channel->out->head, channel->head | SHMEM_RING_LEFT);
    atomic_store((_Atomic uint64_t *)&channel->in->tail, channel->tail | SHMEM_RING_LEFT);
  }
  pthread_mutex_unlock(&lock);
  if (was) return;
  wake(channel, &channel->out->head);
  wake(channel, &channel->in->tail);
}

/* ----------------------------------------------------------------------------------------- the two ends ---- */

/* The newest of a name comes first. What was mapped stays mapped: a command may be at work on it. */
static struct channel *find(const char *name) {
  struct channel *found = NULL;
  pthread_mutex_lock(&lock);
  for (struct channel *each = channels; each < channels + MAX_CHANNELS; each++) {
    if (each->used && strcmp(each->name, name) == 0) found = each;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static void keep(const char *name, uint32_t index, uint64_t bytes, const struct mapping *mapping,
                 const void *client, _Atomic uint32_t *parked) {
  struct shmem_ring *first = mapping->address;
  struct shmem_ring *second = (struct shmem_ring *)(void *)((char *)mapping->address + ring_bytes(bytes));
  pthread_mutex_lock(&lock);
  struct channel *place = channels;
  while (place < channels + MAX_CHANNELS && place->used) place++;
  if (place == channels + MAX_CHANNELS) abort(); /* no test has as many */
  *place = (struct channel){.used = true,
                            .client = client,
                            .index = index,
                            .bytes = bytes,
                            .out = client == NULL ? first : second,
                            .in = client == NULL ? second : first,
                            .parked = parked};
  (void)strcpy(place->name, name); /* its length was checked */
  pthread_mutex_unlock(&lock);
}

bool channel_serve(const char *name, uint32_t index, uint64_t bytes, _Atomic uint32_t *parked) {
  if (strlen(name) >= sizeof served->name || bytes < 64 || bytes > 1u << 30 || bytes % 8 != 0) return false;
  if (served_count == MAX_CHANNELS) abort(); /* no test has as many */
  struct served *made = &served[served_count++];
  *made = (struct served){.index = index, .bytes = bytes, .parked = parked};
  (void)strcpy(made->name, name);
  return true;
}

static const struct served *served_of(xpc_object_t request) {
  xpc_object_t name = get_typed(request, "name", XPC_TYPE_STRING);
  for (uint32_t i = 0; name != NULL && i < served_count; i++) {
    if (strcmp(served[i].name, xpc_string_get_string_ptr(name)) == 0) return &served[i];
  }
  return NULL;
}

/* The end that a client has opened and not closed. */
static struct channel *end_of(const void *client, uint32_t index) {
  struct channel *found = NULL;
  pthread_mutex_lock(&lock);
  for (struct channel *each = channels; each < channels + MAX_CHANNELS; each++) {
    if (each->used && each->client == client && each->index == index && !each->over) found = each;
  }
  pthread_mutex_unlock(&lock);
  return found;
}

const char *channel_opened(const void *client, xpc_object_t request, xpc_object_t reply) {
  if (get_typed(request, "name", XPC_TYPE_STRING) == NULL) return "bad_request";
  const struct served *channel = served_of(request);
  if (channel == NULL) return "not_found";
  if (end_of(client, channel->index) != NULL) return "failed";
  struct mapping mapping;
  if (!make_shared(2 * ring_bytes(channel->bytes), &mapping)) return "failed";
  xpc_dictionary_set_uint64(reply, "index", channel->index);
  xpc_dictionary_set_uint64(reply, "byteLength", channel->bytes);
  xpc_object_t memory = share(&mapping);
  xpc_dictionary_set_value(reply, "memory", memory);
  xpc_release(memory);
  keep(channel->name, channel->index, channel->bytes, &mapping, client, channel->parked);
  return NULL;
}

static void set_over(struct channel *channel) {
  pthread_mutex_lock(&lock);
  channel->over = true;
  pthread_mutex_unlock(&lock);
  (void)futex_wake(low_half((_Atomic uint64_t *)&channel->in->head), INT_MAX);
}

const char *channel_closed(const void *client, xpc_object_t request) {
  if (get_typed(request, "name", XPC_TYPE_STRING) == NULL) return "bad_request";
  const struct served *channel = served_of(request);
  if (channel == NULL) return "not_found";
  struct channel *end = end_of(client, channel->index);
  if (end != NULL) set_over(end);
  bell_rung();
  return NULL;
}

void channels_client_gone(const void *client) {
  for (struct channel *each = channels; each < channels + MAX_CHANNELS; each++) {
    if (!each->used || each->client != client) continue;
    set_over(each);
    each->client = channels; /* nobody: another client may come to the same place */
  }
}

void wake_channel_sleepers(void) {
  for (struct channel *each = channels; each < channels + MAX_CHANNELS; each++) {
    if (each->used) (void)futex_wake(low_half((_Atomic uint64_t *)&each->in->head), INT_MAX);
  }
}

/* channel NAME: the bytes of a ring */
static void open_channel(const struct command *command) {
  const char *name = WORD(1);
  if (strlen(name) >= sizeof channels->name) return say(command, "error not_found");
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", "channel");
  xpc_dictionary_set_string(request, "name", name);
  xpc_object_t reply = ask(side->other(), request);
  if (reply == NULL) return say(command, "error gone");
  const char *code = refusal(reply);
  if (code != NULL) return say(command, "error %s", code);
  uint64_t index, bytes;
  struct mapping mapping;
  xpc_object_t memory = get_typed(reply, "memory", XPC_TYPE_SHMEM);
  if (!get_integer(reply, "index", SHMEM_MAX_REGIONS - 1, &index) ||
      !get_integer(reply, "byteLength", 1u << 30, &bytes) || bytes < 64 || bytes % 8 != 0 || memory == NULL ||
      !map_shmem(memory, 2 * ring_bytes(bytes), &mapping)) {
    return say(command, "error unusable");
  }
  keep(name, (uint32_t)index, bytes, &mapping, NULL, client_parked((uint32_t)index));
  xpc_release(reply);
  say(command, "ok %llu", (unsigned long long)bytes);
}

/* hangup NAME */
static void hang_up(const struct command *command, struct channel *channel) {
  leave(channel);
  if (channel->client != NULL) {
    server_tell_channels(channel->client);
  } else {
    channel->used = false;
    xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
    xpc_dictionary_set_string(request, "op", "channel_close");
    xpc_dictionary_set_string(request, "name", channel->name);
    (void)ask(side->other(), request); /* the link is over, and the channel with it */
  }
  say(command, "ok");
}

/* --------------------------------------------------------------------------------------------- commands ---- */

/* Does one of the two until there is something to tell, and wakes the other side. */
struct attempt {
  struct channel *channel;
  bool sends;
  uint64_t length;
  uint8_t ends[2];
};

static enum ring_result attempt_once(struct attempt *attempt) {
  struct channel *channel = attempt->channel;
  enum ring_result result = RING_LEFT_BY_OTHER;
  pthread_mutex_lock(&lock);
  if (!channel->left) {
    result = attempt->sends ? send_message(channel, attempt->length, attempt->ends[0])
                            : receive_message(channel, &attempt->length, attempt->ends);
  }
  pthread_mutex_unlock(&lock);
  if (result == RING_DONE) wake(channel, attempt->sends ? &channel->out->head : &channel->in->tail);
  return result;
}

static void tell(const struct command *command, const struct attempt *attempt, enum ring_result result) {
  if (result == RING_BROKEN) {
    leave(attempt->channel);
    say(command, "error broken");
  } else if (result == RING_LEFT_BY_OTHER) {
    /* A server that has closed the channel in order tells that in the memory. */
    say(command, atomic_load(&ended) ? "error gone" : "error closed");
  } else if (attempt->sends) {
    say(command, result == RING_DONE ? "ok sent" : "ok full");
  } else if (result == RING_NOT_NOW) {
    say(command, "ok none");
  } else {
    say(command, "ok %llu %u %u", (unsigned long long)attempt->length, attempt->ends[0], attempt->ends[1]);
  }
}

static void wait_for(const struct command *command, struct attempt *attempt, bool by_bell) {
  struct channel *channel = attempt->channel;
  uint64_t *word = attempt->sends ? &channel->out->tail : &channel->in->head;
  const char *problem = by_bell ? side->want_bell() : NULL;
  if (problem != NULL) return say(command, "error %s", problem);
  if (by_bell) bell_enter(channel->index, channel->parked);
  else (void)atomic_fetch_add(channel->parked, SHMEM_PARKED_THREAD);
  (void)atomic_fetch_add(&sleepers, 1);
  bool told = false;
  enum ring_result result;
  for (;;) {
    uint64_t rings = bell_rings();
    bool is_over = atomic_load(&ended); /* before the look: what came before the end is seen */
    uint32_t seen = atomic_load(low_half((_Atomic uint64_t *)word));
    result = attempt_once(attempt);
    if (result != RING_NOT_NOW) break;
    if (is_over) {
      result = RING_LEFT_BY_OTHER;
      break;
    }
    if (!told) say(command, "parked");
    told = true;
    if (by_bell) (void)bell_await(rings, -1);
    else futex_wait(low_half((_Atomic uint64_t *)word), seen, -1);
  }
  (void)atomic_fetch_sub(&sleepers, 1);
  if (by_bell) bell_leave(channel->index, channel->parked);
  else (void)atomic_fetch_sub(channel->parked, SHMEM_PARKED_THREAD);
  tell(command, attempt, result);
}

/* post CHANNEL LENGTH BYTE, post_wait CHANNEL LENGTH BYTE bell|futex, pull CHANNEL, pull_wait CHANNEL bell|futex */
bool run_on_channels(const struct command *command) {
  static const char *const names[] = {"post", "post_wait", "pull", "pull_wait", "hangup"};
  if (strcmp(WORD(0), "channel") == 0) return open_channel(command), true;
  size_t which = 0;
  while (which < sizeof names / sizeof *names && strcmp(WORD(0), names[which]) != 0) which++;
  if (which == sizeof names / sizeof *names) return false;
  struct channel *channel = find(WORD(1));
  if (channel == NULL) return say(command, "error not_found"), true;
  if (which == 4) return hang_up(command, channel), true;
  struct attempt attempt = {.channel = channel, .sends = which < 2};
  if (attempt.sends) {
    attempt.length = strtoull(WORD(2), NULL, 10);
    attempt.ends[0] = (uint8_t)atoi(WORD(3));
    if (attempt.length > channel->bytes / 2) return say(command, "error bad_request"), true;
  }
  if (which % 2 == 1) wait_for(command, &attempt, strcmp(WORD(which == 1 ? 4 : 2), "bell") == 0);
  else tell(command, &attempt, attempt_once(&attempt));
  return true;
}
