/*
 * receive_fuzz.c: packets with descriptors go over real sockets into a service, or into a client of ours. Whatever
 * they are, the receiver ends the connection or lives on with it; it never hangs, and keeps no descriptor.
 */
#define _GNU_SOURCE 1
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "inputs.h"
#include "internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SERVICE "fuzz.service"
#define HOSTILE "fuzz.hostile"
#define RUNS_PER_COUNT 256 /* after so many runs all descriptors must be back */

/* ------------------------------------------------------------------------------------------ waits ---- */

/* A hang is a crash. The bound is generous: a sanitized program on a busy machine is slow. */
static void await(dispatch_semaphore_t semaphore) {
  dispatch_time_t limit = dispatch_time(DISPATCH_TIME_NOW, 60 * (int64_t)NSEC_PER_SEC);
  FUZZ_REQUIRE(dispatch_semaphore_wait(semaphore, limit) == 0);
}

static void poll_until(int fd, short events) {
  struct pollfd poller = {.fd = fd, .events = events};
  FUZZ_REQUIRE(poll(&poller, 1, 60000) == 1);
}

/* ---------------------------------------------------------------------------------------- packets ---- */

struct packet {
  struct xpc_header header;
  size_t header_length; /* an input may have less than a header */
  const uint8_t *body;
  size_t body_length;
  uint8_t kinds[FUZZ_MAX_DESCRIPTORS];
  size_t count;
  bool large;
};

/* Reads the next packet of the input; false at its end. */
static bool read_packet(const uint8_t **data, size_t *size, struct packet *packet) {
  memset(packet, 0, sizeof *packet);
  if (*size == 0) return false;
  uint8_t form = **data;
  packet->count = form & FUZZ_FORM_DESCRIPTORS;
  size_t prefix = 1 + packet->count + 2;
  if (*size < prefix) return false;
  memcpy(packet->kinds, *data + 1, packet->count);
  size_t length = (*data)[1 + packet->count] | (size_t)(*data)[2 + packet->count] << 8;
  if (length > *size - prefix) length = *size - prefix;
  const uint8_t *bytes = *data + prefix;
  *data += prefix + length;
  *size -= prefix + length;

  packet->header_length = length < sizeof packet->header ? length : sizeof packet->header;
  memcpy(&packet->header, bytes, packet->header_length);
  packet->body = bytes + packet->header_length;
  packet->body_length = length - packet->header_length;
  packet->large = form & FUZZ_FORM_LARGE;
  if (form & FUZZ_FORM_REPAIRED) {
    struct xpc_header *header = &packet->header;
    packet->header_length = sizeof *header;
    header->magic = XPC_WIRE_MAGIC;
    header->version = XPC_WIRE_VERSION;
    header->flags = packet->large ? XPC_PACKET_LARGE : 0;
    header->length = (uint32_t)packet->body_length;
    header->fd_count = (uint32_t)packet->count;
  }
  return true;
}

/* Whether a packet with bytes was sent. */
static bool send_packet(int fd, const struct packet *packet) {
  union {
    char bytes[CMSG_SPACE((FUZZ_MAX_DESCRIPTORS + 1) * sizeof(int))];
    struct cmsghdr alignment;
  } control = {0};
  struct iovec parts[2] = {
    {.iov_base = (void *)(uintptr_t)&packet->header, .iov_len = packet->header_length},
    {.iov_base = (void *)(uintptr_t)packet->body, .iov_len = packet->large ? 0 : packet->body_length},
  };
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  int fds[FUZZ_MAX_DESCRIPTORS + 1];
  size_t count = 0;
  for (; count < packet->count; count++) fds[count] = fuzz_descriptor(packet->kinds[count]);
  if (packet->large) {
    fds[count] = xpc_packet_spill(packet->body, packet->body_length);
    FUZZ_REQUIRE(fds[count++] >= 0);
  }
  if (count) {
    message.msg_control = control.bytes;
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), fds, count * sizeof(int));
  }
  poll_until(fd, POLLOUT);
  /* It fails where the receiver hung up on what it refuses, which is right. */
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  for (size_t i = 0; i < count; i++) xpc_close(fds[i]);
  return sent > 0;
}

/* Whether the first packet has bytes: with it a listener learns of its client. */
static bool send_packets(int fd, const uint8_t *data, size_t size) {
  struct packet packet;
  bool has_spoken = false;
  for (int i = 0; i < FUZZ_MAX_PACKETS && read_packet(&data, &size, &packet); i++) {
    bool sent = send_packet(fd, &packet);
    if (i == 0) has_spoken = sent;
  }
  return has_spoken;
}

/* ------------------------------------------------------------------------------------ the service ---- */

static dispatch_semaphore_t peer_over, replied, client_lost, client_over;
static xpc_connection_t service; /* kept, so that the leak sanitizer finds what only the kernel points to */

static void address_of(const char *name, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  const char *runtime = getenv("XDG_RUNTIME_DIR");
  FUZZ_REQUIRE(runtime != NULL);
  int length = snprintf(address->sun_path, sizeof address->sun_path, "%s/xpc-shmem/%s.sock", runtime, name);
  FUZZ_REQUIRE(length > 0 && (size_t)length < sizeof address->sun_path);
}

