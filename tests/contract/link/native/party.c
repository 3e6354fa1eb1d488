/* party.c: a party of the contract tests over `xpc_shmem.h` alone: see `../parties.ts`. It serves and opens regions and
 * streams; it has no locks, messages, tiles and replacements, which the header has none of. */
#define _GNU_SOURCE 1
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xpc_shmem.h>

#define MOST 512

struct command {
  char *text;
  const char *id;
  char *words[64];
  int count;
};

struct named_region {
  char name[64];
  xshm_region *region;
  bool writable;
};

struct named_stream {
  char name[64];
  xshm_stream *stream;
  bool every;
};

static xshm_server *server;
static xshm_client *client;
static struct named_region regions[MOST];
static struct named_stream streams[MOST];
static int region_count, stream_count;
static xshm_frame frames[4096]; /* taken and loaned: a lease or a loan is a place in it */
static int frame_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, output_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t rung = PTHREAD_COND_INITIALIZER;
static unsigned rings;
static bool reads_bell, over;

static void say(const struct command *command, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  pthread_mutex_lock(&output_lock);
  printf("%s ", command->id);
  (void)vprintf(format, arguments);
  putchar('\n');
  (void)fflush(stdout);
  pthread_mutex_unlock(&output_lock);
  va_end(arguments);
}

static const char *code_of(int result) {
  switch (result) {
    case XSHM_TIMEOUT: return "timeout";
    case XSHM_GONE: return "gone";
    case XSHM_REPLACED: return "replaced";
    case XSHM_NOT_FOUND: return "not_found";
    case XSHM_READ_ONLY: return "read_only";
    case XSHM_INCOMPATIBLE: return "incompatible";
    case XSHM_UNUSABLE: return "unusable";
    case XSHM_NAME_TAKEN: return "name_taken";
    case XSHM_BUSY: return "no_slot";
    case XSHM_REFUSED: return "failed";
    default: return "bad_request";
  }
}

