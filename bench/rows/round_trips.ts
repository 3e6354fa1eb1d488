import { processors, roundTripProgram, run } from "../native.ts";
import type { Options } from "../options.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** How a round trip is measured. */
interface Kind {
  readonly name: string;
  /** As the program in C takes it. */
  readonly how: "spin" | "futex";
  readonly spin: number;
  readonly limit: number;
  readonly laps: number;
  /** Many and short: where another process takes a processor away, one batch suffers. */
  readonly batches: number;
}

async function roundTrips({ rounds, quick }: Options, kind: Kind): Promise<Row[]> {
  const program = await roundTripProgram();
  const pinned = await processors();
  const { how, spin, laps } = kind;
  const batches = quick ? 3 : kind.batches;
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // New processes each time: how well a loop is compiled differs between them, by half.
    await using pair = await Pair.start({ ball: 4096 }, pinned);
    if (!quick) await pair.both("ping", "pong", { laps: 500, batches: 400, spin: -1 });
    theirs.push(median(await run(program, [how, laps, batches, ...pinned ?? []])));
    const [times] = await pair.both<number[]>("ping", "pong", { laps, batches, spin });
    ours.push(median(times));
  }
  return [rowOf({
    name: kind.name,
    ours,
    baseline: { name: program.name, rounds: theirs },
    bound: { kind: "ratio at most", limit: kind.limit },
    note: pinned === undefined ? "not pinned to processors" : "each side pinned to a processor",
  })];
}

/** One word there and back between two threads that do nothing but look. */
export const spin: Bench = {
  key: "spin",
  run: (options) => {
    const name = "round trip, both spinning";
    return roundTrips(options, { name, how: "spin", spin: -1, limit: 1.3, laps: 500, batches: 301 });
  },
};

/** One word there and back between two threads that sleep. */
export const futex: Bench = {
  key: "futex",
  run: (options) => {
    const name = "round trip, synchronous futex";
    return roundTrips(options, { name, how: "futex", spin: 0, limit: 1.2, laps: 25, batches: 51 });
  },
};
