import { assertEquals, assertThrows } from "@std/assert";
import { BOUNDS, courses, type Sample } from "./samples.ts";
import { soak } from "./soak.ts";

const SECONDS = 20;

Deno.test({
  name: `soak: ${SECONDS} seconds of load leave descriptors, threads and mappings as they were`,
  ignore: Deno.build.os !== "linux", // what it counts is in /proc
  fn: async () => {
    for (const { name, courses, done } of await soak(SECONDS * 1000)) {
      for (const { key, early, late, flat } of courses) {
        assertEquals(flat, true, `${name} has ${late} ${key}, and had ${early}`);
      }
      for (const [what, count] of Object.entries(done)) assertEquals(count > 0, true, `${name}: ${what}`);
    }
  },
});

/** So many samples, each made by its number. */
function samples(count: number, make: (index: number) => Partial<Sample>): Sample[] {
  const usual = { resident: 50_000, descriptors: 20, threads: 8, mappings: 4 };
  return Array.from({ length: count }, (_, index) => ({ ...usual, ...make(index) }));
}

function grown(all: readonly Sample[]): string[] {
  return courses(all).filter(({ flat }) => !flat).map(({ key }) => key);
}

Deno.test("courses() finds what grows, also where it goes up and down", () => {
  assertEquals(grown(samples(40, () => ({}))), []);
  assertEquals(grown(samples(40, (index) => ({ descriptors: 20 + Math.floor(index / 10) }))), [
    "descriptors",
  ]);
  assertEquals(grown(samples(40, (index) => ({ descriptors: 20 + (index % 5) + Math.floor(index / 10) }))), [
    "descriptors",
  ]);
  assertEquals(grown(samples(40, (index) => ({ resident: 50_000 + index * 2000 }))), ["resident"]);
  assertEquals(grown(samples(8, (index) => ({ threads: 8 + index, mappings: 4 + index }))), [
    "threads",
    "mappings",
  ]);
});

Deno.test("courses() lets pass what comes and goes, what warms up, and what stays within its bound", () => {
  assertEquals(
    grown(samples(40, (index) => ({ descriptors: 20 + (index % 5), mappings: 4 + index % 2 }))),
    [],
  );
  assertEquals(grown(samples(40, (index) => ({ descriptors: Math.min(20 + index, 28) }))), []);
  assertEquals(
    grown(samples(40, (index) => ({ resident: 50_000 + (index < 30 ? 0 : BOUNDS.resident) }))),
    [],
  );
  assertEquals(grown(samples(40, (index) => ({ threads: index < 30 ? 8 : 9 }))), []);
});

Deno.test("courses() does not judge a handful of samples", () => {
  assertThrows(() => courses(samples(7, () => ({}))), RangeError, "7 samples");
});
