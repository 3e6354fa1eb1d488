/** The types of layouts and views: what compiles, and what does not. `deno test` checks this file before it runs. */
import {
  type FieldType,
  type Layout,
  layout,
  type LayoutView,
  type ReadableRegion,
  type ReadOnlyLayoutView,
  type ReadOnlyView,
  type RegionOptions,
  type WritableRegion,
} from "../../mod.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false;
type Flat<T> = { [K in keyof T]: T[K] };

/** Compiles where the type is `true`. */
function holds<T extends true>(..._witness: T[]): void {}

const count = Number("16");
const Point = layout({ x: "f64", y: "f64" });
const Frame = layout({
  width: "u32",
  id: "u64",
  ok: "bool",
  title: ["utf8", 32],
  camera: ["f32", count],
  ids: ["i64", 2],
  origin: Point,
  corners: [Point, 4],
});

interface PointView {
  x: number;
  y: number;
}

Deno.test("the types of a view are those of the fields", () => {
  holds<
    Same<Flat<LayoutView<typeof Frame>>, {
      width: number;
      id: bigint;
      ok: boolean;
      title: string;
      readonly camera: Float32Array<ArrayBuffer>;
      readonly ids: BigInt64Array<ArrayBuffer>;
      readonly origin: LayoutView<typeof Point>;
      readonly corners: readonly LayoutView<typeof Point>[];
    }>
  >();
  holds<Same<Flat<LayoutView<typeof Point>>, PointView>>();
  holds<
    Same<ReadOnlyLayoutView<typeof Frame>, {
      readonly width: number;
      readonly id: bigint;
      readonly ok: boolean;
      readonly title: string;
      readonly camera: ReadOnlyView<Float32Array<ArrayBuffer>>;
      readonly ids: ReadOnlyView<BigInt64Array<ArrayBuffer>>;
      readonly origin: ReadOnlyLayoutView<typeof Point>;
      readonly corners: readonly ReadOnlyLayoutView<typeof Point>[];
    }>
  >();
  holds<Same<ReadOnlyLayoutView<typeof Point>, { readonly x: number; readonly y: number }>>();
});

Deno.test("the types of offsets have the names of the fields", () => {
  holds<Same<typeof Point.offsets, { readonly x: number; readonly y: number }>>();
  const any: Layout = Frame; // every layout is one
  const options: RegionOptions = { layout: Frame };
  const type: FieldType = [Frame, 2];
  void [any, options, type];
});

function writes(region: WritableRegion): void {
  const frame = region.view(Frame, 64);
  frame.width = 1;
  frame.id = 1n;
  frame.ok = true;
  frame.title = "a";
  frame.camera[0] = 1;
  frame.camera.set([1, 2]);
  frame.origin.x = 1;
  frame.corners[0]!.y = 1;
  const floats: Float32Array<ArrayBuffer> = region.view(Frame).camera;
  // @ts-expect-error -- a number is not a bigint
  frame.id = 1;
  // @ts-expect-error -- a string is not a number
  frame.width = "1";
  // @ts-expect-error -- there is no such field
  frame.height = 1;
  // @ts-expect-error -- arrays are written by their elements
  frame.camera = floats;
  // @ts-expect-error -- so are nested layouts
  frame.origin = frame.corners[1]!;
  // @ts-expect-error -- and arrays of them
  frame.corners[0] = frame.origin;
  holds<Same<ReturnType<typeof region.view<Uint8Array>>, Uint8Array>>();
}

function reads(region: ReadableRegion): void {
  const frame = region.view(Frame);
  const sum: number = frame.width + frame.origin.x + (frame.camera[0] ?? 0) + frame.corners[0]!.x;
  // @ts-expect-error -- the region is only read
  frame.width = sum;
  // @ts-expect-error -- its nested layouts too
  frame.origin.x = 1;
  // @ts-expect-error -- and those in arrays
  frame.corners[0]!.x = 1;
  // @ts-expect-error -- and its arrays
  frame.camera[0] = 1;
  // @ts-expect-error -- by all of their methods
  frame.camera.fill(1);
  // @ts-expect-error -- a view that reads is not passed for its arrays
  const floats: Float32Array = frame.camera;
  region.unsafeView(Frame).width = floats.length; // compiles, as its name says
}

/** A region of either kind can be viewed, to read it. */
function either(region: ReadableRegion | WritableRegion): number {
  return region.view(Uint8Array)[0]! + region.view(Frame).width + region.view(DataView).getInt8(0);
}

function refused(): void {
  // @ts-expect-error -- there is no such type
  layout({ a: "u12" });
  // @ts-expect-error -- text has a length
  layout({ a: "utf8" });
  // @ts-expect-error -- an array has one length
  layout({ a: ["u8", 2, 3] });
  // @ts-expect-error -- arrays are not nested
  layout({ a: [["u8", 2], 3] });
}

/** What is expected of a view does not change what it is. */
function expected(region: ReadableRegion & { unsafeView: WritableRegion["view"] }): void {
  const array: ArrayLike<number> = region.view(Float32Array);
  const point: PointView = region.unsafeView(Point);
  // @ts-expect-error -- a view by a layout is not one by another
  const other: PointView = region.unsafeView(Frame);
  // @ts-expect-error -- nor is it an array
  const numbers: ArrayLike<number> = region.view(Frame);
  void [array, point, other, numbers];
}

Deno.test("the functions of this file compile, and the lines that must not do not", () => {
  void [writes, reads, either, refused, expected]; // nobody calls them
});
