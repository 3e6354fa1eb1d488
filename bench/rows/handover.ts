import type { Options } from "../options.ts";
import { processors } from "../native.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** Handing over a region in place, whatever its size. */
export const handover: Bench = {
  key: "handover",
  run: async ({ rounds, quick, large }: Options): Promise<Row[]> => {
    const sizes = { small: 4096, large };
    const times: Record<keyof typeof sizes, number[]> = { small: [], large: [] };
    await using pair = await Pair.start({ answer: 4096, ...sizes }, await processors());
    for (let round = quick ? 0 : -1; round < rounds; round++) {
      for (const region of ["small", "large"] as const) {
        const parameters = { region, count: quick ? 100 : 10_000 };
        const [, taken] = await pair.both<null, number[]>("handOver", "takeOver", parameters);
        if (round >= 0) times[region].push(median(taken));
      }
    }
    return [["small", "4 KiB"] as const, ["large", `${large / 2 ** 20} MiB`] as const].map(([region, size]) =>
      rowOf({
        name: `handing over ${size} in place, spinning`,
        ours: times[region],
        bound: { kind: "time below", limit: 1000 },
        note: "one way, with two looks at the clock",
      })
    );
  },
};
