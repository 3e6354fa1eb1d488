/**
 * One run of the demo: starts the processes, tells them what to do, and gathers what they say.
 *
 * @module
 */
import type { BrokerSelection } from "../../mod.ts";
import { startBroker } from "./brokers.ts";
import type { Setting } from "./messages.ts";
import { type Options, UsageError } from "./options.ts";
import { recover } from "./recovery.ts";
import { bytes } from "./report.ts";
import {
  delay,
  type ReaderChild,
  type Run,
  startReader,
  startWriter,
  type WriterChild,
} from "./processes.ts";
import type { Recovery, Result } from "./result.ts";
import { round } from "./statistics.ts";
import { sharedClock } from "./stamps.ts";

/** Whether only the system can vend a broker's name. */
const LAUNCHD = Deno.build.os === "darwin";

/** How many paced commits measure how long a wake takes: enough for a 99th percentile. */
const PACED_COMMITS = 400;

/**
 * Runs the demo.
 *
 * @param options what the command line asks for
 * @param progress called with the run now and then, until it is over
 * @returns what it brought, errors included
 * @throws {Error} if it cannot be carried through
 */
export async function runDemo(wanted: Options, progress: (run: Run) => void): Promise<Result> {
  const options = fit(wanted, Deno.systemMemoryInfo().available);
  const { mode, regions, byteLength, slots } = options;
  const id = crypto.randomUUID().slice(0, 8);
  const service = `xpc-shmem.demo.${id}.broker`;
  const selection = selectBroker(options, service);
  const setting: Setting = {
    service: `xpc-shmem.demo.${id}`,
    broker: selection,
    mode,
    regions,
    byteLength,
    slots,
  };
  const needsBroker = !LAUNCHD && (options.broker === "swift" || options.kill === "broker");
  const broker = needsBroker ? await startBroker(options.broker, service) : undefined;
  const { writer, reader, started } = await startBoth(setting);
  const run: Run = {
    options,
    setting,
    clock: await sharedClock(),
    writer,
    reader,
    broker,
    framesWritten: 0,
    framesVerified: 0,
    framesDropped: 0,
    framesTorn: 0,
    failures: [],
  };
  const timer = setInterval(() => progress(run), 100);
  try {
    const result = await conduct(run, started);
    return { ...result, shrunk: byteLength < wanted.byteLength };
  } finally {
    clearInterval(timer);
  }
}

/** How much of the memory that is left the frames may take, where nobody said how long they are. */
const SHARE = 0.6;

/**
 * Makes frames as long as memory allows.
 *
 * @param options what is wanted
 * @param available the memory that is left, in bytes
 * @returns the options, with shorter frames if those are too long and nobody asked for them
 * @throws {UsageError} if there is too little memory
 */
export function fit(options: Options, available: number): Options {
  const { mode, regions, byteLength, slots, mayShrink } = options;
  const frames = mode === "stream" ? regions * slots : regions;
  if (frames * byteLength <= (mayShrink ? available * SHARE : available)) return options;
  const megabytes = Math.floor(available * SHARE / frames / 2 ** 20);
  if (mayShrink && megabytes >= 1) return { ...options, byteLength: megabytes * 2 ** 20 };
  throw new UsageError(
    `Cannot share ${regions} ${mode === "stream" ? `streams of ${slots} × ` : "regions of "}` +
      `${bytes(byteLength)}: this machine has ${bytes(available)} of memory left`,
  );
}

/** A broker of this run's own, so that no other is disturbed; on macOS there can only be the installed agent. */
function selectBroker({ broker, kill }: Options, service: string): BrokerSelection {
  if (!LAUNCHD) return broker === "swift" ? { service, embedded: false } : { service };
  if (kill === "broker") {
    throw new UsageError(
      "Cannot kill the broker on macOS: it is the installed agent, which other apps use too",
    );
  }
  return { service: Deno.env.get("XPC_SHMEM_TEST_SERVICE") };
}

/** Either may come first, or both at once. */
async function startBoth(
  setting: Setting,
): Promise<{ writer: WriterChild; reader: ReaderChild; started: string }> {
  switch (Math.floor(Math.random() * 3)) {
    case 0: {
      const writer = startWriter(setting);
      await delay(300);
      return { writer, reader: startReader(setting), started: "writer first" };
    }
    case 1: {
      const reader = startReader(setting);
      await delay(300);
      return { writer: startWriter(setting), reader, started: "reader first" };
    }
    default:
      return { writer: startWriter(setting), reader: startReader(setting), started: "both at once" };
  }
}

async function conduct(run: Run, started: string): Promise<Omit<Result, "shrunk">> {
  const { options, clock, failures } = run;
  await run.writer.next("ready");
  const { connectMilliseconds, attachMilliseconds, viewMilliseconds } = await run.reader.next("attached");

  const begin = clock();
  run.writer.tell({ do: "write" });
  await run.reader.next("verified");
  const left = (part: number): number => Math.max(0, options.seconds * 1000 * part - (clock() - begin) / 1e6);
  let recovery: Recovery | null = null;
  if (options.kill !== undefined) {
    await delay(left(0.5));
    recovery = await recover(run, options.kill);
  }
  await delay(left(1));

  run.writer.tell({ do: "pause" });
  const paused = await run.writer.next("paused");
  run.reader.tell({ do: "catch up", revisions: paused.revisions });
  const caughtUp = await run.reader.next("caught up");
  run.writer.tell({ do: "pace", count: PACED_COMMITS });
  await run.writer.next("paced");
  run.writer.tell({ do: "finish" });
  const written = await run.writer.next("finished");
  run.reader.tell({ do: "finish", revisions: written.revisions, pulse: written.pulse });
  const read = await run.reader.next("finished");
  await run.reader.success();
  run.writer.tell({ do: "close" });
  await run.writer.success();

  failures.push(...read.errors);
  const wanted = options.kill === "writer" ? 2 : 1;
  if (read.attachments !== wanted) {
    failures.push(`Cannot explain ${read.attachments} attachments: want ${wanted}`);
  }
  if (read.frames === 0) failures.push("Cannot verify anything: the reader took no frame");
  const rate = (frames: number, until: number): number => {
    return round(frames * options.byteLength / (until - begin), 6); // bytes a nanosecond; little with small regions
  };
  return {
    mode: options.mode,
    regions: options.regions,
    byteLength: options.byteLength,
    slots: options.mode === "stream" ? options.slots : 1,
    seconds: options.seconds,
    broker: options.broker,
    started,
    frames: run.framesVerified + read.frames,
    framesWritten: run.framesWritten + written.frames,
    framesDropped: run.framesDropped + read.dropped,
    framesTorn: run.framesTorn + read.torn,
    cadence: written.cadence,
    gigabytesPerSecond: {
      written: rate(run.framesWritten + paused.frames, paused.at),
      verified: rate(run.framesVerified + caughtUp.frames, caughtUp.at),
    },
    wakeMicroseconds: read.wake,
    frameWakeMicroseconds: read.frameWake,
    connectMilliseconds: round(connectMilliseconds, 2),
    attachMilliseconds: round(attachMilliseconds, 2),
    viewMilliseconds: round(viewMilliseconds, 2),
    residentBytes: { writer: written.residentBytes, reader: read.residentBytes },
    recovery,
    errors: failures.length,
    failures,
  };
}
