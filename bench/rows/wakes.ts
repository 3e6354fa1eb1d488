import { processors } from "../native.ts";
import { Pair } from "../processes.ts";
import type { Options } from "../options.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { openSockets } from "../socket_path.ts";
import { median } from "../statistics.ts";

async function paced({ rounds, quick }: Options): Promise<Row[]> {
  const pinned = await processors();
  const stream = "video";
  await using pair = await Pair.start({ ball: 4096 }, pinned, { [stream]: { byteLength: 4096 } });
  await openSockets(pair);
  await pair.client.call("openStream", { stream, count: 1 });
  const pace = { count: quick ? 20 : 300, gap: 250 };
  const ours: number[] = [];
  const framed: number[] = [];
  const theirs: number[] = [];
  for (let round = quick ? 0 : -1; round < rounds; round++) {
    const [, bytes] = await pair.both<null, number[]>("paceBytes", "takeBytes", pace);
    const [, commits] = await pair.both<null, number[]>("paceCommits", "takeCommits", pace);
    const [, frames] = await pair.both<null, number[]>("paceFrames", "takeFrames", { stream, ...pace });
    if (round < 0) continue; // that was to compile the functions
    theirs.push(median(bytes));
    ours.push(median(commits));
    framed.push(median(frames));
  }
  const baseline = { name: "Unix socket in Deno", rounds: theirs };
  const bound = { kind: "ratio at most", limit: 1 } as const;
  const pin = pinned === undefined ? "" : ", each side pinned to a processor";
  return [
    rowOf({
      name: "wake of an idle event loop, one way",
      ours,
      baseline,
      bound,
      note: `a commit each 250 to 500 µs, both asleep between${pin}`,
    }),
    rowOf({
      name: "the same by a frame of a stream",
      ours: framed,
      baseline,
      bound,
      note: `a frame each 250 to 500 µs, both asleep between${pin}`,
    }),
  ];
}

async function rally({ rounds, quick }: Options): Promise<Row[]> {
  await using pair = await Pair.start({ ball: 4096, answer: 4096 });
  const play = { laps: 200, batches: quick ? 3 : 101 };
  if (!quick) await pair.both("pingChanges", "pongChanges", play);
  const ours: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(median((await pair.both<number[]>("pingChanges", "pongChanges", play))[0]));
  }
  return [rowOf({
    name: "wake by changes() after a short spin",
    ours,
    bound: { kind: "time below", limit: 1000 },
    note: "half a round trip",
  })];
}

/** Waking an event loop. */
export const wakes: Bench = {
  key: "wake",
  run: async (options) => [...await paced(options), ...await rally(options)],
};
