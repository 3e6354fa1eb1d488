import { processors } from "../native.ts";
import { Pair } from "../processes.ts";
import type { Options } from "../options.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { openSockets } from "../socket_path.ts";
import { median } from "../statistics.ts";

async function paced({ rounds, quick }: Options): Promise<Row[]> {
  const pinned = await processors();
  await using pair = await Pair.start({ ball: 4096 }, pinned);
  await openSockets(pair);
  const pace = { count: quick ? 20 : 300, gap: 250 };
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = quick ? 0 : -1; round < rounds; round++) {
    const [, bytes] = await pair.both<null, number[]>("paceBytes", "takeBytes", pace);
    const [, commits] = await pair.both<null, number[]>("paceCommits", "takeCommits", pace);
    if (round < 0) continue; // that was to compile the functions
    theirs.push(median(bytes));
    ours.push(median(commits));
  }
  return [rowOf({
    name: "wake of an idle event loop, one way",
    ours,
    baseline: { name: "Unix socket in Deno", rounds: theirs },
    bound: { kind: "ratio at most", limit: 1 },
    note: `a commit each 250 to 500 µs, both asleep between${
      pinned === undefined ? "" : ", each side pinned to a processor"
    }`,
  })];
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