static struct named_region *find_region(const char *name) {
  struct named_region *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = region_count; i > 0 && !found; i--) {
    if (strcmp(regions[i - 1].name, name) == 0) found = &regions[i - 1];
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static struct named_stream *find_stream(const char *name) {
  struct named_stream *found = NULL;
  pthread_mutex_lock(&lock);
  for (int i = 0; i < stream_count && !found; i++) {
    if (strcmp(streams[i].name, name) == 0 && streams[i].stream) found = &streams[i];
  }
  pthread_mutex_unlock(&lock);
  return found;
}

static void add_region(const char *name, xshm_region *region, bool writable) {
  pthread_mutex_lock(&lock);
  if (region_count == MOST || strlen(name) >= sizeof regions->name) abort(); /* no test has as many */
  (void)strcpy(regions[region_count].name, name);
  regions[region_count].writable = writable;
  regions[region_count++].region = region;
  pthread_mutex_unlock(&lock);
}

static void add_stream(const char *name, xshm_stream *stream, bool every) {
  pthread_mutex_lock(&lock);
  if (stream_count == MOST || strlen(name) >= sizeof streams->name) abort(); /* no test has as many */
  (void)strcpy(streams[stream_count].name, name);
  streams[stream_count].every = every;
  streams[stream_count++].stream = stream;
  pthread_mutex_unlock(&lock);
}

static int keep_frame(const xshm_frame *frame) {
  pthread_mutex_lock(&lock);
  if (frame_count == (int)(sizeof frames / sizeof *frames)) abort(); /* no test has as many */
  frames[frame_count] = *frame;
  int place = frame_count++;
  pthread_mutex_unlock(&lock);
  return place;
}

/* ------------------------------------------------------------------------------------------- doorbells ---- */

static bool is_over(void) { return client && !xshm_client_is_connected(client); }

static void *read_bell(void *argument) {
  struct pollfd polled = {.fd = *(int *)argument, .events = POLLIN};
  bool ends = false;
  while (!ends) {
    if (poll(&polled, 1, -1) < 0) continue;
    ends = (client ? xshm_client_clear(client) : xshm_server_clear(server)) != XSHM_OK;
    pthread_mutex_lock(&lock);
    rings++;
    over = ends;
    pthread_cond_broadcast(&rung);
    pthread_mutex_unlock(&lock);
  }
  return NULL;
}

static void want_bell(void) {
  static int fd;
  pthread_mutex_lock(&lock);
  bool first = !reads_bell;
  reads_bell = true;
  pthread_mutex_unlock(&lock);
  if (!first) return;
  pthread_t thread;
  fd = client ? xshm_client_descriptor(client) : xshm_server_descriptor(server);
  if (fd < 0 || pthread_create(&thread, NULL, read_bell, &fd) != 0) abort();
  (void)pthread_detach(thread);
}

static unsigned rings_so_far(void) {
  pthread_mutex_lock(&lock);
  unsigned count = rings;
  pthread_mutex_unlock(&lock);
  return count;
}

static void await_ring(unsigned before) {
  pthread_mutex_lock(&lock);
  while (rings == before && !over) pthread_cond_wait(&rung, &lock);
  pthread_mutex_unlock(&lock);
}

/* --------------------------------------------------------------------------------------------- regions ---- */

static void run_wait(const struct command *command, struct named_region *named) {
  uint64_t after = strtoull(command->words[2], NULL, 10), revision = 0;
  bool bell = strcmp(command->words[3], "bell") == 0, told = false;
  if (bell) want_bell();
  for (;;) {
    unsigned before = rings_so_far();
    int result = xshm_wait(named->region, after, 0, 0, &revision);
    if (result == XSHM_TIMEOUT) {
      if (!told) say(command, "parked");
      told = true;
      if (bell) {
        await_ring(before);
        continue;
      }
      result = xshm_wait(named->region, after, -1, 0, &revision);
    }
    if (result == XSHM_OK) {
      unsigned long long generation = xshm_region_generation(named->region);
      say(command, "ok %llu %llu", (unsigned long long)revision, generation);
    } else {
      say(command, "error %s", code_of(result));
    }
    return;
  }
}

static void run_mutex(const struct command *command, struct named_region *named) {
  const char *name = command->words[0];
  if (strcmp(name, "unlock") == 0) {
    int result = xshm_unlock(named->region);
    if (result == XSHM_OK) say(command, "ok");
    else say(command, "error %s", result == XSHM_INVALID ? "not_held" : code_of(result));
    return;
  }
  int result = xshm_lock(named->region, 0);
  if (result == XSHM_TIMEOUT && strcmp(name, "lock") == 0) {
    say(command, "parked");
    result = xshm_lock(named->region, atoi(command->words[2]));
  } else if (result == XSHM_TIMEOUT) {
    say(command, "ok busy");
    return;
  }
  if (result == XSHM_OK || result == XSHM_ABANDONED)
    say(command, result == XSHM_OK ? "ok locked" : "ok abandoned");
  else say(command, "error %s", code_of(result));
}

static void run_on_region(const struct command *command) {
  struct named_region *named = command->count < 2 ? NULL : find_region(command->words[1]);
  if (!named) return say(command, "error not_found");
  const char *name = command->words[0];
  unsigned char *bytes = xshm_region_data(named->region);
  unsigned long at = strtoul(command->words[2], NULL, 10);
  if (strcmp(name, "wait") == 0) return run_wait(command, named);
  if (strcmp(name, "revision") == 0) {
    return say(command, "ok %llu", (unsigned long long)xshm_revision(named->region));
  }
  if (strcmp(name, "commit") == 0) {
    if (!named->writable) return say(command, "error read_only");
    if (is_over()) return say(command, "error gone");
    return say(command, "ok %llu", (unsigned long long)xshm_commit(named->region));
  }
  if (strcmp(name, "read") == 0 || strcmp(name, "write") == 0) {
    if (at >= xshm_region_length(named->region)) return say(command, "error bad_request");
    if (*name == 'r') return say(command, "ok %u", (unsigned)bytes[at]);
    if (!named->writable) return say(command, "error read_only");
    bytes[at] = (unsigned char)atoi(command->words[3]);
    return say(command, "ok");
  }
  if (strcmp(name, "lock") == 0 || strcmp(name, "trylock") == 0 || strcmp(name, "unlock") == 0) {
    return run_mutex(command, named);
  }
  say(command, "error unknown");
}

/* --------------------------------------------------------------------------------------------- streams ---- */

static void run_loan(const struct command *command, struct named_stream *named) {
  bool waits = strcmp(command->words[0], "loan_wait") == 0, told = false;
  unsigned flags = waits                                      ? XSHM_LOAN_PATIENT
                   : strcmp(command->words[2], "revoke") == 0 ? XSHM_LOAN_REVOKE
                                                              : 0;
  xshm_frame frame;
  if (waits) want_bell();
  for (;;) {
    unsigned before = rings_so_far();
    int result = xshm_stream_loan_with(named->stream, flags, &frame);
    if (result == XSHM_OK) return say(command, "ok %d", keep_frame(&frame));
    if (!waits || result != XSHM_BUSY) break;
    if (atoi(command->words[2]) >= 0) return say(command, "error timeout");
    if (!told) say(command, "parked");
    told = true;
    await_ring(before);
  }
  int pids[64];
  char text[1024] = "";
  size_t count = xshm_stream_holders(named->stream, pids, 64);
  for (size_t i = 0; i < count; i++)
    (void)snprintf(text + strlen(text), sizeof text - strlen(text), " %d", pids[i]);
  say(command, "error no_slot%s", text);
}

static void tell_frame(const struct command *command, const xshm_frame *frame) {
  unsigned char record;
  memcpy(&record, frame->record, 1);
  say(command, "ok %d %llu %llu %zu %g %u", keep_frame(frame), (unsigned long long)frame->sequence,
      (unsigned long long)frame->dropped, frame->length, frame->timestamp, (unsigned)record);
}

static int take(struct named_stream *named, xshm_frame *frame) {
  return (named->every ? xshm_stream_next : xshm_stream_latest)(named->stream, frame);
}

static void run_await(const struct command *command, struct named_stream *named) {
  bool bell = strcmp(command->words[2], "bell") == 0, told = false;
  if (bell) want_bell();
  for (;;) {
    unsigned before = rings_so_far();
    xshm_frame frame;
    int result = take(named, &frame);
    if (result == XSHM_OK) return tell_frame(command, &frame);
    if (result != XSHM_NONE) return say(command, "error %s", code_of(result));
    if (!told) say(command, "parked");
    told = true;
    if (bell) await_ring(before);
    else (void)xshm_stream_wait(named->stream, -1, 0);
  }
}

static bool run_on_stream(const struct command *command) {
  char *const *words = command->words;
  if (strcmp(words[0], "stream") == 0) {
    xshm_error error;
    bool every = strcmp(words[3], "every") == 0;
    xshm_stream *stream = (every ? xshm_stream_open_every : xshm_stream_open)(client, words[1], &error);
    if (!stream) return say(command, "error %s", code_of(error.code)), true;
    add_stream(words[2], stream, every);
    say(command, "ok %llu %zu %u", (unsigned long long)xshm_stream_generation(stream),
        xshm_stream_length(stream), xshm_stream_slots(stream));
    return true;
  }
  struct named_stream *named = find_stream(words[1]);
  if (!named) return false;
  unsigned place = (unsigned)atoi(words[2]);
  xshm_frame *frame = &frames[place < MOST ? place : 0];
  if (strcmp(words[0], "loan") == 0 || strcmp(words[0], "loan_wait") == 0)
    return run_loan(command, named), true;
  if (strcmp(words[0], "await") == 0) return run_await(command, named), true;
  if (strcmp(words[0], "readers") == 0)
    return say(command, "ok %zu", xshm_stream_readers(named->stream)), true;
  if (strcmp(words[0], "frame") == 0) {
    xshm_frame taken;
    int result = take(named, &taken);
    if (result == XSHM_OK) tell_frame(command, &taken);
    else if (result == XSHM_NONE || result == XSHM_GONE) say(command, "ok none");
    else say(command, "error %s", code_of(result));
  } else if (strcmp(words[0], "fill") == 0) {
    memset(frame->data, atoi(words[3]), xshm_stream_length(named->stream));
    say(command, "ok");
  } else if (strcmp(words[0], "publish") == 0) {
    frame->length = strtoul(words[3], NULL, 10);
    frame->timestamp = atof(words[4]);
    memset(frame->record, atoi(words[5]), sizeof frame->record);
    int result = xshm_stream_publish(named->stream, frame);
    if (result == XSHM_OK) say(command, "ok %llu", (unsigned long long)frame->sequence);
    else say(command, "error %s", code_of(result));
  } else if (strcmp(words[0], "look") == 0) {
    const volatile unsigned char *bytes = frame->data;
    unsigned first = bytes[0], last = bytes[xshm_stream_length(named->stream) - 1];
    say(command, "ok %s %u %u", xshm_stream_holds(named->stream, frame) ? "valid" : "revoked", first, last);
  } else if (strcmp(words[0], "release") == 0 || strcmp(words[0], "unloan") == 0) {
    xshm_frame copy = *frame;
    xshm_stream_release(named->stream, &copy);
    say(command, "ok");
  } else if (strcmp(words[0], "shut") == 0) {
    xshm_stream_close(named->stream);
    named->stream = NULL;
    say(command, "ok");
  } else {
    return false;
  }
  return true;
}

/* ------------------------------------------------------------------------------------- beginning and end ---- */

static void run_serve(const struct command *command) {
  xshm_region_options made_regions[16] = {{0}};
  xshm_stream_options made_streams[16] = {{0}};
  int region_number = 0, stream_number = 0;
  for (int i = 4; i + 2 < command->count; i += 3) {
    size_t length = strtoul(command->words[i + 1], NULL, 10);
    const char *kind = command->words[i + 2];
    if (strncmp(kind, "stream:", 7) == 0) {
      made_streams[stream_number++] =
        (xshm_stream_options){.name = command->words[i], .length = length, .slots = (uint32_t)atoi(kind + 7)};
    } else {
      made_regions[region_number++] = (xshm_region_options){
        .name = command->words[i], .length = length, .clients = *kind == 'w' ? XSHM_WRITE : XSHM_READ};
    }
  }
  xshm_error error;
  const char *schema = strcmp(command->words[3], "-") == 0 ? NULL : command->words[3];
  server = xshm_serve(
    command->words[2],
    &(xshm_service){
      .regions = made_regions, .streams = made_streams, .broker = command->words[1], .schema = schema},
    &error);
  if (!server) return say(command, "error %s", code_of(error.code));
  for (int i = 0; i < region_number; i++) {
    add_region(made_regions[i].name, xshm_server_region(server, made_regions[i].name), true);
  }
  for (int i = 0; i < stream_number; i++) {
    add_stream(made_streams[i].name, xshm_server_stream(server, made_streams[i].name), false);
  }
  say(command, "ok");
}

static void run_connect(const struct command *command) {
  xshm_error error;
  const char *schema = strcmp(command->words[3], "-") == 0 ? NULL : command->words[3];
  const xshm_connect_options options = {.broker = command->words[1], .schema = schema};
  client = xshm_connect_with(command->words[2], -1, &options, &error);
  if (client) say(command, "ok");
  else say(command, "error %s", code_of(error.code));
}

static void run_open(const struct command *command) {
  xshm_error error;
  bool write = strcmp(command->words[2], "write") == 0;
  xshm_region *region = xshm_open(client, command->words[1], write ? XSHM_WRITE : XSHM_READ, &error);
  if (!region) return say(command, "error %s", code_of(error.code));
  add_region(command->words[1], region, write);
  say(command, "ok %llu %zu", (unsigned long long)xshm_region_generation(region), xshm_region_length(region));
}

static void *run(void *argument) {
  struct command *command = argument;
  const char *name = command->words[0];
  /* What the commands did that have been answered is seen from here on. */
  pthread_mutex_lock(&output_lock);
  pthread_mutex_unlock(&output_lock);
  if (strcmp(name, "serve") == 0) run_serve(command);
  else if (strcmp(name, "connect") == 0) run_connect(command);
  else if (strcmp(name, "open") == 0) run_open(command);
  else if (strcmp(name, "clients") == 0) say(command, "ok %zu", xshm_server_clients(server));
  else if (!run_on_stream(command)) run_on_region(command);
  free(command->text);
  free(command);
  return NULL;
}

/* One thread for each command, since those that wait answer last. */
static void start(const char *line) {
  struct command *command = calloc(1, sizeof *command);
  if (!command || !(command->text = strdup(line))) abort();
  char *rest = NULL;
  command->id = strtok_r(command->text, " \n", &rest);
  for (char *word; command->count < 60 && (word = strtok_r(NULL, " \n", &rest));) {
    command->words[command->count++] = word;
  }
  for (int i = command->count; i < 64; i++) command->words[i] = ""; /* what is missing is empty */
  if (!command->id || command->count == 0) abort();
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, command) != 0 || pthread_detach(thread) != 0) abort();
}

int main(void) {
  char *line = NULL;
  size_t size = 0;
  while (getline(&line, &size, stdin) > 0) start(line);
  free(line);
  if (server) xshm_close(server);
  if (client) xshm_close(client);
  return 0;
}
