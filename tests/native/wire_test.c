/*
 * wire_test.c: what is malformed is refused: no crash, no hang, no leak. Frames are random, mutated and
 * crafted; they go into the decoder and into real sockets of all three kinds.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "internal.h"

int run_role(const char *role, char **arguments) {
  (void)role;
  (void)arguments;
  return -1;
}

#if ADDRESS_SANITIZED
#define FRAMES 12000
#else
#define FRAMES 20000
#endif

/* A small generator of our own: the same frames in every run. */
static uint64_t state = 88172645463325252u;
static uint64_t random64(void) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}
static size_t below(size_t limit) { return (size_t)(random64() % limit); }

static xpc_object_t make_tree(int depth) {
  xpc_object_t dictionary = xpc_dictionary_create_empty();
  char key[8];
  size_t count = 1 + below(6);
  for (size_t i = 0; i < count; i++) {
    snprintf(key, sizeof key, "k%zu", below(1000));
    uuid_t uuid = {(unsigned char)random64()};
    switch (below(depth > 3 ? 9 : 11)) {
      case 0: xpc_dictionary_set_bool(dictionary, key, random64() & 1); break;
      case 1: xpc_dictionary_set_int64(dictionary, key, (int64_t)random64()); break;
      case 2: xpc_dictionary_set_uint64(dictionary, key, random64()); break;
      case 3: xpc_dictionary_set_double(dictionary, key, (double)below(100000) / 7); break;
      case 4: xpc_dictionary_set_date(dictionary, key, (int64_t)random64()); break;
      case 5: xpc_dictionary_set_data(dictionary, key, &state, sizeof state); break;
      case 6: xpc_dictionary_set_string(dictionary, key, "some text"); break;
      case 7: xpc_dictionary_set_uuid(dictionary, key, uuid); break;
      case 8: xpc_dictionary_set_fd(dictionary, key, STDOUT_FILENO); break;
      case 9: {
        xpc_object_t inner = make_tree(depth + 1);
        xpc_dictionary_set_value(dictionary, key, inner);
        xpc_release(inner);
        break;
      }
      default: {
        xpc_object_t array = xpc_array_create_empty(), inner = make_tree(depth + 1);
        xpc_array_append_value(array, inner);
        xpc_array_set_int64(array, XPC_ARRAY_APPEND, 1);
        xpc_release(inner);
        xpc_dictionary_set_value(dictionary, key, array);
        xpc_release(array);
      }
    }
  }
  return dictionary;
}

static size_t duplicate(const struct xpc_capture *capture, int *fds) {
  for (size_t i = 0; i < capture->holder_count; i++) {
    fds[i] = fcntl(xpc_holder_descriptor(capture->holders[i]), F_DUPFD_CLOEXEC, 0);
  }
  return capture->holder_count;
}

/* Decodes and closes what is left over, as a connection does. */
static xpc_object_t decode(const uint8_t *bytes, size_t length, int *fds, size_t count) {
  const char *reason = NULL;
  /* Exactly as long as it says, so that a sanitizer sees every byte read beyond. */
  uint8_t *exact = malloc(length ? length : 1);
  if (length) memcpy(exact, bytes, length);
  xpc_object_t object = xpc_wire_decode(exact, length, fds, count, &reason);
  CHECK((object == NULL) == (reason != NULL));
  for (size_t i = 0; i < count; i++) xpc_close(fds[i]);
  free(exact);
  return object;
}

