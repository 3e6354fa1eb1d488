import type { ViewTimes } from "../exercises/views.ts";
import type { Options } from "../options.ts";
import { Pair, Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";

const WORK = [
  "sum of Float64Array",
  "sum of Uint32Array",
  "fill of Float64Array",
  "fill of Uint32Array",
  "Uint8Array.set",
];

/** What a reader of frames may do. */
const READING = WORK.slice(0, 2);

function viewRow(name: string, times: ViewTimes, { large }: Options): Row {
  return rowOf({
    name: `${name}, ${large / 2 ** 20} MiB`,
    ours: times.region,
    baseline: { name: "private memory", rounds: times.private },
    bound: { kind: "ratio at least", limit: 0.98 },
  });
}

async function ofRegion(options: Options): Promise<Row[]> {
  const { rounds, quick, large } = options;
  const rows: Row[] = [];
  await using process = await Process.start("server", {
    name: uniqueName("views"),
    broker: uniqueName("broker"),
    regions: { frame: large },
  });
  for (const work of WORK) {
    const times = await process.call<ViewTimes>("views", { work, rounds, repeats: quick ? 1 : 5 });
    rows.push(viewRow(work, times, options));
  }
  return rows;
}

async function ofFrame(options: Options): Promise<Row[]> {
  const { rounds, quick, large } = options;
  const rows: Row[] = [];
  const stream = "frame";
  await using pair = await Pair.start({}, undefined, { [stream]: { byteLength: large } });
  await pair.client.call("openStream", { stream, count: 1 });
  await pair.server.call("publishOnes", { stream });
  for (const work of READING) {
    const times = await pair.client.call<ViewTimes>("frameViews", { work, rounds, repeats: quick ? 1 : 5 });
    rows.push(viewRow(`${work} of a leased frame`, times, options));
  }
  return rows;
}

/** Reading and writing through typed arrays. */
export const views: Bench = {
  key: "views",
  run: async (options) => [...await ofRegion(options), ...await ofFrame(options)],
};
