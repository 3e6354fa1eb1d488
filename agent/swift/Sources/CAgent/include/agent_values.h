/*
 * agent_values.h: XPC values for Swift. Objects are `void *`, so that Swift needs no type of XPC, which
 * differ between the two systems.
 *
 * The caller releases an "owned" result with agent_release. All other results are borrowed.
 */
#ifndef AGENT_VALUES_H
#define AGENT_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shim.h"

void *agent_retain(void *object); /* owned */
void agent_release(void *object);

/* ------------------------------------------------------------------------------ reading ---- */

typedef enum agent_kind {
  AGENT_KIND_MISSING = 0,
  AGENT_KIND_BOOL = 1,
  AGENT_KIND_INT64 = 2,
  AGENT_KIND_UINT64 = 3,
  AGENT_KIND_STRING = 4,
  AGENT_KIND_ENDPOINT = 5,
  AGENT_KIND_OTHER = 6, /* a type that no request has */
} agent_kind;

/* The value of a key. `kind` says which of the other fields is set. */
typedef struct agent_value {
  agent_kind kind;
  bool flag;
  int64_t int64;
  uint64_t uint64;
  const char *text; /* valid as long as the dictionary */
  size_t length;    /* of `text`, in bytes */
  void *endpoint;
} agent_value;

/* The number of keys of the dictionary. */
size_t agent_count(void *dictionary);
agent_value agent_get(void *dictionary, const char *key);

/* ----------------------------------------------------------------------------- building ---- */

void *agent_dictionary(void); /* owned */
void *agent_array(void);      /* owned */
void agent_set_bool(void *dictionary, const char *key, bool value);
void agent_set_int64(void *dictionary, const char *key, int64_t value);
void agent_set_uint64(void *dictionary, const char *key, uint64_t value);
void agent_set_date(void *dictionary, const char *key, int64_t nanoseconds);
void agent_set_string(void *dictionary, const char *key, const char *text);
/* `object` is an endpoint or an array. */
void agent_set_object(void *dictionary, const char *key, void *object);
void agent_append(void *array, void *object);

/* -------------------------------------------------------------------------------- peers ---- */

/* Creates the reply to a message (owned), or returns NULL if the sender expects none. shim_link_send sends it. */
void *agent_reply(void *message);

/* The process id and the effective user id of the peer, as the kernel reports them. */
int64_t agent_peer_pid(const shim_link *link);
uint32_t agent_peer_euid(const shim_link *link);

#endif