static void round_trips(void) {
  size_t fds_before = count_fds();
  for (int i = 0; i < 2000; i++) {
    xpc_object_t tree = make_tree(0);
    struct xpc_capture capture = {0}, again = {0};
    CHECK(xpc_wire_encode(tree, &capture) == NULL);
    xpc_object_t copy = xpc_copy(tree);
    CHECK(xpc_wire_encode(copy, &again) == NULL);
    CHECK(capture.length == again.length && memcmp(capture.bytes, again.bytes, again.length) == 0);
    int fds[64];
    size_t count = duplicate(&capture, fds);
    xpc_object_t back = decode(capture.bytes, capture.length, fds, count);
    CHECK(back && xpc_equal(back, tree) && xpc_hash(back) == xpc_hash(tree));
    for (size_t length = 0; length < capture.length && i < 100; length++) { /* cut off anywhere */
      count = duplicate(&capture, fds);
      CHECK(decode(capture.bytes, length, fds, count) == NULL);
    }
    if (back) xpc_release(back);
    xpc_release(copy);
    xpc_release(tree);
    xpc_capture_clear(&capture);
    xpc_capture_clear(&again);
  }
  CHECK(count_fds() == fds_before);
}

static void random_frames(void) {
  size_t fds_before = count_fds();
  uint8_t bytes[512];
  for (int i = 0; i < FRAMES; i++) {
    size_t length = below(sizeof bytes);
    for (size_t j = 0; j < length; j++) bytes[j] = (uint8_t)random64();
    if (length && i % 2) bytes[0] = XPC_KIND_DICTIONARY;
    int fds[3];
    size_t count = below(4);
    for (size_t j = 0; j < count; j++) fds[j] = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    xpc_object_t object = decode(bytes, length, fds, count);
    if (object) xpc_release(object);
  }
  CHECK(count_fds() == fds_before);
}

static void mutate(uint8_t *bytes, size_t length) {
  for (size_t n = 1 + below(4); n > 0; n--) {
    static const uint8_t interesting[] = {0, 1, 0x7f, 0x80, 0xff};
    bytes[below(length)] = below(2) ? (uint8_t)random64() : interesting[below(sizeof interesting)];
  }
}

static void mutated_frames(void) {
  size_t fds_before = count_fds();
  for (int i = 0; i < FRAMES; i++) {
    xpc_object_t tree = make_tree(0);
    struct xpc_capture capture = {0};
    CHECK(xpc_wire_encode(tree, &capture) == NULL);
    mutate(capture.bytes, capture.length);
    int fds[64];
    size_t count = duplicate(&capture, fds);
    xpc_object_t object = decode(capture.bytes, capture.length, fds, count);
    if (object) xpc_release(object);
    xpc_release(tree);
    xpc_capture_clear(&capture);
  }
  CHECK(count_fds() == fds_before);
}

static void refuse(const char *what, const void *bytes, size_t length) {
  xpc_object_t object = decode(bytes, length, NULL, 0);
  if (!CHECK(object == NULL)) printf("# accepted: %s\n", what);
}
#define REFUSE(what, bytes) refuse(what, bytes, sizeof(bytes) - 1)

