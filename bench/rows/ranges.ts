import type { Copied } from "../exercises/ranges.ts";
import type { Options } from "../options.ts";
import { Process, uniqueName } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** Copying what changed of a large region, and all of it. */
export const ranges: Bench = {
  key: "ranges",
  run: async ({ rounds, large, quick }: Options): Promise<Row[]> => {
    const changes: number[] = [];
    const whole: number[] = [];
    for (let round = 0; round < rounds; round++) {
      await using process = await Process.start("server", {
        name: uniqueName("ranges"),
        broker: uniqueName("broker"),
        regions: { canvas: large },
      });
      const copied = await process.call<Copied>("copyChanges", { times: quick ? 3 : 21 });
      changes.push(median(copied.changes));
      whole.push(median(copied.whole));
    }
    return [
      rowOf({
        name: `copyChanges of ${large / 2 ** 20} MiB, 1 % changed`,
        ours: changes,
        baseline: { name: "a copy of all", rounds: whole },
        bound: { kind: "ratio at most", limit: 0.05 },
      }),
    ];
  },
};
