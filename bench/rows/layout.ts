import { layout, type LayoutView } from "../../mod.ts";
import { viewLayout } from "../../src/layout/view.ts";
import type { Options } from "../options.ts";
import { type Bench, type Row, rowOf } from "../row.ts";

const Frame = layout({ width: "u32", timestamp: "f64", ready: "bool", origin: layout({ x: "f64" }) });
type FrameView = LayoutView<typeof Frame>;

/** How far the views are apart, and how many there are: of one alone, the compiler would take all for constants. */
const DISTANCE = 64;
const VIEWS = 4;

/** The same work by a layout and by a `DataView`. */
interface Work {
  readonly name: string;
  ours(views: readonly FrameView[], count: number): number;
  theirs(views: readonly DataView[], count: number): number;
}

const WORK: readonly Work[] = [
  {
    name: "read a u32",
    ours: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.width;
      return sum;
    },
    theirs: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.getUint32(0, true);
      return sum;
    },
  },
  {
    name: "read an f64",
    ours: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.timestamp;
      return sum;
    },
    theirs: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.getFloat64(8, true);
      return sum;
    },
  },
  {
    name: "write a u32, checked",
    ours: (views, count) => {
      for (let i = 0; i < count; i++) views[i % VIEWS]!.width = i;
      return count;
    },
    theirs: (views, count) => {
      for (let i = 0; i < count; i++) views[i % VIEWS]!.setUint32(0, i, true);
      return count;
    },
  },
  {
    name: "read an f64 of a nested layout",
    ours: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.origin.x;
      return sum;
    },
    theirs: (views, count) => {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += views[i % VIEWS]!.getFloat64(24, true);
      return sum;
    },
  },
];

/** Reading and writing fields through views by a layout. */
export const layouts: Bench = {
  key: "layouts",
  run: ({ rounds, quick }: Options): Promise<Row[]> => {
    const memory = new Uint8Array(DISTANCE * VIEWS);
    const offsets = Array.from({ length: VIEWS }, (_, index) => index * DISTANCE);
    useOthers();
    const place = { what: "the bench", length: undefined, access: "write" } as const;
    const ours = offsets.map((byteOffset) => viewLayout(Frame, memory, { ...place, byteOffset }));
    const theirs = offsets.map((byteOffset) => new DataView(memory.buffer, byteOffset, Frame.byteLength));
    const count = quick ? 100_000 : 2_000_000;
    const rows = WORK.map((work) => {
      const times: Record<"ours" | "theirs", number[]> = { ours: [], theirs: [] };
      for (let round = -2; round < rounds; round++) { // the first two until it is compiled
        const [a, b] = [time(() => work.ours(ours, count)), time(() => work.theirs(theirs, count))];
        if (round < 0) continue;
        times.ours.push(a / count);
        times.theirs.push(b / count);
      }
      return rowOf({
        name: `layout: ${work.name}`,
        ours: times.ours,
        baseline: { name: "DataView", rounds: times.theirs },
        bound: { kind: "ratio at most", limit: 3 },
      });
    });
    return Promise.resolve(rows);
  },
};

/** Uses other layouts first, as an app does: their accessors share code with those that are measured. */
function useOthers(): void {
  const memory = new Uint8Array(128);
  for (let fields = 1; fields <= 12; fields++) {
    const names = Array.from({ length: fields }, (_, index) => [`other${index}`, "u32"] as const);
    const Other = layout({ ...Object.fromEntries(names), timestamp: "f64", width: "u32" });
    const view = viewLayout(Other, memory, {
      what: "the bench",
      byteOffset: 0,
      length: undefined,
      access: "write",
    });
    for (let i = 0; i < 10_000; i++) {
      view.width = i;
      view.timestamp += view.width;
    }
  }
}

/** How long a run takes, in nanoseconds. */
function time(run: () => number): number {
  const begin = performance.now();
  const result = run();
  const end = performance.now();
  if (Number.isNaN(result)) throw new Error("Cannot measure: the work went wrong"); // the result must be used
  return (end - begin) * 1e6;
}
