/* Writes a Sample to standard output ("write"), or prints the one that comes on standard input ("read"). */
#include "shapes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static int write_sample(void) {
  struct Sample sample;
  memset(&sample, 0, sizeof sample);
  sample.flag = 1;
  sample.u8 = 200;
  sample.i8 = -100;
  sample.u16 = 60000;
  sample.i16 = -30000;
  sample.u32 = 4000000000u;
  sample.i32 = -2000000000;
  sample.u64 = UINT64_C(18000000000000000000);
  sample.i64 = INT64_C(-9000000000000000000);
  sample.f32 = 0.5f;
  sample.f64 = 0.1;
  memcpy(sample.title, "h\xc3\xa9llo", 6);
  sample.flags[2] = 1;
  sample.camera[4] = 1.25f;
  sample.ids[1] = 7;
  sample.in = -2;
  sample.odd.b = 9;
  sample.odds[2].a = 10;
  sample.odds[2].b = 11;
  sample.origin.y = -0.25;
  sample.corners[1].x = 1e300;
  sample.size.h = 480;
  sample.last = 255;
  return fwrite(&sample, sizeof sample, 1, stdout) == 1 && fflush(stdout) == 0 ? 0 : 1;
}

static int read_sample(void) {
  struct Sample s;
  if (fread(&s, sizeof s, 1, stdin) != 1) return 1;
  printf("%d %u %d %u %d %" PRIu32 " %" PRId32 " %" PRIu64 " %" PRId64 " %g %.17g ", s.flag, s.u8, s.i8,
         s.u16, s.i16, s.u32, s.i32, s.u64, s.i64, (double)s.f32, s.f64);
  printf("%.13s %d %g %" PRIu64 " %d %u %" PRIu32 " %u %g %g %u %u\n", s.title, s.flags[2],
         (double)s.camera[4], s.ids[1], s.in, s.odd.b, s.odds[2].a, s.odds[2].b, s.origin.y, s.corners[1].x,
         s.size.h, s.last);
  return 0;
}

int main(int count, char **arguments) {
  if (count != 2) return 64;
  return strcmp(arguments[1], "write") == 0 ? write_sample() : read_sample();
}