static void crafted_frames(void) {
  REFUSE("nothing", "");
  REFUSE("no dictionary", "\x01");
  REFUSE("a count without entries", "\x0e\x01\0\0\0");
  REFUSE("a count beyond memory", "\x0e\xff\xff\xff\xff");
  REFUSE("bytes left over", "\x0e\0\0\0\0\x01");
  REFUSE("a key with a NUL", "\x0e\x01\0\0\0\x03\0\0\0a\0b\0\x01");
  REFUSE("a key without its NUL", "\x0e\x01\0\0\0\x01\0\0\0ab\x01");
  REFUSE("the same key twice", "\x0e\x02\0\0\0\x01\0\0\0a\0\x01\x01\0\0\0a\0\x01");
  REFUSE("keys out of order", "\x0e\x02\0\0\0\x01\0\0\0b\0\x01\x01\0\0\0a\0\x01");
  REFUSE("a boolean of two", "\x0e\x01\0\0\0\x01\0\0\0a\0\x02\x02");
  REFUSE("a type of zero", "\x0e\x01\0\0\0\x01\0\0\0a\0\0");
  REFUSE("an error", "\x0e\x01\0\0\0\x01\0\0\0a\0\x0f");
  REFUSE("a descriptor that did not come", "\x0e\x01\0\0\0\x01\0\0\0a\0\x0a");
  REFUSE("data of 4 GiB", "\x0e\x01\0\0\0\x01\0\0\0a\0\x07\xff\xff\xff\xff");
  REFUSE("a string of 4 GiB", "\x0e\x01\0\0\0\x01\0\0\0a\0\x08\xff\xff\xff\xff");
  REFUSE("an array of 4 Gi values", "\x0e\x01\0\0\0\x01\0\0\0a\0\x0d\xff\xff\xff\xff");

  int file = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  CHECK(decode((const uint8_t *)"\x0e\x01\0\0\0\x01\0\0\0a\0\x0c\x01", 13, &file, 1) == NULL); /* no port */
  file = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  CHECK(decode((const uint8_t *)"\x0e\x01\0\0\0\x01\0\0\0a\0\x0c\x01", 13, &file, 1) == NULL); /* a socket */
  file = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
  CHECK(decode((const uint8_t *)"\x0e\0\0\0\0", 5, &file, 1) == NULL); /* nobody's descriptor */

  /* 64 levels are allowed, 65 are not, in both directions. */
  for (int levels = 64; levels <= 65; levels++) {
    uint8_t bytes[512];
    size_t length = 0;
    memcpy(bytes, "\x0e\x01\0\0\0\x01\0\0\0a\0", 11);
    length = 11;
    for (int i = 0; i < levels - 2; i++, length += 5) memcpy(bytes + length, "\x0d\x01\0\0\0", 5);
    bytes[length++] = XPC_KIND_NULL;
    xpc_object_t object = decode(bytes, length, NULL, 0);
    CHECK((object != NULL) == (levels == 64));
    xpc_object_t nested = xpc_null_create();
    for (int i = 0; i < levels - 1; i++) {
      xpc_object_t outer = xpc_dictionary_create_empty();
      xpc_dictionary_set_value(outer, "a", nested);
      xpc_release(nested);
      nested = outer;
    }
    struct xpc_capture capture = {0};
    CHECK((xpc_wire_encode(nested, &capture) == NULL) == (levels == 64));
    xpc_capture_clear(&capture);
    xpc_release(nested);
    if (object) xpc_release(object);
  }
}

/* A message of as many values as a message may have, and of one more, in both directions. */
static void many_values(void) {
  uint8_t *bytes = calloc(1, 17 + XPC_VALUE_LIMIT);
  for (uint32_t count = XPC_VALUE_LIMIT - 1; count <= XPC_VALUE_LIMIT; count++) {
    const uint8_t head[] = {0x0e, 1, 0, 0, 0, 1, 0, 0, 0, 'a', 0, 0x0d};
    memcpy(bytes, head, sizeof head);
    memcpy(bytes + sizeof head, &count, sizeof count);
    memset(bytes + sizeof head + sizeof count, XPC_KIND_NULL, count);
    xpc_object_t object = decode(bytes, sizeof head + sizeof count + count, NULL, 0);
    CHECK((object != NULL) == (count == XPC_VALUE_LIMIT - 1)); /* the array counts, the message does not */
    xpc_object_t array = xpc_array_create_empty(), message = xpc_dictionary_create_empty();
    xpc_object_t null = xpc_null_create();
    for (uint32_t i = 0; i < count; i++) xpc_array_append_value(array, null);
    xpc_dictionary_set_value(message, "a", array);
    struct xpc_capture capture = {0};
    CHECK((xpc_wire_encode(message, &capture) == NULL) == (object != NULL));
    xpc_capture_clear(&capture);
    if (object) xpc_release(object);
    xpc_release(message);
    xpc_release(array);
  }
  CHECK(XPC_VALUE_LIMIT == 65536); /* what <xpc/connection.h> says */
  free(bytes);
}

