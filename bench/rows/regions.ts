import type { Made } from "../exercises/regions.ts";
import type { Options } from "../options.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** How many. */
const COUNT = 8;

/** Making, sending and mapping eight regions, in new processes each time: an app does it once. */
export const regions: Bench = {
  key: "regions",
  run: async ({ rounds, large }: Options): Promise<Row[]> => {
    const mapped: number[] = [];
    const viewed: number[] = [];
    const grown: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      await using pair = await Pair.start({ ball: 4096 });
      const making = { count: COUNT, byteLength: large };
      const [made, opened] = await pair.both<Made, Made & { viewed: number }>(
        "addRegions",
        "openRegions",
        making,
      );
      mapped.push(opened.at - made.at);
      viewed.push(opened.viewed - made.at);
      for (const [side, { resident: [before, after] }] of [made, opened].entries()) {
        grown[side]!.push((after - before) / 2 ** 20);
      }
    }
    const [server, client] = grown.map((sizes) => `${median(sizes).toFixed(1)} MiB`);
    const megabytes = COUNT * large / 2 ** 20;
    return [
      rowOf({
        name: `${COUNT} × ${large / 2 ** 20} MiB made, sent, mapped`,
        ours: mapped,
        bound: { kind: "time below", limit: 5e6 },
        note: `new processes; of ${megabytes} MiB resident: server +${server}, client +${client}`,
      }),
      rowOf({ name: "the same, and a view of each", ours: viewed }),
    ];
  },
};
