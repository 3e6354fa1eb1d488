/* messages.c: requests and messages beside the memory, the same for both sides but for the key that says what they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "party.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char last[256];
static unsigned taken;

/* Answers with what was asked, or fails as a handler does where that is asked. */
static void answer_request(xpc_object_t message, xpc_object_t reply) {
  xpc_object_t value = xpc_dictionary_get_value(message, "value");
  bool is_text = value != NULL && xpc_get_type(value) == XPC_TYPE_STRING;
  bool fails = is_text && strcmp(xpc_string_get_string_ptr(value), "fail") == 0;
  xpc_dictionary_set_bool(reply, "ok", value != NULL && !fails);
  if (value != NULL && !fails) {
    xpc_dictionary_set_value(reply, "value", value);
    return;
  }
  xpc_dictionary_set_string(reply, "code", fails ? "handler" : "bad_request");
  xpc_dictionary_set_string(reply, "name", "Error");
  xpc_dictionary_set_string(reply, "message", "Cannot do this: the C side refuses it");
}

/* A message is taken as soon as it is here, so `received` is true at once. */
static void take(xpc_object_t message) {
  xpc_object_t value = get_typed(message, "value", XPC_TYPE_STRING);
  if (value == NULL) return;
  pthread_mutex_lock(&lock);
  (void)snprintf(last, sizeof last, "%s", xpc_string_get_string_ptr(value));
  taken++;
  pthread_mutex_unlock(&lock);
}

bool messages_receive(const char *key, xpc_object_t message) {
  xpc_object_t kind_object = get_typed(message, key, XPC_TYPE_STRING);
  const char *kind = kind_object == NULL ? "" : xpc_string_get_string_ptr(kind_object);
  bool is_request = strcmp(kind, "request") == 0;
  bool is_question = strcmp(kind, "received") == 0;
  if (!is_request && !is_question && strcmp(kind, "message") != 0) return false;
  xpc_object_t reply = xpc_dictionary_create_reply(message);
  if (reply == NULL) {
    if (!is_request && !is_question) take(message);
    return true;
  }
  if (is_request) answer_request(message, reply);
  else xpc_dictionary_set_bool(reply, "ok", is_question);
  xpc_connection_send_message(xpc_dictionary_get_remote_connection(message), reply);
  xpc_release(reply);
  return true;
}

static xpc_object_t make(const char *kind) {
  xpc_object_t message = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(message, side->key, kind);
  return message;
}

const char *messages_request(xpc_connection_t other, const char *text, char *result, size_t size) {
  xpc_object_t request = make("request");
  xpc_dictionary_set_string(request, "value", text);
  xpc_object_t reply = ask(other, request);
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code != NULL) return code;
  xpc_object_t value = get_typed(reply, "value", XPC_TYPE_STRING);
  if (value == NULL) return "unusable";
  (void)snprintf(result, size, "%s", xpc_string_get_string_ptr(value));
  xpc_release(reply);
  return NULL;
}

const char *messages_send(xpc_connection_t other, const char *text, unsigned count) {
  for (unsigned i = 0; i < count; i++) {
    xpc_object_t message = make("message");
    xpc_dictionary_set_string(message, "value", text);
    xpc_connection_send_message(other, message);
    xpc_release(message);
  }
  xpc_object_t reply = ask(other, make("received"));
  if (reply == NULL) return "gone";
  const char *code = refusal(reply);
  if (code == NULL) xpc_release(reply);
  return code;
}

unsigned messages_taken(char *result, size_t size) {
  pthread_mutex_lock(&lock);
  (void)snprintf(result, size, "%s", last);
  unsigned count = taken;
  pthread_mutex_unlock(&lock);
  return count;
}