/* Shared memory that its maker could take away, or that is shorter than it says. */
static void unsafe_memory(void) {
  void *region = NULL;
  int fd = xpc_linux_memfd("test");
  REQUIRE(fd >= 0 && ftruncate(fd, 8192) == 0);
  xpc_object_t box = xpc_shmem_adopt(fcntl(fd, F_DUPFD_CLOEXEC, 0), 8192);
  CHECK(xpc_shmem_map(box, &region) == 0); /* not sealed */
  CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
  CHECK(xpc_shmem_map(box, &region) == 8192);
  munmap(region, 8192);
  xpc_release(box);
  const uint64_t lies[] = {0, 8193, UINT64_MAX, UINT64_MAX - 4096, INT64_MAX, (uint64_t)1 << 63};
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    box = xpc_shmem_adopt(fcntl(fd, F_DUPFD_CLOEXEC, 0), lies[i]);
    CHECK(xpc_shmem_map(box, &region) == 0);
    xpc_release(box);
  }
  close(fd);
  int ends[2];
  REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
  box = xpc_shmem_adopt(ends[0], 4096);
  CHECK(xpc_shmem_map(box, &region) == 0); /* no memory at all */
  xpc_release(box);
  close(ends[1]);
}

/* ---------------------------------------------------------------------------------- real sockets ---- */

static bool raw_send(int fd, const void *bytes, size_t length, const int *fds, size_t count) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
  union {
    char bytes[CMSG_SPACE(16 * sizeof(int))];
    struct cmsghdr alignment;
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (count) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL) >= 0;
}

/* A packet that is nearly right. */
static void send_hostile(int fd) {
  uint8_t bytes[4096];
  xpc_object_t tree = make_tree(0);
  struct xpc_capture capture = {0};
  CHECK(xpc_wire_encode(tree, &capture) == NULL);
  struct xpc_header header = {
    .magic = XPC_WIRE_MAGIC,
    .version = XPC_WIRE_VERSION,
    .kind = (uint8_t)(1 + below(6)),
    .flags = (uint16_t)(below(4) == 0 ? random64() : below(2)),
    .request = below(3) ? below(4) : random64(),
    .answers = below(3) ? below(4) : random64(),
    .length = (uint32_t)(below(4) ? capture.length : random64()),
    .fd_count = (uint32_t)(below(4) ? capture.holder_count : below(300)),
  };
  memcpy(bytes, &header, sizeof header);
  size_t length = capture.length < sizeof bytes - sizeof header ? capture.length : 0;
  if (length) memcpy(bytes + sizeof header, capture.bytes, length);
  length += sizeof header;
  switch (below(4)) {
    case 0: mutate(bytes, length); break;
    case 1: length = 1 + below(length); break;
    case 2: mutate(bytes, sizeof header); break;
    default: break;
  }
  int fds[8];
  size_t count = 0;
  for (; count < capture.holder_count && count < 8; count++) {
    fds[count] = xpc_holder_descriptor(capture.holders[count]);
  }
  if (below(4) == 0 && count < 8) fds[count++] = STDOUT_FILENO;
  raw_send(fd, bytes, length, fds, count);
  xpc_capture_clear(&capture);
  xpc_release(tree);
}

static void service_address(const char *name, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  snprintf(address->sun_path, sizeof address->sun_path, "%.60s/xpc-shmem/%.20s.sock", runtime, name);
}

/* Asks until the service has dealt with all that was sent: its descriptors are as many as before. */
/* Fewer are right as well: the first count may have seen the connection of the server's start, just ending. */
static bool settles(xpc_connection_t client, uint64_t fds) {
  for (int i = 0; i < 20000; i++) {
    xpc_object_t reply = ask(client, "ping");
    bool few = xpc_get_type(reply) == XPC_TYPE_DICTIONARY && xpc_dictionary_get_uint64(reply, "fds") <= fds;
    xpc_release(reply);
    if (few) return true;
  }
  return false;
}

