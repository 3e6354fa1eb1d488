/** Layouts that other languages declare: every type, and the places where their rules could differ. */
import { layout } from "../../../mod.ts";

const Point = layout({ x: "f64", y: "f64" });
const Odd = layout({ a: "u32", b: "u8" });

export const Size = layout({ w: "u16", h: "u16" });
export const Sample = layout({
  flag: "bool",
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
  title: ["utf8", 13],
  flags: ["bool", 3],
  camera: ["f32", 5],
  ids: ["u64", 2],
  in: "i16",
  odd: Odd,
  odds: [Odd, 3],
  origin: Point,
  corners: [Point, 2],
  size: Size,
  last: "u8",
});
export const nothing = { byteLength: 4 };
