/* values.c: parts of messages, checked; errors in words; the digest of a schema. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

xpc_object_t peer_request(const char *op) {
  xpc_object_t request = xpc_dictionary_create(NULL, NULL, 0);
  xpc_dictionary_set_string(request, "op", op);
  return request;
}

void peer_set(xpc_object_t dictionary, const char *key, xpc_object_t value) {
  if (!value) return;
  xpc_dictionary_set_value(dictionary, key, value);
  xpc_release(value);
}

xpc_object_t peer_typed(xpc_object_t dictionary, const char *key, xpc_type_t type) {
  xpc_object_t value = xpc_dictionary_get_value(dictionary, key);
  return value && xpc_get_type(value) == type ? value : NULL;
}

const char *peer_string(xpc_object_t dictionary, const char *key) {
  xpc_object_t value = peer_typed(dictionary, key, XPC_TYPE_STRING);
  return value ? xpc_string_get_string_ptr(value) : NULL;
}

bool peer_integer(xpc_object_t dictionary, const char *key, uint64_t most, uint64_t *value) {
  xpc_object_t found = xpc_dictionary_get_value(dictionary, key);
  if (!found) return false;
  if (xpc_get_type(found) == XPC_TYPE_UINT64) {
    *value = xpc_uint64_get_value(found);
  } else if (xpc_get_type(found) == XPC_TYPE_INT64) {
    int64_t number = xpc_int64_get_value(found);
    if (number < 0) return false;
    *value = (uint64_t)number;
  } else {
    return false;
  }
  return *value <= most;
}

const char *peer_refusal(xpc_object_t reply) {
  xpc_object_t ok = peer_typed(reply, "ok", XPC_TYPE_BOOL);
  if (ok && xpc_bool_get_value(ok)) return NULL;
  const char *code = peer_string(reply, "code");
  return ok && code ? code : "unusable";
}

bool peer_lists(xpc_object_t dictionary, const char *key, const char *text) {
  xpc_object_t list = peer_typed(dictionary, key, XPC_TYPE_ARRAY);
  for (size_t i = 0; list && i < xpc_array_get_count(list); i++) {
    xpc_object_t value = xpc_array_get_value(list, i);
    if (xpc_get_type(value) != XPC_TYPE_STRING) continue;
    const char *string = xpc_string_get_string_ptr(value);
    if (string && strcmp(string, text) == 0) return true;
  }
  return false;
}

char *peer_copy(const char *text) {
  size_t size = strlen(text) + 1;
  char *copy = malloc(size);
  if (copy) memcpy(copy, text, size);
  return copy;
}

bool peer_is_text(const char *text) {
  size_t units = 0;
  for (const unsigned char *byte = (const unsigned char *)text; byte && *byte != '\0'; byte++) {
    if (*byte < 32 || *byte == 127) return false;
    /* C1 controls are two bytes: 0xc2 0x80 to 0x9f. */
    if (*byte == 0xc2 && byte[1] >= 0x80 && byte[1] < 0xa0) return false;
    if ((*byte & 0xc0) != 0x80) units += *byte >= 0xf0 ? 2 : 1;
    if (units > 128) return false;
  }
  return units > 0;
}

bool peer_is_service_name(const char *name) {
  static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
  if (!name) return false;
  size_t length = strlen(name);
  return length > 0 && length <= 128 && strspn(name, allowed) == length;
}

/* ------------------------------------------------------------------------------------------ errors ---- */

int peer_fail(xshm_error *error, int code, const char *format, ...) {
  if (!error) return code;
  error->code = code;
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error->message, sizeof error->message, format, arguments); /* a long one is cut */
  va_end(arguments);
  return code;
}

static int result_of(const char *code) {
  static const struct {
    const char *code;
    int result;
  } known[] = {
    {"not_found", XSHM_NOT_FOUND},
    {"incompatible", XSHM_INCOMPATIBLE},
    {"unsupported_version", XSHM_INCOMPATIBLE},
    {"name_taken", XSHM_NAME_TAKEN},
    {"terminating", XSHM_NO_BROKER},
    {"unusable", XSHM_UNUSABLE},
  };
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].code, code) == 0) return known[i].result;
  }
  return XSHM_REFUSED;
}

int peer_fail_reply(xshm_error *error, const char *what, const char *name, xpc_object_t reply) {
  const char *code = peer_refusal(reply), *message = peer_string(reply, "message");
  if (!code)
    return peer_fail(error, XSHM_UNUSABLE, "Cannot %s \"%s\": the answer makes no sense", what, name);
  return peer_fail(error, result_of(code), "Cannot %s \"%s\": %s (%s)", what, name,
                   message ? message : "the answer makes no sense", code);
}

/* ---------------------------------------------------------------------------- SHA-256 (FIPS 180-4) ---- */

static const uint32_t rounds[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

static void mix(uint32_t state[8], const uint8_t block[64]) {
  uint32_t words[64], s[8];
  for (int i = 0; i < 16; i++, block += 4) {
    words[i] =
      (uint32_t)block[0] << 24 | (uint32_t)block[1] << 16 | (uint32_t)block[2] << 8 | (uint32_t)block[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t before = words[i - 15], last = words[i - 2];
    words[i] = words[i - 16] + words[i - 7] + (rotate(before, 7) ^ rotate(before, 18) ^ before >> 3) +
               (rotate(last, 17) ^ rotate(last, 19) ^ last >> 10);
  }
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t high = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
    uint32_t one = s[7] + high + ((s[4] & s[5]) ^ (~s[4] & s[6])) + rounds[i] + words[i];
    uint32_t low = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
    uint32_t two = low + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += one;
    s[0] = one + two;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

void peer_sha256(const char *text, uint8_t digest[PEER_DIGEST_BYTES]) {
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                       0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  const uint64_t length = strlen(text);
  const uint8_t *bytes = (const uint8_t *)text;
  uint64_t left = length;
  for (; left >= 64; left -= 64, bytes += 64) mix(state, bytes);
  uint8_t last[128] = {0};
  memcpy(last, bytes, (size_t)left);
  last[left] = 0x80;
  size_t size = left < 56 ? 64 : 128;
  for (int i = 0; i < 8; i++) last[size - 1 - (size_t)i] = (uint8_t)(length * 8 >> (8 * i));
  mix(state, last);
  if (size == 128) mix(state, last + 64);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}