static void hostile_clients(void) {
  pid_t server = start_server("fuzzed");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("fuzzed", errors);
  xpc_object_t reply = ask(client, "ping");
  uint64_t fds = xpc_dictionary_get_uint64(reply, "fds");
  xpc_release(reply);
  struct sockaddr_un address;
  service_address("fuzzed", &address);
  for (int i = 0; i < FRAMES / 4; i++) {
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (!CHECK(connect(raw, (struct sockaddr *)&address, sizeof address) == 0)) break;
    for (size_t n = 1 + below(4); n > 0; n--) send_hostile(raw);
    close(raw);
  }
  CHECK(settles(client, fds));
  CHECK(waitpid(server, NULL, WNOHANG) == 0);
  end_connection(client, errors);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
}

static void hostile_connects(void) {
  pid_t server = start_server("fuzzed port");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("fuzzed port", errors);
  xpc_object_t reply = ask(client, "endpoint");
  xpc_object_t endpoint = xpc_retain(xpc_dictionary_get_value(reply, "endpoint"));
  xpc_release(reply);
  reply = ask(client, "ping");
  uint64_t fds = xpc_dictionary_get_uint64(reply, "fds");
  xpc_release(reply);
  int port = ((struct _xpc_endpoint_s *)endpoint)->fd;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", port);
  for (int i = 0; i < FRAMES / 8; i++) {
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (!CHECK(connect(raw, (struct sockaddr *)&address, sizeof address) == 0)) break;
    for (size_t n = below(4); n > 0; n--) send_hostile(raw); /* none: it hangs up in silence */
    /* What its holder could do to a descriptor, were it the socket itself. */
    CHECK(shutdown(port, SHUT_RDWR) != 0 && listen(port, 0) != 0 && fcntl(port, F_SETFL, 0) != 0);
    close(raw);
  }
  xpc_connection_t direct = xpc_connection_create_from_endpoint(endpoint);
  xpc_connection_set_event_handler(direct, ^(xpc_object_t event) {
    if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(errors);
  });
  xpc_connection_activate(direct);
  reply = ask(direct, "still there?");
  CHECK(xpc_get_type(reply) == XPC_TYPE_DICTIONARY);
  xpc_release(reply);
  end_connection(direct, errors);
  CHECK(settles(client, fds));
  xpc_release(endpoint);
  end_connection(client, errors);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
}

/* The service is the hostile one: its clients end, or live on with what was well-formed. */
static void hostile_services(void) {
  struct sockaddr_un address;
  service_address("hostile", &address);
  int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  REQUIRE(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 10) == 0);
  static dispatch_semaphore_t errors; /* never released: late final errors may still signal it */
  errors = dispatch_semaphore_create(0);
  size_t fds = 0;
  for (int i = 0; i < 1000; i++) {
    xpc_connection_t client = connect_to("hostile", errors);
    xpc_object_t request = make_request("ping");
    dispatch_semaphore_t replied = dispatch_semaphore_create(0);
    xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
      (void)reply;
      dispatch_semaphore_signal(replied);
    });
    int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
    for (size_t n = 1 + below(4); n > 0; n--) send_hostile(peer);
    close(peer);
    CHECK(await(replied)); /* answered, refused or interrupted: never left waiting */
    CHECK(await(errors));
    xpc_connection_cancel(client);
    xpc_connection_send_barrier(client, ^{ dispatch_semaphore_signal(replied); });
    CHECK(await(replied));
    xpc_release(client);
    xpc_release(request);
    dispatch_release(replied);
    while (dispatch_semaphore_wait(errors, DISPATCH_TIME_NOW) == 0) continue;
    if (i == 10) fds = count_fds();
  }
  CHECK(count_fds() <= fds + 4); /* the last ones may be on their way out */
  close(server);
  unlink(address.sun_path);
}

