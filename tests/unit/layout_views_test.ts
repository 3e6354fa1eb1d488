/** Views by a layout: what they read, write and refuse, on plain memory and on regions. */
import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { connect, layout, type LayoutView, serve } from "../../mod.ts";
import type { LayoutScalar } from "../../src/layout/types.ts";
import { viewLayout } from "../../src/layout/view.ts";
import { brokerName, uniqueName } from "../support/process.ts";

const Point = layout({ x: "f64", y: "f64" });
const All = layout({
  u8: "u8",
  i8: "i8",
  u16: "u16",
  i16: "i16",
  u32: "u32",
  i32: "i32",
  u64: "u64",
  i64: "i64",
  f32: "f32",
  f64: "f64",
  flag: "bool",
  title: ["utf8", 8],
  flags: ["bool", 3],
  camera: ["f32", 4],
  ids: ["u64", 2],
  origin: Point,
  corners: [Point, 3],
});

const place = { what: "the memory", byteOffset: 0, length: undefined, access: "write" } as const;

function make(byteOffset = 0): { view: LayoutView<typeof All>; data: DataView<ArrayBuffer> } {
  const memory = new Uint8Array(1024);
  const view = viewLayout(All, memory, { ...place, byteOffset });
  return { view, data: new DataView(memory.buffer, byteOffset) };
}

/** Assigns as a program without types may. */
function assign(view: unknown, field: string, value: unknown): void {
  (view as Record<string, unknown>)[field] = value;
}

/** How `DataView` reads what the field holds, in the machine's order. */
const READ: Record<Exclude<LayoutScalar, "bool">, (data: DataView, at: number) => number | bigint> = {
  u8: (data, at) => data.getUint8(at),
  i8: (data, at) => data.getInt8(at),
  u16: (data, at) => data.getUint16(at, true),
  i16: (data, at) => data.getInt16(at, true),
  u32: (data, at) => data.getUint32(at, true),
  i32: (data, at) => data.getInt32(at, true),
  u64: (data, at) => data.getBigUint64(at, true),
  i64: (data, at) => data.getBigInt64(at, true),
  f32: (data, at) => data.getFloat32(at, true),
  f64: (data, at) => data.getFloat64(at, true),
};

