/*
 * agent_values.h: XPC dictionaries for Swift, which never sees a type of XPC: objects are `void *`.
 *
 * What is given out as "owned" is released by the caller with agent_release; all else is borrowed.
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
  AGENT_KIND_OTHER = 6, /* a type that no request of the broker's protocol has */
} agent_kind;

/* What stands under a key: which field counts is told by `kind`. */
typedef struct agent_value {
  agent_kind kind;
  bool flag;
  int64_t int64;
  uint64_t uint64;
  const char *text; /* lives as long as the dictionary */
  size_t length;    /* of `text`, in bytes */
  void *endpoint;
} agent_value;

/* How many keys the dictionary has. */
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
/* An endpoint or an array. */
void agent_set_object(void *dictionary, const char *key, void *object);
void agent_append(void *array, void *object);

/* -------------------------------------------------------------------------------- peers ---- */

/* The reply that a message awaits (owned), or NULL when it awaits none. Sent with shim_link_send. */
void *agent_reply(void *message);

/* The kernel's word on who is at the other end. */
int64_t agent_peer_pid(const shim_link *link);
uint32_t agent_peer_euid(const shim_link *link);

#endif
