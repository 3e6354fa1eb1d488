/**
 * A client of the cast that reads both streams, and holds frames for a while.
 *
 * @module
 */
import { connect, type FrameLease, type FrameOrder, PeerGoneError, type StreamReader } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import {
  broker,
  COMMON,
  CONNECT_BOUND,
  excused,
  id,
  name,
  onceThereIsABroker,
  pause,
  PAUSE_AFTER_ERROR,
  stop,
  violated,
} from "./common.ts";
import { unlessLost } from "./exclusion.ts";
import { Turns } from "./turns.ts";
import { lifeOf, MOST_HELD, stampOf } from "./words.ts";

const LONGEST_HOLD = 40;

const signal = AbortSignal.timeout(CONNECT_BOUND);
const client = await onceThereIsABroker(() => connect(name, { broker, signal }));
const turns = new Turns("video", "log");
/** Of each stream: the last frame of each life of the server. */
const lasts: Record<string, Map<number, number>> = { video: new Map(), log: new Map() };
let resting = false;
/** How many frames are leased. */
let leases = 0;
let holding: PromiseWithResolvers<void> | undefined;

async function follow(stream: "video" | "log", order: FrameOrder): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await using reader = await client.stream(stream, { order, signal: stop.signal });
      await read(reader, MOST_HELD[stream]);
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof PeerGoneError)) excused(error);
      await pause(PAUSE_AFTER_ERROR);
    }
  }
}

/** Reads frames, and holds some of them at a time. */
async function read(reader: StreamReader, most: number): Promise<void> {
  const held = new Set<Promise<void>>();
  let last: number | undefined;
  try {
    for await (const frame of reader) {
      leases++;
      checkSequence(reader, frame, last);
      last = frame.sequence;
      const holding = hold(reader, frame).finally(() => held.delete(holding));
      held.add(holding);
      turns.count(reader.name);
      while (held.size >= most || resting && !reader.orphaned && !stop.signal.aborted) {
        await Promise.race([...held, pause(5)]);
      }
    }
  } finally {
    await Promise.all(held);
  }
}

/** What was read and what was dropped is all there was; and numbers grow while the server lives. */
function checkSequence(
  { name: stream, order }: StreamReader,
  frame: FrameLease,
  last: number | undefined,
): void {
  const { sequence, dropped } = frame;
  const life = lifeOf(frame.view(Float64Array)[0]!);
  const before = lasts[stream]!.get(life) ?? 0;
  if (last !== undefined && sequence !== last + 1 + dropped) {
    violated(`"${stream}": ${sequence} came after ${last} with ${dropped} dropped, order ${order}`);
  }
  // A reader that opens the stream anew may find the frame again that it saw last.
  if (sequence < before || last !== undefined && sequence === before) {
    violated(`"${stream}" of life ${life}: ${sequence} came after ${before}`);
  }
  if (stream === "log" && last !== undefined && dropped !== 0) {
    violated(`"${stream}": ${dropped} were dropped before ${sequence}, though its writer waits for readers`);
  }
  lasts[stream]!.set(life, sequence);
}

async function hold(reader: StreamReader, frame: FrameLease): Promise<void> {
  using _ = frame;
  try {
    await checkWhole(reader, frame);
    if (resting) return;
    do {
      await pause(Math.random() * LONGEST_HOLD);
      holding?.resolve();
    } while (holding !== undefined && !stop.signal.aborted);
    await checkWhole(reader, frame);
  } catch (error) {
    excused(error);
  } finally {
    leases--;
  }
}

/** A frame is what it was when it was published, for as long as it is leased: the writer revokes nothing. */
async function checkWhole(reader: StreamReader, frame: FrameLease): Promise<void> {
  const { name: stream } = reader;
  const { sequence, timestamp } = frame;
  const words = frame.view(Float64Array);
  const stamp = stampOf(lifeOf(words[0]!), sequence);
  const record = new Float64Array(frame.record.buffer)[0];
  const torn = words.findIndex((word) => word !== stamp);
  const isWhole = torn < 0 && record === stamp && timestamp === stamp;
  const isValid = frame.valid; // after all that was read
  if (isValid && !isWhole) {
    violated(
      `"${stream}": frame ${sequence} is torn at ${torn} (${
        words[torn]
      }, record ${record}, time ${timestamp}, ` +
        `not ${stamp}), and its lease is valid`,
    );
  }
  if (!isValid) await unlessLost(reader, `"${stream}": frame ${sequence} was revoked`);
}

/** Gives all frames back, and takes none until it is to resume. */
async function rest(): Promise<void> {
  resting = true;
  while (leases > 0) await pause(5);
}

// One of the readers wants every frame of the video.
const following = [follow("video", id % 2 === 0 ? "newest" : "every"), follow("log", "every")];
await answer({
  ...COMMON,
  ready: () => client.pid,
  more: () => turns.more(),
  turns: () => `${turns}`,
  rest,
  resume: () => void (resting = false),
  /** Keeps the frames that it has: for one who is killed next. Nobody is told of that. */
  hold: async () => {
    await (holding ??= Promise.withResolvers()).promise;
    return [];
  },
  /** Does not run its event loop, as a program that computes. */
  slow: (p) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(p["milliseconds"]));
  },
});
stop.abort(new Error("the program ends"));
await Promise.all(following);
await client.close();