/* Large messages whose memory is not what it has to be. */
static void hostile_memory(void) {
  pid_t server = start_server("memory");
  dispatch_semaphore_t errors = dispatch_semaphore_create(0);
  xpc_connection_t client = connect_to("memory", errors);
  xpc_object_t reply = ask(client, "ping");
  uint64_t fds = xpc_dictionary_get_uint64(reply, "fds");
  xpc_release(reply);
  struct sockaddr_un address;
  service_address("memory", &address);
  for (int i = 0; i < 6; i++) {
    int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    REQUIRE(connect(raw, (struct sockaddr *)&address, sizeof address) == 0);
    int memory = xpc_linux_memfd("hostile");
    CHECK(ftruncate(memory, 100000) == 0);
    uint32_t length = 100000;
    if (i == 1) fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    if (i >= 2) fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
    if (i == 3) length = 100001;
    if (i == 4) length = UINT32_MAX;
    if (i == 5) length = 0;
    struct xpc_header header = {
      .magic = XPC_WIRE_MAGIC,
      .version = XPC_WIRE_VERSION,
      .kind = XPC_PACKET_MESSAGE,
      .flags = XPC_PACKET_LARGE,
      .length = length,
    };
    CHECK(xpc_packet_send(raw, &header, NULL, 0, &memory, 1) == 0);
    close(memory);
    struct pollfd poller = {.fd = raw, .events = POLLRDHUP};
    CHECK(poll(&poller, 1, 20000) == 1 && (poller.revents & (POLLHUP | POLLRDHUP))); /* hung up on */
    close(raw);
  }
  CHECK(settles(client, fds));
  end_connection(client, errors);
  dispatch_release(errors);
  kill(server, SIGKILL);
  wait_exit(server);
}

/* One socket, two processes: what the second one says must not count as the first one's. */
static void changed_sender(void) {
  pid_t server = start_server("sender");
  struct sockaddr_un address;
  service_address("sender", &address);
  int raw = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  REQUIRE(connect(raw, (struct sockaddr *)&address, sizeof address) == 0);
  struct xpc_header header = {
    .magic = XPC_WIRE_MAGIC,
    .version = XPC_WIRE_VERSION,
    .kind = XPC_PACKET_MESSAGE,
    .length = 5,
    .request = 1,
  };
  struct xpc_packet packet;
  const char *reason;
  struct pollfd poller = {.fd = raw, .events = POLLIN};
  CHECK(xpc_packet_send(raw, &header, "\x0e\0\0\0\0", 5, NULL, 0) == 0);
  CHECK(poll(&poller, 1, 20000) == 1);
  CHECK(xpc_packet_receive(raw, &packet, &reason) == XPC_RECEIVED && packet.header.kind == XPC_PACKET_HELLO);
  CHECK(poll(&poller, 1, 20000) == 1);
  CHECK(xpc_packet_receive(raw, &packet, &reason) == XPC_RECEIVED && packet.header.answers == 1);
  pid_t child = fork();
  if (child == 0) {
    header.request = 2;
    xpc_packet_send(raw, &header, "\x0e\0\0\0\0", 5, NULL, 0);
    _exit(0);
  }
  wait_exit(child);
  CHECK(poll(&poller, 1, 20000) == 1);
  CHECK(xpc_packet_receive(raw, &packet, &reason) == XPC_END);
  close(raw);
  kill(server, SIGKILL);
  wait_exit(server);
}

const struct test tests[] = {
  {"wire: everything comes back, equal content as equal bytes, and nothing when cut off", round_trips},
  {"wire: random frames are refused", random_frames},
  {"wire: mutated frames are refused or understood", mutated_frames},
  {"wire: crafted frames are refused", crafted_frames},
  {"wire: the number of values is limited", many_values},
  {"wire: unsafe shared memory is not mapped", unsafe_memory},
  {"wire: a service survives hostile clients", hostile_clients},
  {"wire: a listener survives hostile connects", hostile_connects},
  {"wire: clients survive hostile services", hostile_services},
  {"wire: a second process on one connection ends it", changed_sender},
  {"wire: large messages in unsafe memory are refused", hostile_memory},
  {NULL, NULL},
};
