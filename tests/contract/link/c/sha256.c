/* sha256.c: SHA-256 (FIPS 180-4) of texts of up to 55 bytes, which fit into one block. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "party.h"

static uint32_t rotate(uint32_t value, int bits) { return value >> bits | value << (32 - bits); }

/* The first 32 bits of the fraction, of which FIPS 180-4 makes its constants. */
static uint32_t fraction(long double value) { return (uint32_t)((value - floorl(value)) * 4294967296.0L); }

void sha256(const char *text, uint8_t digest[32]) {
  uint8_t block[64] = {0};
  size_t length = strlen(text);
  if (length > 55) abort(); /* no test has a longer one */
  memcpy(block, text, length);
  block[length] = 0x80;
  block[62] = (uint8_t)(length * 8 >> 8);
  block[63] = (uint8_t)(length * 8);

  uint32_t constants[64], state[8];
  for (int count = 0, prime = 2; count < 64; prime++) {
    bool divides = false;
    for (int divisor = 2; divisor * divisor <= prime; divisor++) divides |= prime % divisor == 0;
    if (divides) continue;
    if (count < 8) state[count] = fraction(sqrtl(prime));
    constants[count++] = fraction(cbrtl(prime));
  }

  uint32_t words[64];
  for (int i = 0; i < 16; i++) {
    const uint8_t *byte = block + 4 * i;
    words[i] = (uint32_t)byte[0] << 24 | (uint32_t)byte[1] << 16 | (uint32_t)byte[2] << 8 | byte[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t before = words[i - 15], last = words[i - 2];
    words[i] = words[i - 16] + (rotate(before, 7) ^ rotate(before, 18) ^ before >> 3) + words[i - 7] +
               (rotate(last, 17) ^ rotate(last, 19) ^ last >> 10);
  }

  uint32_t s[8];
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t high = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
    uint32_t one = s[7] + high + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + words[i];
    uint32_t low = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
    uint32_t two = low + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += one;
    s[0] = one + two;
  }
  for (int i = 0; i < 8; i++) {
    uint32_t word = state[i] + s[i];
    for (int byte = 0; byte < 4; byte++) digest[4 * i + byte] = (uint8_t)(word >> (24 - 8 * byte));
  }
}
