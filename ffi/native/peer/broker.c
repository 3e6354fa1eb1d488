/* broker.c: what a client asks the broker, as `agent/PROTOCOL.md` says. */
#include <string.h>

#include "peer.h"

/* Between two tries to reach a broker, in nanoseconds: it doubles up to the second number. */
#define FIRST_PAUSE UINT64_C(10000000)
#define LONGEST_PAUSE UINT64_C(500000000)

xpc_object_t broker_hello(void) {
  xpc_object_t request = peer_request("hello");
  xpc_dictionary_set_uint64(request, "min", 1);
  xpc_dictionary_set_uint64(request, "max", 1);
  xpc_dictionary_set_string(request, "name", "xpc_shmem.h");
  return request;
}

xpc_object_t broker_register(const char *name, xpc_object_t endpoint, uint64_t after) {
  xpc_object_t request = peer_request("register");
  xpc_dictionary_set_string(request, "name", name);
  xpc_dictionary_set_string(request, "policy", "reject");
  xpc_dictionary_set_uint64(request, "after", after);
  peer_set(request, "endpoint", endpoint);
  return request;
}

static uint64_t earlier(uint64_t deadline) {
  uint64_t patience = shim_deadline(PEER_PATIENCE);
  return deadline < patience ? deadline : patience;
}

/* Says hello to the broker, again and again until the deadline. */
static int reach(struct end *end, struct link_entry **broker, const char *service, uint64_t deadline,
                 bool at_once, xshm_error *error) {
  for (uint64_t pause = FIRST_PAUSE;; pause = pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE) {
    *broker = end_add(end, shim_link_to_service(end->queue, service), broker);
    if (!*broker) return peer_fail(error, XSHM_MEMORY, "Cannot connect to a broker: no memory is left");
    shim_link_activate((*broker)->link);
    xpc_object_t reply =
      end_ask(end, *broker, broker_hello(), at_once ? earlier(UINT64_MAX) : earlier(deadline));
    const char *code = reply ? peer_refusal(reply) : "terminating";
    int result = !code ? XSHM_OK : strcmp(code, "terminating") == 0 ? XSHM_NO_BROKER : XSHM_REFUSED;
    if (result == XSHM_REFUSED) result = peer_fail_reply(error, "use the broker", service, reply);
    if (reply) xpc_release(reply);
    if (result != XSHM_OK && *broker) {
      shim_link_cancel((*broker)->link);
      (*broker)->context = NULL;
      *broker = NULL;
    }
    if (result != XSHM_NO_BROKER) return result;
    uint64_t now = shim_now(), next = now + pause;
    if (at_once || now >= deadline) {
      return peer_fail(
        error, XSHM_NO_BROKER,
        "Cannot reach a broker at \"%s\": start one (a Deno app with @xpc/shmem, or its agent)", service);
    }
    if (next > deadline) next = deadline;
    while (end_wait(end, next)) continue;
  }
}

/* Ends the connection to a broker that answers no more; the next one is looked for after a pause. */
static void leave(struct end *end, struct link_entry **broker) {
  if (*broker) {
    (*broker)->context = NULL;
    shim_link_cancel((*broker)->link);
    *broker = NULL;
  }
  uint64_t next = shim_now() + FIRST_PAUSE;
  while (end_wait(end, next)) continue;
}

static xpc_object_t look_up(const char *name, uint64_t after, bool waits) {
  xpc_object_t request = peer_request("lookup");
  xpc_dictionary_set_string(request, "name", name);
  xpc_dictionary_set_uint64(request, "after", after);
  xpc_dictionary_set_bool(request, "wait", waits);
  return request;
}

xpc_object_t broker_find(struct end *end, struct link_entry **broker, const char *service, const char *name,
                         uint64_t deadline, bool at_once, uint64_t *after, xshm_error *error) {
  uint64_t answer = at_once ? earlier(UINT64_MAX) : deadline;
  for (;;) {
    if (!*broker && reach(end, broker, service, deadline, at_once, error) != XSHM_OK) return NULL;
    if (!*broker) continue; /* it ended right after its hello */
    xpc_object_t reply = end_ask(end, *broker, look_up(name, *after, !at_once), answer);
    const char *code = reply ? peer_refusal(reply) : "terminating";
    if (code && strcmp(code, "terminating") == 0) {
      if (reply) xpc_release(reply);
      if (shim_now() >= answer) {
        (void)peer_fail(error, XSHM_TIMEOUT, "Cannot find \"%s\" in time: nobody serves this name", name);
        return NULL;
      }
      leave(end, broker);
      continue;
    }
    xpc_object_t endpoint = code ? NULL : peer_typed(reply, "endpoint", XPC_TYPE_ENDPOINT);
    bool usable = endpoint && peer_integer(reply, "generation", PEER_END - 1, after);
    if (usable) (void)xpc_retain(endpoint);
    else (void)peer_fail_reply(error, "find", name, reply);
    xpc_release(reply);
    return usable ? endpoint : NULL;
  }
}
