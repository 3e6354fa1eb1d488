/*
 * inputs.h: the form of the fuzzers' inputs, which the seeds are written in and the targets read, and the
 * descriptors that go with messages.
 */
#ifndef FUZZ_INPUTS_H
#define FUZZ_INPUTS_H

#include <stddef.h>
#include <stdint.h>

/* What a descriptor of a message is. An input names each by one byte, modulo the number of kinds. */
enum fuzz_kind {
  FUZZ_SEALED_MEMORY, /* a memfd that cannot shrink, FUZZ_MEMORY_BYTES long */
  FUZZ_OPEN_MEMORY,   /* the same without seals */
  FUZZ_PORT,          /* a SOCK_SEQPACKET socket whose other end is closed */
  FUZZ_STREAM,        /* a SOCK_STREAM socket, likewise */
  FUZZ_EVENT,         /* an eventfd */
  FUZZ_DEVICE,        /* /dev/null */
  FUZZ_KINDS,
};

#define FUZZ_MEMORY_BYTES 8192

/* A new descriptor of the kind, which the caller closes. */
int fuzz_descriptor(uint8_t kind);

/* The decoder's input: the number of descriptors (modulo 8), the kind of each, the message's bytes. */
#define FUZZ_MAX_DESCRIPTORS 7

/*
 * The receive path's input: who receives (modulo 2), then packets. Each is its form, the kinds of its
 * descriptors, the length of its bytes (16 bits, little-endian), and its bytes: the header and what follows.
 */
enum fuzz_receiver { FUZZ_SERVICE, FUZZ_CLIENT, FUZZ_RECEIVERS };

#define FUZZ_FORM_DESCRIPTORS 0x07 /* how many */
#define FUZZ_FORM_REPAIRED 0x08    /* magic, version, lengths and counts in the header are made right */
#define FUZZ_FORM_LARGE 0x10       /* what follows the header travels in a sealed memfd */

#define FUZZ_MAX_PACKETS 32

/* Ends the process with a report when something that must hold does not. */
#define FUZZ_REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #condition))
_Noreturn void fuzz_fail(const char *file, int line, const char *text);

/* How many descriptors this process has, but for pipes. */
size_t fuzz_count_descriptors(void);

#endif