/* Answers with what came, as far as that can be sent. */
static void echo(xpc_object_t message) {
  free(xpc_copy_description(message));
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_dictionary_set_value(reply, "echo", message);
  xpc_object_t remote = xpc_dictionary_get_remote_connection(message);
  if (remote) xpc_connection_send_message((xpc_connection_t)remote, reply);
  xpc_release(reply);
}

static void take_peer(xpc_connection_t peer) {
  xpc_connection_set_event_handler(peer, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) echo(event);
    else if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(peer_over);
  });
  xpc_connection_activate(peer);
}

static void start_service(void) {
  service = xpc_connection_create_mach_service(SERVICE, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(service, ^(xpc_object_t event) {
    FUZZ_REQUIRE(xpc_get_type(event) == XPC_TYPE_CONNECTION); /* a listener that ends is a fault */
    take_peer((xpc_connection_t)event);
  });
  xpc_connection_activate(service);
}

static int connect_raw(const char *name) {
  struct sockaddr_un address;
  address_of(name, &address);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  FUZZ_REQUIRE(fd >= 0);
  for (int tries = 0; connect(fd, (struct sockaddr *)&address, sizeof address) != 0; tries++) {
    FUZZ_REQUIRE(tries < 60000); /* only the first run comes before the service listens */
    usleep(1000);
  }
  return fd;
}

static void attack_service(const uint8_t *data, size_t size) {
  int fd = connect_raw(SERVICE);
  bool has_spoken = send_packets(fd, data, size);
  close(fd);
  if (has_spoken) await(peer_over);
}

/* ------------------------------------------------------------------------------------- the client ---- */

static int hostile;

static void start_hostile(void) {
  struct sockaddr_un address;
  address_of(HOSTILE, &address);
  unlink(address.sun_path);
  hostile = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  FUZZ_REQUIRE(hostile >= 0 && bind(hostile, (struct sockaddr *)&address, sizeof address) == 0);
  FUZZ_REQUIRE(listen(hostile, 10) == 0);
}

static xpc_connection_t make_client(void) {
  xpc_connection_t client = xpc_connection_create_mach_service(HOSTILE, NULL, 0);
  xpc_connection_set_event_handler(client, ^(xpc_object_t event) {
    if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) {
      echo(event);
    } else {
      dispatch_semaphore_signal(client_lost);
      if (event == XPC_ERROR_CONNECTION_INVALID) dispatch_semaphore_signal(client_over);
    }
  });
  xpc_connection_activate(client);
  return client;
}

/* The client's request is number 1: a packet that answers that is its reply. */
static void attack_client(const uint8_t *data, size_t size) {
  xpc_connection_t client = make_client();
  xpc_object_t request = xpc_dictionary_create_empty();
  xpc_connection_send_message_with_reply(client, request, NULL, ^(xpc_object_t reply) {
    free(xpc_copy_description(reply));
    dispatch_semaphore_signal(replied);
  });
  xpc_release(request);
  poll_until(hostile, POLLIN);
  int fd = accept4(hostile, NULL, NULL, SOCK_CLOEXEC);
  FUZZ_REQUIRE(fd >= 0);
  send_packets(fd, data, size);
  close(fd);
  await(replied); /* with a reply or with an error: exactly once */
  await(client_lost);
  xpc_connection_cancel(client);
  await(client_over);
  xpc_release(client);
  while (dispatch_semaphore_wait(client_lost, DISPATCH_TIME_NOW) == 0) continue;
  FUZZ_REQUIRE(dispatch_semaphore_wait(replied, DISPATCH_TIME_NOW) != 0);
}

/* ------------------------------------------------------------------------------------- the target ---- */

static size_t descriptors_before;

static void start(void) {
  struct sockaddr_un address;
  address_of("x", &address);
  *strrchr(address.sun_path, '/') = 0;
  mkdir(address.sun_path, 0700); /* it may be there; where it cannot be made, binding fails */
  peer_over = dispatch_semaphore_create(0);
  replied = dispatch_semaphore_create(0);
  client_lost = dispatch_semaphore_create(0);
  client_over = dispatch_semaphore_create(0);
  close(fuzz_descriptor(0));
  start_hostile();
  start_service();
  const uint8_t packet[] = {0, 1, 0, 'x'}; /* no descriptors, one byte */
  attack_service(packet, sizeof packet);
  attack_client(NULL, 0);
  descriptors_before = fuzz_count_descriptors();
}

/* What a connection holds is released on other threads, a moment after its end. */
static void check_descriptors(void) {
  for (int tries = 0; fuzz_count_descriptors() > descriptors_before; tries++) {
    FUZZ_REQUIRE(tries < 20000 && "all descriptors are back");
    usleep(1000);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static unsigned runs;
  if (size == 0) return 0;
  if (runs == 0) start();
  if (data[0] % FUZZ_RECEIVERS == FUZZ_SERVICE) attack_service(data + 1, size - 1);
  else attack_client(data + 1, size - 1);
  if (++runs % RUNS_PER_COUNT == 0) check_descriptors();
  return 0;
}
