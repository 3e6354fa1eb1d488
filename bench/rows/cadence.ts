import { delay } from "@std/async/delay";
import type { Watched } from "../exercises/cadence.ts";
import { processors } from "../native.ts";
import type { Options } from "../options.ts";
import { Pair, Process } from "../processes.ts";
import { type Bench, type Row, rowOf } from "../row.ts";
import { percentile99 } from "../statistics.ts";

/** The time between two frames, in milliseconds. */
const PAUSE = 1000 / 60;

/** How long the slow reader holds a frame, in milliseconds. */
const HOLD = 100;

const VIDEO = "video";

/** One to write, the newest, two of the reader that is killed, one of the slow reader; and one to spare. */
const SLOTS = 6;

/** What a round brought. */
interface Played extends Watched {
  /** The writer's nanoseconds for a frame, of which 99 of 100 take no more: by itself, and with the readers. */
  readonly alone: number;
  readonly watched: number;
}

async function play(byteLength: number, frames: number): Promise<Played> {
  const pinned = await processors();
  const video = { stream: VIDEO, frames, pause: PAUSE };
  await using pair = await Pair.start({}, pinned, { [VIDEO]: { byteLength, slots: SLOTS } });
  const { server, client, setting } = pair;
  await server.call("playVideo", { ...video, pause: 0 }); // makes all pages, and compiles the functions
  const alone = await server.call<number[]>("playVideo", video);

  await using victim = await Process.start("client", setting, pinned?.[1]);
  await victim.call("openStream", { stream: VIDEO, count: 1 });
  let holds = false;
  const keeping = victim.call("keepTwo", { stream: VIDEO }).finally(() => holds = true);
  while (!holds) await server.call("playVideo", { ...video, frames: 1 });
  await keeping;
  await client.call("openStream", { stream: VIDEO, count: 1 }); // it sees the newest frame first
  const watching = client.call<Watched>("watchVideo", { stream: VIDEO, frames: frames + 1, hold: HOLD });
  const playing = server.call<number[]>("playVideo", video);
  await delay(frames * PAUSE / 2);
  victim.kill();
  const watched = await playing;
  const result = await watching;
  check(result, frames + 1);
  return { ...result, alone: percentile99(alone), watched: percentile99(watched) };
}

/** The reader saw whole frames, and knows of all others. */
function check({ seen, dropped, torn }: Watched, frames: number): void {
  if (torn > 0) throw new Error(`Cannot trust the stream: ${torn} frames were torn`);
  if (seen + dropped !== frames) {
    throw new Error(`Cannot trust the counts: of ${frames} frames, ${seen} were seen and ${dropped} dropped`);
  }
}

/** A writer that slow and dying readers do not slow down. */
export const cadence: Bench = {
  key: "cadence",
  run: async ({ rounds, quick }: Options): Promise<Row[]> => {
    const megabytes = quick ? 1 : 8;
    const frames = quick ? 20 : 300; // of 300, two are beyond the percentile
    const played: Played[] = [];
    for (let round = 0; round < rounds; round++) played.push(await play(megabytes * 2 ** 20, frames));
    const sum = (key: "seen" | "dropped"): number => played.reduce((total, each) => total + each[key], 0);
    return [rowOf({
      name: `${megabytes} MiB, 60 a second, slow reader, p99`,
      ours: played.map(({ watched }) => watched),
      baseline: { name: "no reader", rounds: played.map(({ alone }) => alone) },
      bound: { kind: "ratio at most", limit: 1.2 },
      note:
        `loan, fill and publish; one reader holds each frame for ${HOLD} ms, another is killed with two; ` +
        `${sum("seen")} frames seen, ${sum("dropped")} dropped, 0 torn`,
    })];
  },
};
