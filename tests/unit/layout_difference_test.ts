/** What one side makes of the layout that the other tells, whatever that is. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { type Layout, layout } from "../../mod.ts";
import { describe, hashOf, MAX_DESCRIPTION_LENGTH } from "../../src/layout/description.ts";
import { describeDifference } from "../../src/layout/difference.ts";
import { parseDescription } from "../../src/layout/parse.ts";

const SIDES = { ours: "the server", theirs: "the client" };
const Point = layout({ x: "f64", y: "f64" });
const Frame = layout({
  width: "u32",
  height: "u32",
  title: ["utf8", 32],
  camera: ["f32", 16],
  origin: Point,
  corners: [Point, 4],
});

function difference(ours: Layout, theirs: Layout): string | undefined {
  return describeDifference(ours.description, theirs.description, SIDES);
}

Deno.test("hashOf() is FNV-1a of 64 bits, with the known values", () => {
  // From the test vectors that its authors publish.
  assertEquals(hashOf(""), "cbf29ce484222325");
  assertEquals(hashOf("a"), "af63dc4c8601ec8c");
  assertEquals(hashOf("foobar"), "85944171f73967e8");
});

Deno.test("parseDescription() reads what describe() wrote", () => {
  for (const { description, byteLength } of [Point, Frame, layout({ a: ["bool", 2 ** 40] })]) {
    const structure = parseDescription(description);
    assertEquals([describe(structure), structure.byteLength], [description, byteLength]);
  }
});

Deno.test("parseDescription() refuses all else, at a place", () => {
  const texts = [
    ...[
      "",
      "{",
      "{}",
      "{}8",
      "x",
      "{a:u8@0}",
      "{a:u8@0}1 ",
      " {a:u8@0}1",
      "{a:u8@0}1{a:u8@0}1",
      "{a:u8@0,}1",
    ],
    ...[
      "{a:u9@0}1",
      "{a:utf8@0}1",
      "{a:u8[0]@0}1",
      "{a:u8[]@0}1",
      "{a:u8[-1]@0}1",
      "{a:u8[1.5]@0}1",
      "{a:u8}1",
    ],
    ...[
      "{a:u8@00}1",
      "{a:u8@0}01",
      "{a:u8@1099511627777}1",
      "{a:u8@0}99999999999999999999",
      "{a:toString@0}1",
    ],
    ...["{a:u8@0,a:u8@1}2", "{int:u8@0}1", "{1:u8@0}1", "{__proto__:u8@0}1", "{ä:u8@0}1", "{a:{}0@0}0"],
    ...[
      "{a:u8@0\n}1",
      `{${"x".repeat(65)}:u8@0}1`,
      "{".repeat(20_000),
    ],
  ];
  for (const text of texts) {
    const error = assertThrows(() => parseDescription(text), SyntaxError);
    assertMatch(error.message, /^Cannot read the layout: at character \d+, [\x20-\x7e]{1,60}$/);
  }
  for (const text of [undefined, null, 5, {}, new Uint8Array(4)]) {
    assertThrows(() => parseDescription(text), SyntaxError, "it is not a text");
  }
  assertThrows(
    () => parseDescription("x".repeat(MAX_DESCRIPTION_LENGTH + 1)),
    SyntaxError,
    "it has 32769 characters, but at most 32768 may be",
  );
});

Deno.test("parseDescription() reads 16 levels and no more", () => {
  const nested = (levels: number): string => "{a:".repeat(levels) + "u8" + "@0}1".repeat(levels);
  assertEquals(parseDescription(nested(16)).depth, 16);
  assertThrows(() => parseDescription(nested(17)), SyntaxError, "layouts are nested more than 16 deep");
});

Deno.test("describeDifference() finds none between equal layouts", () => {
  assertEquals(difference(Frame, Frame), undefined);
  assertEquals(difference(Frame, layout({ ...Frame.fields })), undefined);
});

Deno.test("describeDifference() names the first field that differs, and how", () => {
  const change = (fields: Parameters<typeof layout>[0]): Layout => layout({ ...Frame.fields, ...fields });
  const cases: [Layout, string][] = [
    [change({ width: "u16" }), '"width": the server has u32, the client has u16'],
    [change({ height: "f32", camera: ["f32", 9] }), '"height": the server has u32, the client has f32'],
    [change({ title: ["utf8", 16] }), '"title": the server has utf8[32], the client has utf8[16]'],
    [change({ camera: "f32" }), '"camera": the server has f32[16], the client has f32'],
    [change({ origin: "u64" }), '"origin": the server has a layout, the client has u64'],
    [change({ origin: [Point, 2] }), '"origin": the server has a layout, the client has 2 layouts'],
    [change({ corners: [Point, 5] }), '"corners": the server has 4 layouts, the client has 5 layouts'],
    [
      change({ origin: layout({ x: "f64", y: "f32" }) }),
      '"origin.y": the server has f64, the client has f32',
    ],
    [
      change({ corners: [layout({ x: "i64", y: "f64" }), 4] }),
      '"corners[].x": the server has f64, the client has i64',
    ],
    [
      change({ origin: layout({ x: "f64", z: "f64" }) }),
      'field 2 of "origin": the server has "origin.y", the client has "origin.z"',
    ],
    [change({ more: "u8" }), '"more": the server has no such field, the client has it'],
  ];
  for (const [theirs, text] of cases) assertEquals(difference(Frame, theirs), text);
});

Deno.test("describeDifference() tells a missing field from one of another name or place", () => {
  const abc = layout({ a: "u8", b: "u8", c: "u8" });
  const cases: [Layout, string][] = [
    [layout({ a: "u8", c: "u8" }), '"b": the server has it, the client has no such field'],
    [layout({ a: "u8", b: "u8" }), '"c": the server has it, the client has no such field'],
    [layout({ a: "u8", x: "u8", b: "u8", c: "u8" }), '"x": the server has no such field, the client has it'],
    [layout({ a: "u8", x: "u8", c: "u8" }), 'field 2: the server has "b", the client has "x"'],
    [layout({ a: "u8", c: "u8", b: "u8" }), 'field 2: the server has "b", the client has "c"'],
  ];
  for (const [theirs, text] of cases) assertEquals(difference(abc, theirs), text);
});

Deno.test("describeDifference() finds offsets and lengths that another implementation chose", () => {
  const ours = layout({ a: "u8", b: "u32" }).description;
  assertEquals(ours, "{a:u8@0,b:u32@4}8");
  assertEquals(
    describeDifference(ours, "{a:u8@0,b:u32@1}5"),
    '"b": this side has it at byte 4, the other side has it at byte 1',
  );
  assertEquals(
    describeDifference(ours, "{a:u8@0,b:u32@4}12"),
    "the length: this side has 8 bytes, the other side has 12 bytes",
  );
  assertEquals(
    describeDifference("{p:{a:u8@0}1@0}4", "{p:{a:u8@0}2@0}4"),
    'the length of "p": this side has 1 bytes, the other side has 2 bytes',
  );
});

Deno.test("describeDifference() gives a short and printable text for whatever a peer sends", () => {
  const ours = Frame.description;
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const alphabet = '{}[]:,@0123456789abxyu8f64 utf8\n\0"\\é\u{1f600}\ud800';
  const texts: unknown[] = [undefined, null, 5n, "", "{".repeat(1e6), "a".repeat(1e6)];
  for (let round = 0; round < 5000; round++) {
    const at = random(ours.length);
    const change = alphabet[random(alphabet.length)]!;
    texts.push(ours.slice(0, at) + change + ours.slice(at + random(3)));
  }
  const long = "n".repeat(64);
  let deep = `{${long}:u8@0}1`;
  for (let level = 2; level <= 16; level++) deep = `{${long}:${deep}@0}1`;
  texts.push(deep);
  let found = 0;
  for (const text of texts) {
    const difference = describeDifference(ours, text, SIDES);
    if (text === ours) continue;
    assert(difference !== undefined, String(text));
    assertMatch(difference, /^[\x20-\x7e]{10,2500}$/);
    if (!difference.includes("cannot be read")) found++;
  }
  assert(found > 100, `${found} of ${texts.length} could be read`);
});
