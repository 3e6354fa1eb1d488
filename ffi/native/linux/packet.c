/*
 * packet.c: packets on sockets: a header, bytes, descriptors and the sender's credentials.
 */
#define _GNU_SOURCE 1
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

union control {
  char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(XPC_PACKET_FDS * sizeof(int))];
  struct cmsghdr alignment;
};

int xpc_packet_send(int fd, const struct xpc_header *header, const void *body, size_t length, const int *fds,
                    size_t fd_count) {
  struct iovec parts[2] = {
    {.iov_base = (void *)(uintptr_t)header, .iov_len = sizeof *header},
    {.iov_base = (void *)(uintptr_t)body, .iov_len = length},
  };
  union control control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = length ? 2 : 1, .msg_control = control.bytes};
  message.msg_controllen = CMSG_SPACE(sizeof(struct ucred));
  if (fd_count) message.msg_controllen += CMSG_SPACE(fd_count * sizeof(int));

  /* Said explicitly, for the kernel would else give the real ids, where connect gives the effective ones. */
  struct ucred credentials = {.pid = getpid(), .uid = geteuid(), .gid = getegid()};
  struct cmsghdr *part = CMSG_FIRSTHDR(&message);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_CREDENTIALS;
  part->cmsg_len = CMSG_LEN(sizeof credentials);
  memcpy(CMSG_DATA(part), &credentials, sizeof credentials);
  if (fd_count) {
    part = CMSG_NXTHDR(&message, part);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(part), fds, fd_count * sizeof(int));
  }
  ssize_t sent;
  do sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  while (sent < 0 && errno == EINTR);
  return sent < 0 ? errno : 0;
}

void xpc_packet_send_bare(int fd, enum xpc_packet_kind kind) {
  struct xpc_header header = {.magic = XPC_WIRE_MAGIC, .version = XPC_WIRE_VERSION, .kind = (uint8_t)kind};
  (void)xpc_packet_send(fd, &header, NULL, 0, NULL, 0);
}

static void take_control(struct msghdr *message, struct xpc_packet *packet) {
  packet->fd_count = 0;
  packet->credited = false;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      struct ucred credentials;
      memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      packet->credited = true;
      packet->pid = credentials.pid;
      packet->uid = credentials.uid;
      packet->gid = credentials.gid;
    } else if (part->cmsg_type == SCM_RIGHTS) {
      size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      int fds[XPC_PACKET_FDS];
      if (count > XPC_PACKET_FDS) count = XPC_PACKET_FDS; /* the buffer has no room for more */
      memcpy(fds, CMSG_DATA(part), count * sizeof(int));
      for (size_t i = 0; i < count; i++) {
        if (packet->fd_count < XPC_PACKET_FDS) packet->fds[packet->fd_count++] = fds[i];
        else xpc_close(fds[i]);
      }
    }
  }
}

enum xpc_receipt xpc_packet_receive(int fd, struct xpc_packet *packet, const char **reason) {
  struct iovec parts[2] = {
    {.iov_base = &packet->header, .iov_len = sizeof packet->header},
    {.iov_base = packet->body, .iov_len = sizeof packet->body},
  };
  union control control;
  struct msghdr message = {
    .msg_iov = parts,
    .msg_iovlen = 2,
    .msg_control = control.bytes,
    .msg_controllen = sizeof control.bytes,
  };
  ssize_t received;
  /* A peer that died with packets unread makes one call fail; what it sent before is still there. */
  int resets = 0;
  do received = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  while (received < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ < 2)));
  if (received < 0) {
    if (errno == EAGAIN) return XPC_NOTHING;
    if (errno == ENOMEM || errno == ENOBUFS) return XPC_EXHAUSTED;
    return XPC_END;
  }
  take_control(&message, packet);
  if (received == 0) {
    xpc_packet_close(packet);
    return XPC_END;
  }
  if (message.msg_flags & MSG_CTRUNC) {
    *reason = "descriptors were lost: too many are open; close some files, or raise the limit (ulimit -n)";
    xpc_packet_close(packet);
    return XPC_STARVED;
  }
  *reason = NULL;
  if (message.msg_flags & MSG_TRUNC) *reason = "a packet is too long";
  else if ((size_t)received < sizeof packet->header) *reason = "a packet is too short";
  else if (packet->header.magic != XPC_WIRE_MAGIC) *reason = "a packet is not of this protocol";
  else if (packet->header.version != XPC_WIRE_VERSION) *reason = "the other side speaks another version";
  if (*reason) {
    xpc_packet_close(packet);
    return XPC_MALFORMED;
  }
  packet->body_length = (size_t)received - sizeof packet->header;
  return XPC_RECEIVED;
}

void xpc_packet_close(struct xpc_packet *packet) {
  for (size_t i = 0; i < packet->fd_count; i++) xpc_close(packet->fds[i]);
  packet->fd_count = 0;
}

#define SPILL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int xpc_packet_spill(const void *bytes, size_t length) {
  int fd = xpc_linux_memfd("xpc-message");
  if (fd < 0) return -1;
  for (size_t done = 0; done < length;) {
    ssize_t written = write(fd, (const char *)bytes + done, length - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      if (written == 0) errno = EIO;
      xpc_close(fd);
      return -1;
    }
    done += (size_t)written;
  }
  if (fcntl(fd, F_ADD_SEALS, SPILL_SEALS | F_SEAL_SEAL) == 0) return fd;
  xpc_close(fd);
  return -1;
}

uint8_t *xpc_packet_unspill(int fd, size_t length, const char **reason) {
  int seals = fcntl(fd, F_GET_SEALS);
  struct stat status;
  if (seals < 0 || (seals & SPILL_SEALS) != SPILL_SEALS) {
    *reason = "the memory of a large message is not sealed";
    return NULL;
  }
  if (fstat(fd, &status) != 0 || status.st_size < 0 || (uint64_t)status.st_size != length) {
    *reason = "the memory of a large message has another size";
    return NULL;
  }
  /* Read, not mapped: no page of the sender's can then be missing under us. */
  uint8_t *bytes = xpc_allocate(length);
  for (size_t done = 0; done < length;) {
    ssize_t got = pread(fd, bytes + done, length - done, (off_t)done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      *reason = "the memory of a large message cannot be read";
      free(bytes);
      return NULL;
    }
    done += (size_t)got;
  }
  return bytes;
}
