/** `layout()`: where fields lie, what it refuses, and what two sides compare. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { type FieldType, layout, type LayoutFields } from "../../mod.ts";
import { MAX_DESCRIPTION_LENGTH } from "../../src/layout/description.ts";
import { isLayout } from "../../src/layout/layout.ts";

const Point = layout({ x: "f64", y: "f64" });

/** Calls `layout()` as a program without types may. */
const untyped = layout as (fields: unknown) => unknown;

Deno.test("layout() places fields at the next multiple of their alignment, and pads the end, as C does", () => {
  const Mixed = layout({ a: "u8", b: "u32", c: "i16", d: "f64", e: "bool", f: "u64", g: "i8" });
  assertEquals(Mixed.offsets, { a: 0, b: 4, c: 8, d: 16, e: 24, f: 32, g: 40 });
  assertEquals([Mixed.byteLength, Mixed.alignment], [48, 8]);
  const Small = layout({ a: "u8", b: ["u16", 3], c: ["utf8", 3] });
  assertEquals(Small.offsets, { a: 0, b: 2, c: 8 });
  assertEquals([Small.byteLength, Small.alignment], [12, 2]);
  assertEquals(layout({ a: ["utf8", 5] }).byteLength, 5);
});

Deno.test("layout() aligns and strides nested layouts by their own alignment and length", () => {
  const Odd = layout({ a: "u32", b: "u8" }); // 5 bytes, padded to 8
  const Outer = layout({ first: "u8", odd: Odd, many: [Odd, 3], point: Point, last: "u8" });
  assertEquals(Outer.offsets, { first: 0, odd: 4, many: 12, point: 40, last: 56 });
  assertEquals([Outer.byteLength, Outer.alignment], [64, 8]);
});

Deno.test("layout() freezes what it makes, and keeps the fields as they were given", () => {
  const fields = { width: "u32" } as const;
  const Frame = layout(fields);
  assertEquals(Frame.fields, fields);
  for (const part of [Frame, Frame.fields, Frame.offsets]) assert(Object.isFrozen(part));
  assert(isLayout(Frame));
  for (const other of [undefined, null, 1, {}, { ...Frame }, Uint8Array]) assert(!isLayout(other));
});

Deno.test("layout() does not change when its caller changes the types later", () => {
  const type: [FieldType & string, number] = ["u8", 4];
  const Frame = layout({ a: type as ["u8", number], b: "u8" });
  type[1] = 100;
  assertEquals([Frame.offsets.b, Frame.byteLength], [4, 5]);
});

Deno.test("layout() refuses fields that are none", () => {
  for (const fields of [undefined, null, 5, "u32", ["u32"]]) {
    assertThrows(() => untyped(fields), TypeError, "its fields are an object such as");
  }
  assertThrows(() => layout({}), TypeError, "Cannot make a layout without a field");
});

Deno.test("layout() refuses a type that it does not know, and names the field and the value", () => {
  const types: unknown[] = [
    ...["f23", "U32", "utf8", "toString", "", 5, null, undefined, {}, [], ["u8"], ["u8", 1, 2], ["utf9", 4]],
    ...[[["u8", 2], 2], [{}, 2], Uint8Array, { ...Point }],
  ];
  for (const type of types) {
    const error = assertThrows(() => untyped({ good: "u8", camera: type }), TypeError);
    assertMatch(
      error.message,
      /^Cannot make a layout: the type of the field "camera" is .*, but must be one of /,
    );
  }
});

Deno.test("layout() refuses a length that is not a positive integer", () => {
  for (const length of [0, -1, 0.5, NaN, Infinity, "4", 4n, undefined, null, 2 ** 53]) {
    for (const type of ["f32", "utf8", Point]) {
      assertThrows(
        () => untyped({ camera: [type, length] }),
        RangeError,
        'Cannot make a layout: the length of the field "camera" is',
      );
    }
  }
});

Deno.test("layout() refuses a name that is not an identifier everywhere", () => {
  const names = ["", "1st", "0", "a b", "a-b", "größe", "$", "a.b", "x".repeat(65)]; // as identifiers
  const keywords = ["int", "struct", "class", "namespace", "restrict", "NULL", "new"]; // in C and C++
  const reserved = ["_", "__a", "_Bool", "_A"];
  const members = ["byteLength", "byteOffset", "buffer", "constructor", "toString", "then", "toJSON", "self"];
  for (const name of [...names, ...keywords, ...reserved, ...members]) {
    const error = assertThrows(() => layout({ [name]: "u8" }), TypeError);
    assertMatch(
      error.message,
      /^Cannot make a layout: the name of the field ".*".* (is|has|begins) .*; choose another$/,
    );
  }
  const own = Object.defineProperty({}, "__proto__", { value: "u8", enumerable: true });
  assertThrows(() => untyped(own), TypeError, 'the field "__proto__"');
  for (const name of ["_a", "a1", "in", "let", "type", "length", "name", "x".repeat(64)]) {
    layout({ [name]: "u8" });
  }
});

Deno.test("layout() refuses what is too long, too deep or too much to describe", () => {
  assertEquals(layout({ a: ["u8", 2 ** 40] }).byteLength, 2 ** 40);
  assertThrows(() => layout({ a: ["u8", 2 ** 40], b: "u8" }), RangeError, 'bytes with the field "b"');
  assertThrows(() => layout({ a: ["f64", 2 ** 38] }), RangeError, "but at most 1099511627776 are possible");
  assertThrows(() => layout({ a: [Point, 2 ** 20 + 1] }), RangeError, "is an array of 1048577 layouts");
  let deep = layout({ a: "u8" }) as ReturnType<typeof layout>;
  for (let level = 2; level <= 16; level++) deep = layout({ a: deep });
  assertThrows(() => layout({ a: deep }), RangeError, "layouts are nested 17 deep, but at most 16 may be");
  const many: LayoutFields = Object.fromEntries(
    Array.from({ length: 2000 }, (_, index) => [`a_field_of_many_${index}`, "u8"] as const),
  );
  assertThrows(() => layout(many), RangeError, `but at most ${MAX_DESCRIPTION_LENGTH} are possible`);
});

Deno.test("Layout.description and Layout.hash are stable", () => {
  const Frame = layout({ width: "u32", title: ["utf8", 8], camera: ["f32", 16], at: Point, all: [Point, 2] });
  assertEquals(
    Frame.description,
    "{width:u32@0,title:utf8[8]@4,camera:f32[16]@12,at:{x:f64@0,y:f64@8}16@80,all:{x:f64@0,y:f64@8}16[2]@96}128",
  );
  assertEquals(Frame.hash, "2e6e600eb9ce44e0");
  assertMatch(layout({ a: "u8" }).hash, /^[0-9a-f]{16}$/);
});

Deno.test("Layout.hash differs with each name, type, length and order", () => {
  const layouts = [
    layout({ a: "u32", b: "u32" }),
    layout({ b: "u32", a: "u32" }),
    layout({ a: "u32", b: "i32" }),
    layout({ a: "u32", b: "f32" }),
    layout({ a: "u32", c: "u32" }),
    layout({ a: "u32", b: ["u32", 1] }),
    layout({ a: ["u32", 2] }),
    layout({ a: layout({ a: "u32", b: "u32" }) }),
    layout({ a: [layout({ a: "u32", b: "u32" }), 1] }),
  ];
  assertEquals(new Set(layouts.map(({ hash }) => hash)).size, layouts.length);
  assertEquals(layout({ a: "u32", b: "u32" }).hash, layouts[0]!.hash);
  assertNotEquals(layouts[0]!.description, layouts[1]!.description);
});
