/* agent_values.c: XPC values for Swift. */
#include "agent_values.h"

#include <xpc/xpc.h>

void *agent_retain(void *object) { return xpc_retain(object); }

void agent_release(void *object) { xpc_release(object); }

size_t agent_count(void *dictionary) { return xpc_dictionary_get_count(dictionary); }

agent_value agent_get(void *dictionary, const char *key) {
  agent_value result = {.kind = AGENT_KIND_MISSING};
  xpc_object_t value = xpc_dictionary_get_value(dictionary, key);
  if (value == NULL) return result;
  xpc_type_t type = xpc_get_type(value);
  if (type == XPC_TYPE_BOOL) {
    result.kind = AGENT_KIND_BOOL;
    result.flag = xpc_bool_get_value(value);
  } else if (type == XPC_TYPE_INT64) {
    result.kind = AGENT_KIND_INT64;
    result.int64 = xpc_int64_get_value(value);
  } else if (type == XPC_TYPE_UINT64) {
    result.kind = AGENT_KIND_UINT64;
    result.uint64 = xpc_uint64_get_value(value);
  } else if (type == XPC_TYPE_STRING) {
    result.kind = AGENT_KIND_STRING;
    result.text = xpc_string_get_string_ptr(value);
    result.length = xpc_string_get_length(value);
  } else if (type == XPC_TYPE_ENDPOINT) {
    result.kind = AGENT_KIND_ENDPOINT;
    result.endpoint = value;
  } else {
    result.kind = AGENT_KIND_OTHER;
  }
  return result;
}

void *agent_dictionary(void) { return xpc_dictionary_create(NULL, NULL, 0); }

void *agent_array(void) { return xpc_array_create(NULL, 0); }

void agent_set_bool(void *dictionary, const char *key, bool value) {
  xpc_dictionary_set_bool(dictionary, key, value);
}

void agent_set_int64(void *dictionary, const char *key, int64_t value) {
  xpc_dictionary_set_int64(dictionary, key, value);
}

void agent_set_uint64(void *dictionary, const char *key, uint64_t value) {
  xpc_dictionary_set_uint64(dictionary, key, value);
}

void agent_set_date(void *dictionary, const char *key, int64_t nanoseconds) {
  xpc_dictionary_set_date(dictionary, key, nanoseconds);
}

void agent_set_string(void *dictionary, const char *key, const char *text) {
  xpc_dictionary_set_string(dictionary, key, text);
}

void agent_set_object(void *dictionary, const char *key, void *object) {
  xpc_dictionary_set_value(dictionary, key, object);
}

void agent_append(void *array, void *object) { xpc_array_append_value(array, object); }

void *agent_reply(void *message) { return xpc_dictionary_create_reply(message); }

int64_t agent_peer_pid(const shim_link *link) {
  return xpc_connection_get_pid((xpc_connection_t)shim_link_connection(link));
}

uint32_t agent_peer_euid(const shim_link *link) {
  return xpc_connection_get_euid((xpc_connection_t)shim_link_connection(link));
}
