import type { ViewTimes } from "../exercises/views.ts";
import type { Options } from "../options.ts";
import { Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";

const WORK = [
  "sum of Float64Array",
  "sum of Uint32Array",
  "fill of Float64Array",
  "fill of Uint32Array",
  "Uint8Array.set",
];

/** Reading and writing through typed arrays. */
export const views: Bench = {
  key: "views",
  run: async ({ rounds, quick, large }: Options): Promise<Row[]> => {
    const rows: Row[] = [];
    await using process = await Process.start("server", {
      name: uniqueName("views"),
      broker: uniqueName("broker"),
      regions: { frame: large },
    });
    for (const work of WORK) {
      const parameters = { work, rounds, repeats: quick ? 1 : 5 };
      const times = await process.call<ViewTimes>("views", parameters);
      rows.push(rowOf({
        name: `${work}, ${large / 2 ** 20} MiB`,
        ours: times.region,
        baseline: { name: "private memory", rounds: times.private },
        bound: { kind: "ratio at least", limit: 0.98 },
      }));
    }
    return rows;
  },
};
