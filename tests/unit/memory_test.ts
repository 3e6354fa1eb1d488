import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { load } from "../../ffi/load.ts";
import { Mapping } from "../../src/memory/mod.ts";
import { FileDescriptor, SharedMemory } from "../../src/xpc/mod.ts";

const library = await load();

Deno.test("Mapping.view() is the same memory for every type, and no copy", async () => {
  using mapping = await Mapping.create(4096);
  const bytes = mapping.view(Uint8Array);
  assertEquals([bytes.length, bytes[0], bytes[4095]], [4096, 0, 0]);
  mapping.view(Float64Array, 8, 1)[0] = 1;
  assertEquals([...mapping.view(Uint8Array, 8, 8)], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
  mapping.view(DataView, 100, 4).setUint32(0, 0x01020304);
  assertEquals([...bytes.subarray(100, 104)], [1, 2, 3, 4]);
});

Deno.test("Mapping.view() checks the part before it makes a view", async () => {
  using mapping = await Mapping.create(100);
  assertEquals(mapping.view(Float64Array).length, 12);
  assertEquals(mapping.view(Uint8Array, 100).length, 0);
  assertThrows(() => mapping.view(Uint8Array, 101), RangeError, "from byte 101: the offset is outside");
  assertThrows(() => mapping.view(Uint8Array, -1), RangeError, "outside");
  assertThrows(() => mapping.view(Uint8Array, 0.5), RangeError, "outside");
  assertThrows(() => mapping.view(Float32Array, 2), RangeError, "must be a multiple of 4");
  assertThrows(() => mapping.view(Float32Array, 4, 25), RangeError, "there is room for 24");
  assertThrows(() => mapping.view(DataView, 4, 97), RangeError, "there is room for 96");
});

Deno.test("Mapping.close() detaches every view, and a view that is left over is harmless", async () => {
  const mapping = await Mapping.create(4096);
  const bytes = mapping.view(Uint8Array);
  const numbers = mapping.view(Float64Array, 8);
  const part = bytes.subarray(10, 20);
  const data = mapping.view(DataView);
  bytes.fill(1);
  mapping.close();
  mapping.close();
  assertEquals([bytes.length, numbers.length, part.length], [0, 0, 0]);
  assertEquals([bytes[0], numbers[0], part[0]], [undefined, undefined, undefined]);
  bytes[0] = 2; // goes nowhere
  assertThrows(() => data.getUint8(0), TypeError);
  assertThrows(() => mapping.view(Uint8Array), TypeError, "it is closed");
  assertThrows(() => mapping.share(), TypeError, "it is closed");
  assertThrows(() => mapping.word(0), TypeError, "it is closed");
});

Deno.test("Mapping.create() refuses lengths that cannot be", async () => {
  for (const byteLength of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    await assertRejects(
      () => Mapping.create(byteLength),
      RangeError,
      `of ${byteLength} bytes: want an integer`,
    );
  }
  await assertRejects(() => Mapping.create(2 ** 50), RangeError, "this machine has");
});

Deno.test("Mapping.create() makes 8 GiB of which only touched pages cost memory", async () => {
  const byteLength = 8 * 2 ** 30;
  if (library.shim.shim_memory_physical() < BigInt(byteLength)) return; // refused, as the test above shows
  const before = Deno.memoryUsage().rss;
  using mapping = await Mapping.create(byteLength);
  const last = mapping.view(Uint8Array, byteLength - 16, 16);
  last[15] = 7;
  using shared = mapping.share();
  assertInstanceOf(shared, SharedMemory);
  using other = Mapping.open(shared, byteLength);
  assertEquals(other.view(Uint8Array, byteLength - 1)[0], 7);
  assert(Deno.memoryUsage().rss - before < 64 * 2 ** 20);
});

Deno.test("Mapping.open() shares memory that both may write", async () => {
  using mapping = await Mapping.create(5000);
  using shared = mapping.share();
  assertInstanceOf(shared, SharedMemory);
  using other = Mapping.open(shared, 5000);
  other.view(Uint8Array)[4999] = 3;
  assertEquals(mapping.view(Uint8Array)[4999], 3);
  mapping.close();
  assertEquals(other.view(Uint8Array)[4999], 3);
});

Deno.test("Mapping.open() of read-only memory follows its maker", async () => {
  using mapping = await Mapping.create(5000, { readOnlyForOthers: true });
  using shared = mapping.share();
  assertInstanceOf(shared, FileDescriptor);
  using other = Mapping.open(shared, 5000);
  assertEquals([mapping.writable, other.writable], [true, false]);
  mapping.view(Uint8Array)[4999] = 3;
  assertEquals(other.view(Uint8Array)[4999], 3);
});

Deno.test("Mapping.open() does not believe a length that lies", async () => {
  using writable = await Mapping.create(4096);
  using shared = writable.share();
  assertThrows(() => Mapping.open(shared, 2 ** 20), RangeError, "it is shorter than was said");
  using readable = await Mapping.create(4096, { readOnlyForOthers: true });
  using descriptor = readable.share();
  assertThrows(() => Mapping.open(descriptor, 2 ** 20), RangeError, "it is shorter than was said");
  for (const lie of [0, -1, NaN, 2 ** 53]) assertThrows(() => Mapping.open(shared, lie), RangeError);
});

Deno.test({
  name: "Mapping.open() refuses a file that its owner could shrink under us",
  ignore: Deno.build.os !== "linux", // finds the descriptor in /proc; macOS cannot seal
  async fn() {
    const path = await Deno.makeTempFile();
    try {
      await Deno.truncate(path, 8192);
      using _file = await Deno.open(path);
      const links = [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => name);
      const fd = links.find((name) => linkOf(name) === path);
      using descriptor = await FileDescriptor.from(Number(fd));
      assertThrows(() => Mapping.open(descriptor, 4096), RangeError, "not permitted");
    } finally {
      await Deno.remove(path);
    }
  },
});

function linkOf(fd: string): string | undefined {
  try {
    return Deno.readLinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // that of the listing itself
  }
}

Deno.test("Mapping.create() with prefault has its pages at once", async () => {
  const before = Deno.memoryUsage().rss;
  using mapping = await Mapping.create(32 * 2 ** 20, { prefault: true });
  assert(Deno.memoryUsage().rss - before > 24 * 2 ** 20);
  assertEquals(mapping.view(Uint8Array)[1], 0);
});
