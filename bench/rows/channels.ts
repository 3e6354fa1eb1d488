import { processors } from "../native.ts";
import type { Options } from "../options.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** Messages through a ring, there and back. */
export const channels: Bench = {
  key: "channels",
  run: async ({ rounds, quick }: Options): Promise<Row[]> => {
    const pinned = await processors();
    const volley = { byteLength: 64, count: quick ? 100 : 1000, batches: quick ? 3 : 101 };
    const times: number[] = [];
    await using pair = await Pair.start({ ball: 4096 }, pinned, {}, { midi: { byteLength: 65536 } });
    await pair.client.call("openChannel");
    for (let round = quick ? 0 : -1; round < rounds; round++) {
      const [batches] = await pair.both<number[]>("sendSpinning", "echoSpinning", volley);
      if (round >= 0) times.push(median(batches)); // before that it was compiled
    }
    return [rowOf({
      name: "message of 64 bytes over a channel, both spinning",
      ours: times,
      bound: { kind: "time below", limit: 1000 },
      note: "one way: half of there and back, with both copies",
    })];
  },
};
