import type { Options } from "../options.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { openSockets } from "../socket_path.ts";
import { median } from "../statistics.ts";

/** What one would use instead. */
export const peers: Bench = {
  key: "peers",
  run: async ({ rounds, quick, large }: Options): Promise<Row[]> => {
    await using pair = await Pair.start({ ball: 4096, answer: 4096, frame: large }, undefined, {}, {
      midi: { byteLength: 65536 },
    });
    await openSockets(pair);
    await pair.client.call("openChannel");
    const rally = { laps: 100, batches: quick ? 3 : 51 };
    const small = { byteLength: 64, count: quick ? 20 : 500 };
    const big = { byteLength: large, count: quick ? 1 : 5 };
    const times: Record<"rally" | "asked" | "carried" | "small" | "socket" | "region", number[]> = {
      rally: [],
      asked: [],
      carried: [],
      small: [],
      socket: [],
      region: [],
    };
    for (let round = -1; round < rounds; round++) {
      const [bytes] = await pair.both<number[]>("sendSmall", "echoSmall", small);
      const [asked] = await pair.both<number[]>("ask", "answer", small);
      const [carried] = await pair.both<number[]>("sendOnLoop", "echoOnLoop", small);
      const [changes] = await pair.both<number[]>("pingChanges", "pongChanges", rally);
      const [socket] = await pair.both<number[]>("sendLarge", "takeLarge", big);
      const [region] = await pair.both<number[]>("copyIn", "sumUp", big);
      if (round < 0) continue; // that touched the memory and compiled the functions
      times.rally.push(2 * median(changes));
      times.asked.push(median(asked));
      times.carried.push(median(carried));
      times.small.push(median(bytes));
      times.socket.push(median(socket));
      times.region.push(median(region));
    }
    return [
      rowOf({
        name: "request of 64 bytes, both loops idle",
        ours: times.asked,
        baseline: { name: "Unix socket in Deno", rounds: times.small },
        bound: { kind: "ratio at most", limit: 1.5 },
      }),
      rowOf({
        name: "64 bytes there and back over a channel, both loops idle",
        ours: times.carried,
        baseline: { name: "Unix socket in Deno", rounds: times.small },
      }),
      rowOf({
        name: "there and back by changes()",
        ours: times.rally,
        baseline: { name: "Unix socket in Deno, 64 B", rounds: times.small },
        note: "both spin before they park; where a wake takes longer than that, both stay asleep",
      }),
      rowOf({
        name: `${large / 2 ** 20} MiB copied in, summed by the other`,
        ours: times.region,
        baseline: { name: "through a Unix socket in Deno", rounds: times.socket },
      }),
    ];
  },
};
