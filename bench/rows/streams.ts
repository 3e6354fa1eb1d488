import { processors } from "../native.ts";
import type { StreamOptions } from "../../mod.ts";
import type { Options } from "../options.ts";
import { Pair } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { median } from "../statistics.ts";

/** What a frame may cost, in nanoseconds: whatever its size, and whoever reads. */
const BOUND = { kind: "time below", limit: 500 } as const;

/** How many readers are many. */
const MANY = 32;

/** One kind of stream: a length, and how many read. */
interface Kind {
  readonly stream: string;
  readonly byteLength: number;
  readonly readers: number;
}

function streamsOf(kinds: readonly Kind[]): Record<string, StreamOptions> {
  return Object.fromEntries(kinds.map(({ stream, byteLength }) => [stream, { byteLength }]));
}

function sizeOf({ byteLength }: Kind): string {
  return byteLength < 2 ** 20 ? `${byteLength / 2 ** 10} KiB` : `${byteLength / 2 ** 20} MiB`;
}

/** What a frame costs its writer, and its reader. */
async function costs({ rounds, quick, large }: Options): Promise<Row[]> {
  const kinds: readonly Kind[] = [
    { stream: "small", byteLength: 4096, readers: 0 },
    { stream: "large", byteLength: large, readers: 0 },
    { stream: "small of many", byteLength: 4096, readers: MANY },
    { stream: "large of many", byteLength: large, readers: MANY },
  ];
  await using pair = await Pair.start({ answer: 4096 }, await processors(), streamsOf(kinds));
  const written: number[][] = kinds.map(() => []);
  const read: number[][] = kinds.map(() => []);
  const batch = { frames: 1000, batches: quick ? 3 : 101 };
  // Without readers first: each of the many looks for itself whether the other streams have something new.
  for (const [index, kind] of kinds.entries()) {
    const { stream, readers } = kind;
    if (readers > 0) await pair.client.call("openStream", { stream, count: readers });
    await pair.server.call("publishNothing", { stream });
    if (readers > 0) await pair.client.call("holdNewest", { stream });
    for (let round = quick ? 0 : -1; round < rounds; round++) {
      const times = await pair.server.call<number[]>("publishFrames", { stream, ...batch });
      if (round >= 0) written[index]!.push(median(times)); // before that it was compiled
    }
    await pair.client.call("letGo");
    if (readers === 0) await pair.client.call("openStream", { stream, count: 1 });
    for (let round = quick ? 0 : -1; round < rounds; round++) {
      const times = await pair.client.call<number[]>("leaseFrames", { stream, ...batch });
      if (round >= 0) read[index]!.push(median(times));
    }
  }
  return kinds.flatMap((kind, index) => {
    const size = sizeOf(kind);
    // A large frame is compared with a small one, and many readers with none.
    const other = index % 2 === 1 ? index - 1 : index - 2;
    const baseline = (times: readonly number[][]) => {
      const name = index % 2 === 1 ? "4 KiB" : "no other reader";
      return other < 0 ? {} : { baseline: { name, rounds: times[other]! } };
    };
    const many = kind.readers > 0;
    const readers = many ? `, ${kind.readers} readers` : "";
    return [
      rowOf({
        name: `loan() and publish(), ${size}${readers}`,
        ours: written[index]!,
        ...baseline(written),
        bound: BOUND,
        ...many ? { note: "each reader has a connection of its own, and holds a frame" } : {},
      }),
      rowOf({
        name: `latest() and release(), ${size}${readers}`,
        ours: read[index]!,
        ...baseline(read),
        bound: BOUND,
        ...many ? { note: "the readers by turns" } : {},
      }),
    ];
  });
}

/** Handing over a frame in place, whatever its size. */
async function handovers({ rounds, quick, large }: Options): Promise<Row[]> {
  const kinds: readonly Kind[] = [
    { stream: "small", byteLength: 4096, readers: 1 },
    { stream: "large", byteLength: large, readers: 1 },
  ];
  const times: number[][] = kinds.map(() => []);
  await using pair = await Pair.start({ answer: 4096 }, await processors(), streamsOf(kinds));
  for (const { stream } of kinds) await pair.client.call("openStream", { stream, count: 1 });
  for (let round = quick ? 0 : -1; round < rounds; round++) {
    for (const [index, { stream }] of kinds.entries()) {
      const parameters = { stream, count: quick ? 100 : 10_000 };
      const [, taken] = await pair.both<null, number[]>("handOverFrames", "takeOverFrames", parameters);
      if (round >= 0) times[index]!.push(median(taken));
    }
  }
  return kinds.map((kind, index) =>
    rowOf({
      name: `handing over a frame of ${sizeOf(kind)}, spinning`,
      ours: times[index]!,
      bound: { kind: "time below", limit: 1000 },
      note: "one way, with two looks at the clock",
    })
  );
}

/** Frames that are written and read in place. */
export const streams: Bench = {
  key: "streams",
  run: async (options) => [...await costs(options), ...await handovers(options)],
};
