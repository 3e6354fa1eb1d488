/*
 * memory.c NAME server|client [BYTES]: the client makes shared memory and sends it; the server maps it and
 * writes to every page; the client sees that. XPC's public calls, and on Linux the one that makes memory
 * which can be boxed: the same file compiles for macOS.
 */
#include <dispatch/dispatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xpc/xpc.h>
#if defined(__linux__)
#include <xpc/linux.h>
#endif

#define PAGE 4096 /* no system's is smaller */

static unsigned char *allocate(size_t length) {
#if defined(__linux__)
  return xpc_linux_shmem_allocate(length);
#else
  void *address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
  return address == MAP_FAILED ? NULL : address;
#endif
}

static void deallocate(unsigned char *bytes, size_t length) {
#if defined(__linux__)
  if (xpc_linux_shmem_deallocate(bytes, length) != 0) abort();
#else
  if (munmap(bytes, length) != 0) abort();
#endif
}

/* What the server makes of the byte at `offset`. */
static unsigned char changed(unsigned char byte, size_t offset) {
  return (unsigned char)(byte + offset / PAGE + 1);
}

static void answer(xpc_object_t message) {
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (!reply) return;
  xpc_object_t box = xpc_dictionary_get_value(message, "memory");
  uint64_t length = xpc_dictionary_get_uint64(message, "length");
  void *address = NULL;
  size_t mapped = box && xpc_get_type(box) == XPC_TYPE_SHMEM ? xpc_shmem_map(box, &address) : 0;
  if (mapped > 0 && length <= mapped) { /* what a sender says is not what the system says */
    unsigned char *bytes = address;
    for (size_t offset = 0; offset < length; offset += PAGE) bytes[offset] = changed(bytes[offset], offset);
  }
  if (mapped > 0 && munmap(address, mapped) != 0) abort();
  xpc_dictionary_set_uint64(reply, "mapped", mapped);
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
}

static int run_server(const char *name) {
  xpc_connection_t listener =
    xpc_connection_create_mach_service(name, NULL, XPC_CONNECTION_MACH_SERVICE_LISTENER);
  xpc_connection_set_event_handler(listener, ^(xpc_object_t peer) {
    if (xpc_get_type(peer) != XPC_TYPE_CONNECTION) exit(1);
    xpc_connection_set_event_handler((xpc_connection_t)peer, ^(xpc_object_t event) {
      if (xpc_get_type(event) == XPC_TYPE_DICTIONARY) answer(event);
    });
    xpc_connection_activate((xpc_connection_t)peer);
  });
  xpc_connection_activate(listener);
  puts("ready");
  fflush(stdout);
  dispatch_main();
}

static int run_client(const char *name, size_t length) {
  unsigned char *bytes = allocate(length);
  if (!bytes) {
    fprintf(stderr, "memory: no memory\n");
    return 1;
  }
  xpc_object_t box = xpc_shmem_create(bytes, length); /* before anything else is done to the region */
  for (size_t offset = 0; offset < length; offset += PAGE) bytes[offset] = (unsigned char)(offset / PAGE * 3);

  xpc_connection_t server = xpc_connection_create_mach_service(name, NULL, 0);
  xpc_connection_set_event_handler(server, ^(xpc_object_t event) { (void)event; });
  xpc_connection_activate(server);
  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_value(message, "memory", box);
  xpc_dictionary_set_uint64(message, "length", length);
  xpc_release(box);
  xpc_object_t reply = xpc_connection_send_message_with_reply_sync(server, message);
  xpc_release(message);

  int failures =
    xpc_get_type(reply) != XPC_TYPE_DICTIONARY || xpc_dictionary_get_uint64(reply, "mapped") < length;
  for (size_t offset = 0; offset < length && !failures; offset += PAGE) {
    failures = bytes[offset] != changed((unsigned char)(offset / PAGE * 3), offset);
  }
  xpc_release(reply);
  xpc_connection_cancel(server);
  xpc_release(server);
  deallocate(bytes, length);
  puts(failures ? "not ok memory" : "ok memory");
  return failures;
}

int main(int count, char **arguments) {
  if (count == 3 && strcmp(arguments[2], "server") == 0) return run_server(arguments[1]);
  if (count == 4 && strcmp(arguments[2], "client") == 0) {
    return run_client(arguments[1], (size_t)strtoull(arguments[3], NULL, 10));
  }
  fprintf(stderr, "usage: memory NAME server\n       memory NAME client BYTES\n");
  return 2;
}
