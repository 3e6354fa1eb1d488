import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describeError } from "../../ffi/errno.ts";
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
  assertThrows(
    () => mapping.view(Uint8Array, 101),
    RangeError,
    "Cannot view a region from byte 101: byteOffset must be an integer from 0 to 100",
  );
  assertThrows(() => mapping.view(Uint8Array, -1), RangeError, "from byte -1: byteOffset must be an integer");
  assertThrows(
    () => mapping.view(Uint8Array, 0.5),
    RangeError,
    "from byte 0.5: byteOffset must be an integer",
  );
  assertThrows(() => mapping.view(Float32Array, 2), RangeError, "byteOffset must be a multiple of 4");
  assertThrows(() => mapping.view(Float32Array, 4, 25), RangeError, "there is room for 24");
  assertThrows(() => mapping.view(DataView, 4, 97), RangeError, "there is room for 96");
  assertThrows(() => mapping.view(Float32Array, 4, -1), RangeError, "Cannot view -1 elements");
  assertThrows(() => mapping.view(Float32Array, 4, 1.5), RangeError, "Cannot view 1.5 elements");
});

Deno.test("Mapping.view() names a wrong argument, its value and what it wants", async () => {
  using mapping = await Mapping.create(100, { name: "scene" });
  const view = mapping.view.bind(mapping) as (...args: unknown[]) => unknown;
  const wanted =
    'Cannot view the region "scene": Type must be a typed array class or DataView, current value is ';
  const abstract = Object.getPrototypeOf(Uint8Array);
  for (
    const [Type, shown] of [
      [Array, "[Function: Array]"],
      [ArrayBuffer, "[Function: ArrayBuffer]"],
      [abstract, "[Function: TypedArray]"],
      [Map, "[Function: Map]"],
      [undefined, "undefined"],
      ["Uint8Array", '"Uint8Array"'],
      [new Uint8Array(2), "Uint8Array(2)"],
      [() => 1, "[Function"],
    ] as const
  ) {
    assertThrows(() => view(Type), TypeError, wanted + shown);
  }
  assertThrows(() => view(Uint8Array, "4"), TypeError, 'byteOffset must be a number, current value is "4"');
  assertThrows(() => view(Uint8Array, 4n), TypeError, "byteOffset must be a number, current value is 4n");
  assertThrows(() => view(Uint8Array, 0, "4"), TypeError, 'length must be a number, current value is "4"');
  assertThrows(() => view(Uint8Array, 0, null), TypeError, "length must be a number, current value is null");
});

Deno.test("Mapping.view() takes a class that extends a class of views", async () => {
  class Pixels extends Uint32Array {}
  using mapping = await Mapping.create(100);
  assertEquals(mapping.view(Pixels, 4, 2).length, 2);
});

Deno.test("Mapping.word() takes words of 4 and of 8 bytes, up to the last byte", async () => {
  using mapping = await Mapping.create(64, { name: "words" });
  const word = mapping.word.bind(mapping) as (byteOffset: unknown, byteLength?: 4 | 8) => unknown;
  mapping.view(Uint32Array)[15] = 7;
  assertEquals(library.shim.shim_word_load(mapping.word(60)), 7);
  mapping.view(Float64Array)[7] = 0;
  mapping.view(BigUint64Array)[7] = 2n ** 40n;
  assertEquals(library.shim.shim_word_load64(mapping.word(56, 8)), 2 ** 40);
  for (const bad of [-4, 61, 62, 64, 68, 2, 0.5, NaN, Infinity, 2 ** 53, "4", 4n, undefined]) {
    assertThrows(() => word(bad), RangeError, "must be a multiple of 4 from 0 to 60");
  }
  for (const bad of [-8, 4, 60, 64, 0.5, NaN]) {
    assertThrows(() => word(bad, 8), RangeError, 'of the region "words": byteOffset must be a multiple of 8');
  }
});

Deno.test("errors of a mapping with a name tell the name", async () => {
  const mapping = await Mapping.create(100, { name: "scene" });
  using shared = mapping.share();
  assertThrows(
    () => Mapping.open(shared, 2 ** 20, { name: 'sc"ene' }),
    RangeError,
    'the region "sc\\"ene" of',
  );
  mapping.close();
  assertThrows(
    () => mapping.view(Uint8Array),
    TypeError,
    'Cannot view the region "scene": it is closed',
  );
  assertThrows(() => mapping.word(0), TypeError, 'Cannot use a word of the region "scene": it is closed');
  assertThrows(() => mapping.share(), TypeError, 'Cannot share the region "scene": it is closed');
  await assertRejects(
    () => Mapping.create(0, { name: "scene" }),
    RangeError,
    'Cannot make the region "scene" of 0 bytes: byteLength must be an integer above 0',
  );
});

Deno.test("Mapping.share() refuses memory that another process made", async () => {
  using mapping = await Mapping.create(100);
  using shared = mapping.share();
  using other = Mapping.open(shared, 100);
  assertThrows(() => other.share(), TypeError, "only the process that made it can share it");
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
      `of ${byteLength} bytes: byteLength must be an integer above 0`,
    );
  }
  for (
    const [byteLength, shown] of [["100", '"100"'], [100n, "100n"], [null, "null"], [undefined, "undefined"]]
  ) {
    await assertRejects(
      () => Mapping.create(byteLength as unknown as number),
      TypeError,
      `Cannot make a region: byteLength must be a number, current value is ${shown}`,
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
  assertThrows(() => Mapping.open(shared, 2 ** 20), RangeError, "the memory is shorter than its sender says");
  using readable = await Mapping.create(4096, { readOnlyForOthers: true });
  using descriptor = readable.share();
  assertThrows(
    () => Mapping.open(descriptor, 2 ** 20),
    RangeError,
    "the memory is shorter than its sender says",
  );
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
      assertThrows(() => Mapping.open(descriptor, 4096), RangeError, "the memory is not sealed");
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

Deno.test("prefault beyond what the process may have is a RangeError, and leaves nothing mapped", async () => {
  const { shim } = library;
  // The kernel's answer where a control group has too low a limit: the shim gives it before it touches a page.
  const refusing = { ...shim, shim_memory_prefault: () => -12 };
  const closed: bigint[] = [];
  const counting = {
    ...refusing,
    shim_memory_close: (...args: Parameters<typeof shim.shim_memory_close>) => {
      closed.push(BigInt(args[1]));
      return shim.shim_memory_close(...args);
    },
  };
  Object.assign(library, { shim: counting });
  try {
    await assertRejects(
      () => Mapping.create(8192, { prefault: true, name: "scene" }),
      RangeError,
      'Cannot make 8192 bytes of the region "scene" resident: it exceeds the memory limit of the process (memory.max',
    );
  } finally {
    Object.assign(library, { shim });
  }
  assertEquals(closed.length, 1);
});

Deno.test("describeError() says what a number means for an operation", () => {
  assertEquals(describeError(-12), "there is not enough memory");
  assertStringIncludes(describeError(-12, "prefault"), "memory.max");
  assertStringIncludes(describeError(-1, "map"), "not sealed");
  assertEquals(describeError(-1, "prefault"), "the operation is not permitted");
  assertEquals(describeError(-24, "map"), "the process has no descriptor left (see ulimit -n)");
  assertEquals(describeError(-999), "error 999");
});
