/**
 * What the two apps agree on. `deno task layout examples/layout/frame.ts --c` prints it for an app in C.
 *
 * @module
 */
import { layout } from "../../mod.ts";

const Point = layout({ x: "f32", y: "f32" });
export const Frame = layout({
  number: "u32",
  width: "u16",
  height: "u16",
  title: ["utf8", 32],
  cursor: Point,
  histogram: ["u32", 256],
});