const GOOD: Record<keyof typeof READ, (number | bigint)[]> = {
  u8: [0, 1, 0xff],
  i8: [-0x80, -1, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0x8000_0000, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
  u64: [0n, 2n ** 63n, 2n ** 64n - 1n],
  i64: [-(2n ** 63n), -1n, 2n ** 63n - 1n],
  f32: [0, -1.5, Infinity, -Infinity, NaN, 3.4028234663852886e38],
  f64: [0, 0.1, Infinity, NaN, Number.MAX_VALUE, Number.MIN_VALUE],
};

Deno.test("LayoutView writes each type where the layout says, and reads it back", () => {
  for (const base of [0, 8, 512]) {
    for (const [type, values] of Object.entries(GOOD) as [keyof typeof GOOD, (number | bigint)[]][]) {
      for (const value of values) {
        const { view, data } = make(base);
        assign(view, type, value);
        assertEquals(READ[type](data, All.offsets[type]), value);
        assertEquals(view[type], value);
        // Nothing else was written.
        for (let at = 0; at < All.offsets[type]; at++) assertEquals(data.getUint8(at), 0);
        const end = All.offsets[type] + Number(type.slice(1)) / 8;
        for (let at = end; at < All.byteLength; at++) assertEquals(data.getUint8(at), 0);
      }
    }
  }
});

Deno.test("LayoutView refuses a value that does not fit, names the field, and writes nothing", () => {
  const range = (
    type: string,
  ): [RangeErrorConstructor, string] => [RangeError, `it is ${type}, so the value must be`];
  const wrong = (
    type: string,
  ): [TypeErrorConstructor, string] => [TypeError, `it is ${type}, so the value must be`];
  const cases: [string, unknown[], [ErrorConstructor, string]][] = [
    ["u8", [-1, 256, 0.5, NaN, Infinity, 2 ** 32], range("a u8")],
    ["i8", [-129, 128, 0.5, NaN, 2 ** 32 - 1], range("an i8")],
    ["u16", [-1, 65536, 0.5], range("a u16")],
    ["i16", [-32769, 32768, 0.5], range("an i16")],
    ["u32", [-1, 2 ** 32, 0.5, NaN, Infinity], range("a u32")],
    ["i32", [-(2 ** 31) - 1, 2 ** 31, 0.5], range("an i32")],
    ["u64", [-1n, 2n ** 64n], range("a u64")],
    ["i64", [-(2n ** 63n) - 1n, 2n ** 63n], range("an i64")],
    ["f32", [1e39, -1e39, Number.MAX_VALUE], [RangeError, "it is an f32, which ends at 3.4e38"]],
    ...["u8", "i8", "u16", "i16", "u32", "i32"].map((
      type,
    ): [string, unknown[], [ErrorConstructor, string]] => [type, [
      "1",
      1n,
      true,
      null,
      undefined,
      {},
      Symbol("s"),
    ], wrong(`${/^[i]/.test(type) ? "an" : "a"} ${type}`)]),
    ["u64", [1, "1", true, null, undefined], wrong("a u64")],
    ["i64", [1, "1", null], wrong("an i64")],
    ["f32", ["1", 1n, null, undefined, true], wrong("an f32")],
    ["f64", ["1", 1n, null, undefined, true], wrong("an f64")],
    ["flag", [0, 1, "true", null, undefined], wrong("a bool")],
    ["title", [5, null, undefined, new Uint8Array(4)], [
      TypeError,
      "it is a text, so the value must be a string",
    ]],
    ["title", ["123456789", "ééééé"], [RangeError, "bytes in UTF-8, but there is room for 8"]],
    ["title", ["a\0b"], [TypeError, "the string has a character 0, which ends a text"]],
    ["title", ["\ud800"], [TypeError, "the string has half of a surrogate pair"]],
  ];
  for (const [field, values, [type, text]] of cases) {
    for (const value of values) {
      const { view, data } = make();
      const error = assertThrows(() => assign(view, field, value), type, text);
      assert(error.message.startsWith(`Cannot set "${field}" to `), error.message);
      assert(
        new Uint8Array(data.buffer).every((byte) => byte === 0),
        `${field} = ${String(value)} wrote something`,
      );
    }
  }
});

Deno.test("LayoutView reads any byte as a boolean, and writes 0 and 1", () => {
  const { view, data } = make();
  assertEquals(view.flag, false);
  for (const byte of [1, 2, 0x80, 0xff]) {
    data.setUint8(All.offsets.flag, byte);
    assertEquals(view.flag, true);
  }
  view.flag = true;
  assertEquals(data.getUint8(All.offsets.flag), 1);
  view.flag = false;
  assertEquals(data.getUint8(All.offsets.flag), 0);
});

Deno.test("LayoutView reads and writes text, with zeros after it", () => {
  const { view, data } = make();
  const bytes = new Uint8Array(data.buffer, All.offsets.title, 8);
  assertEquals(view.title, "");
  for (const text of ["12345678", "héé", "\u{1f600}\u{1f600}", "a", "\ufeffa", ""]) {
    view.title = text;
    assertEquals(view.title, text);
    const encoded = [...new TextEncoder().encode(text)];
    assertEquals([...bytes], [...encoded, ...new Array(8 - encoded.length).fill(0)]);
  }
  assertEquals(data.getUint8(All.offsets.title + 8), 0);
});

Deno.test("LayoutView never throws for text that a peer wrote", () => {
  const { view, data } = make();
  const bytes = new Uint8Array(data.buffer, All.offsets.title, 8);
  const cases: [number[], string][] = [
    [[0x61, 0xff, 0x62, 0], "a\ufffdb"],
    [[0xe2, 0x82], "\ufffd"],
    [[0xc3, 0x28], "\ufffd("],
    [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"],
    [[0, 0x61, 0x62], ""],
    [[0x61, 0, 0xff], "a"],
    [[0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0xc3], "aaaaaaa\ufffd"],
  ];
  for (const [content, text] of cases) {
    bytes.fill(0);
    bytes.set(content);
    assertEquals(view.title, text);
  }
});

Deno.test("LayoutView has typed arrays, nested views and arrays of them in place, always the same", () => {
  const { view, data } = make(256);
  assertInstanceOf(view.camera, Float32Array);
  assertInstanceOf(view.ids, BigUint64Array);
  assertInstanceOf(view.flags, Uint8Array);
  assertEquals([view.camera.length, view.ids.length, view.flags.length, view.corners.length], [4, 2, 3, 3]);
  view.camera[3] = 1.5;
  view.ids.set([1n, 2n]);
  view.origin.y = 2.5;
  view.corners[2]!.x = 3.5;
  view.title = "a";
  assertEquals(data.getFloat32(All.offsets.camera + 12, true), 1.5);
  assertEquals(data.getBigUint64(All.offsets.ids + 8, true), 2n);
  assertEquals(data.getFloat64(All.offsets.origin + 8, true), 2.5);
  assertEquals(data.getUint8(All.offsets.title), 0x61);
  assertEquals(data.getFloat64(All.offsets.corners + 32, true), 3.5);
  assertStrictEquals(view.camera, view.camera);
  assertStrictEquals(view.origin, view.origin);
  assertStrictEquals(view.corners, view.corners);
  for (const field of ["camera", "origin", "corners"]) {
    assertThrows(() => assign(view, field, view.camera), TypeError);
  }
  assertThrows(() => assign(view.corners, "0", view.origin), TypeError);
  for (const other of [layout({ ...All.fields }), All]) {
    const again = viewLayout(other, new Uint8Array(data.buffer), { ...place, byteOffset: 256 });
    assertEquals([again.camera[3], again.origin.y, again.corners[2]!.x], [1.5, 2.5, 3.5]);
  }
});

Deno.test("LayoutView shows its fields to console.log, for..in and destructuring", () => {
  const Frame = layout({ width: "u32", origin: Point });
  const view = viewLayout(Frame, new Uint8Array(24), place);
  view.width = 7;
  assertEquals(Deno.inspect(view), "{ width: 7, origin: { x: 0, y: 0 } }");
  const names: string[] = [];
  // deno-lint-ignore guard-for-in -- the accessors are inherited, and meant
  for (const name in view) names.push(name);
  assertEquals(names, ["width", "origin"]);
  const { width, origin: { x } } = view;
  assertEquals([width, x], [7, 0]);
});

Deno.test("viewLayout() with access to read gives a view without setters", () => {
  const memory = new Uint8Array(1024);
  const writer = viewLayout(All, memory, place);
  const view = viewLayout(All, memory, { ...place, access: "read" });
  writer.u32 = 5;
  writer.corners[1]!.y = 6;
  assertEquals([view.u32, view.corners[1]!.y], [5, 6]);
  for (
    const [target, field] of [[view, "u32"], [view, "title"], [view.origin, "x"], [
      view.corners[0],
      "y",
    ]] as const
  ) {
    assertThrows(() => assign(target, field, 1), TypeError, "only a getter");
  }
});

Deno.test("viewLayout() checks the layout and the place", () => {
  const Frame = layout({ a: "u32", b: "u64" });
  const memory = new Uint8Array(new ArrayBuffer(72), 8, 64);
  for (const byteOffset of [0, 8, 48]) viewLayout(Frame, memory, { ...place, byteOffset });
  const view = (byteOffset: unknown, from: Uint8Array<ArrayBuffer> = memory) => () =>
    viewLayout(Frame, from, { ...place, byteOffset: byteOffset as number });
  for (const byteOffset of [-8, 0.5, NaN, 49, 56, Infinity, 2 ** 53]) {
    assertThrows(
      view(byteOffset),
      RangeError,
      `Cannot view the memory by a layout from byte ${byteOffset}: byteOffset must be an integer from 0 to 48`,
    );
  }
  assertThrows(view(4), RangeError, "from byte 4: byteOffset must be a multiple of 8");
  assertThrows(view("8"), TypeError, 'byteOffset must be a number, current value is "8"');
  assertThrows(
    view(0, new Uint8Array(15)),
    RangeError,
    "Cannot view the memory by a layout of 16 bytes: there are 15 bytes",
  );
  const forged = { ...Frame };
  assertThrows(() => viewLayout(forged, memory, place), TypeError, "is not a layout");
});

Deno.test("Region.view() by a layout reads and writes the region, on both sides", async () => {
  const [name, broker] = [uniqueName("layouts"), { service: brokerName() }];
  await using server = await serve(name, {
    broker,
    regions: { frame: { layout: All }, more: { layout: All, byteLength: 4096, clients: "read" } },
  });
  await using client = await connect(name, { broker });
  const ours = server.region("frame");
  assertEquals(ours.byteLength, All.byteLength);
  assertEquals(server.region("more").byteLength, 4096);
  const theirs = await client.open("frame", { write: true });
  ours.view(All).title = "hello";
  theirs.view(All).corners[2]!.y = 0.5;
  assertEquals(theirs.view(All).title, "hello");
  assertEquals(ours.view(All).corners[2]!.y, 0.5);
  server.region("more").view(All, 1024).u32 = 7;
  const readOnly = await client.open("more");
  const view = readOnly.view(All, 1024);
  assertEquals([view.u32, readOnly.unsafeView(All, 1024).u32, view.camera.length], [7, 7, 4]);
  assertThrows(() => assign(view, "u32", 8), TypeError, "only a getter");
  assertThrows(
    () => readOnly.view(All, 4096),
    RangeError,
    'Cannot view the region "more" by a layout from byte 4096',
  );
  const untyped = ours.view.bind(ours) as (...parts: unknown[]) => unknown;
  assertThrows(() => untyped(All, 0, 1), TypeError, "a layout has its own");
});

Deno.test("Region.close() ends views by a layout", async () => {
  const [name, broker] = [uniqueName("layouts"), { service: brokerName() }];
  const server = await serve(name, { broker, regions: { frame: { layout: All } } });
  const region = server.region("frame");
  const view = region.view(All);
  const { camera, origin } = view;
  await server.close();
  assertThrows(() => view.u32, TypeError);
  assertThrows(() => view.u32 = 1, TypeError);
  assertThrows(() => view.title, TypeError);
  assertThrows(() => view.ids, TypeError);
  assertThrows(() => origin.x, TypeError);
  assertEquals(camera.length, 0);
  assertEquals(Deno.inspect(view), '"a view of memory that is closed"');
  assertThrows(() => region.view(All), TypeError, "closed");
});

Deno.test("a frame's view() by a layout writes and reads the frame in place", async () => {
  const [name, broker] = [uniqueName("layouts"), { service: brokerName() }];
  await using server = await serve(name, { broker, streams: { video: { byteLength: 4096 } } });
  await using client = await connect(name, { broker });
  const writer = server.stream("video");
  await using reader = await client.stream("video");
  const seen = new Set<unknown>();
  for (let turn = 1; turn <= 8; turn++) {
    {
      using frame = writer.loan();
      frame.view(All).u32 = turn;
      frame.view(All, 1024).title = `turn ${turn}`;
      frame.publish();
    }
    using frame = reader.latest()!;
    const view = frame.view(All);
    assertEquals([view.u32, frame.view(All, 1024).title], [turn, `turn ${turn}`]);
    assertThrows(() => assign(view, "u32", 1), TypeError, "only a getter");
    assertStrictEquals(frame.view(All), view);
    assert(frame.unsafeView(All) as unknown !== view, "that one has setters");
    seen.add(view);
    const untyped = frame.view.bind(frame) as (...parts: unknown[]) => unknown;
    assertThrows(() => untyped(All, 0, 1), TypeError, "a layout has its own");
    assertThrows(
      () => frame.view(All, 4096),
      RangeError,
      'Cannot view a frame of "video" by a layout from byte 4096',
    );
  }
  assert(seen.size <= 4, "one view for each slot");
});

Deno.test("a frame's view() by a layout refuses a frame that is too short, and one that was given back", async () => {
  const [name, broker] = [uniqueName("layouts"), { service: brokerName() }];
  await using server = await serve(name, { broker, streams: { video: { byteLength: 4096 } } });
  await using client = await connect(name, { broker });
  const loan = server.stream("video").loan();
  const view = loan.view(All);
  view.u32 = 5;
  loan.publish({ byteLength: 100 });
  assertThrows(() => loan.view(All), TypeError);
  await using reader = await client.stream("video");
  const lease = reader.latest()!;
  assertThrows(
    () => lease.view(All),
    RangeError,
    `Cannot view a frame of "video" by a layout of ${All.byteLength} bytes: there are 100 bytes`,
  );
  assertEquals(lease.view(layout({ a: "u8" })).a, 0);
  lease.release();
  assertThrows(() => lease.view(Point), TypeError, "its lease has ended");
});

Deno.test("serve() checks a region's layout before it makes anything", async () => {
  const broker = { service: brokerName() };
  const start = (options: unknown) => () =>
    serve(uniqueName("layouts"), { broker, regions: { frame: options as { byteLength: number } } });
  const cases: [unknown, ErrorConstructor, string][] = [
    [{ layout: {} }, TypeError, "`layout` is {}, but must be a layout that layout() made"],
    [{ layout: { ...Point }, byteLength: 100 }, TypeError, "must be a layout that layout() made"],
    [{ layout: Point, byteLength: 15 }, RangeError, "`byteLength` is 15, but must be at least 16"],
    [{}, TypeError, "`byteLength` is undefined"],
    [{ layout: undefined }, TypeError, "`byteLength` is undefined"],
  ];
  for (const [options, type, text] of cases) {
    const error = await start(options)().then(() => undefined, (error: unknown) => error);
    assertInstanceOf(error, type);
    assert((error as Error).message.includes(text), (error as Error).message);
  }
});
