/**
 * Streams: what a frame costs its writer and its reader, and handing one over to a thread that spins.
 *
 * @module
 */
import type { FrameLease } from "../../mod.ts";
import type { Party, Together } from "../party.ts";
import { openReaders, readerOf, readersOf } from "../readers.ts";

/** Which stream. */
export interface Stream {
  readonly stream: string;
}

/** How often. */
export interface Frames extends Stream {
  /** The frames of a batch. */
  readonly frames: number;
  /** How many batches are measured; one more warms up. */
  readonly batches: number;
}

/** How many readers to open. */
export interface Opening extends Stream {
  readonly count: number;
}

/** How many frames to hand over. */
export interface FrameHandovers extends Stream, Together {
  readonly count: number;
}

/** The leases that {@linkcode holdNewest} keeps. */
const held: FrameLease[] = [];

/** Opens a stream. */
export async function openStream(party: Party, { stream, count }: Opening): Promise<void> {
  await openReaders(party, stream, count);
}

/** Publishes a frame whose elements are all 1. */
export function publishOnes({ server }: Party, { stream }: Stream): void {
  using frame = server!.stream(stream).loan();
  frame.view(Float64Array).fill(1);
  frame.publish();
}

/** Publishes a frame that nobody wrote, so that its pages are not made. */
export function publishNothing({ server }: Party, { stream }: Stream): void {
  using frame = server!.stream(stream).loan();
  frame.publish();
}

/** Has every reader hold the newest frame. */
export function holdNewest(_: Party, { stream }: Stream): void {
  for (const reader of readersOf(stream)) {
    const lease = reader.latest();
    if (lease === undefined) throw new Error("Cannot hold a frame: none was published");
    held.push(lease);
  }
}

/** Ends the leases of {@linkcode holdNewest}. */
export function letGo(): void {
  for (const lease of held.splice(0)) lease.release();
}

/** `loan()` and `publish()`: the nanoseconds of a pair, for each batch. */
export function publishFrames({ server, clock }: Party, { stream, frames, batches }: Frames): number[] {
  const writer = server!.stream(stream);
  const times: number[] = [];
  for (let batch = -1; batch < batches; batch++) {
    const begin = clock();
    for (let left = frames; left > 0; left--) writer.loan().publish();
    if (batch >= 0) times.push((clock() - begin) / frames);
  }
  return times;
}

/** `latest()` and `release()`, the readers by turns. */
export function leaseFrames({ clock }: Party, { stream, frames, batches }: Frames): number[] {
  const all = readersOf(stream);
  const times: number[] = [];
  for (let batch = -1; batch < batches; batch++) {
    const begin = clock();
    for (let left = frames, next = 0; left > 0; left--, next++) {
      if (next === all.length) next = 0;
      all[next]!.latest()!.release();
    }
    if (batch >= 0) times.push((clock() - begin) / frames);
  }
  return times;
}

/** Writes both ends of each frame and hands it over; goes on when it was taken. */
export function handOverFrames(party: Party, { stream, count, revisions }: FrameHandovers): void {
  const writer = party.server!.stream(stream);
  const answer = party.region("answer");
  let answered = revisions["answer"]!;
  for (let turn = 1; turn <= count; turn++) {
    const frame = writer.loan();
    const words = frame.view(Uint32Array);
    words[0] = turn;
    words[words.length - 1] = turn;
    frame.publish({ timestamp: party.clock() });
    answered = answer.waitSync(answered, { spin: Infinity });
  }
}

/** Takes each frame over; gives the nanoseconds that each took. */
export function takeOverFrames(party: Party, { stream, count }: FrameHandovers): number[] {
  const reader = readerOf(stream);
  const answer = party.region("answer");
  const times: number[] = [];
  for (let turn = 1; turn <= count; turn++) {
    using frame = reader.waitSync({ spin: Infinity, timeout: 30_000 });
    const now = party.clock();
    times.push(now - frame.timestamp);
    const words = frame.view(Uint32Array);
    if (words[0] !== turn || words[words.length - 1] !== turn) {
      throw new Error("Cannot trust this: what was handed over is not there");
    }
    for (const until = now + 2000; party.clock() < until;); // the other waits by now, so that each turn is alike
    answer.commit();
  }
  return times;
}
