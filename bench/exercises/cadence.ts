/**
 * A video of 60 frames a second, and readers that are slower.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import type { FrameLease } from "../../mod.ts";
import type { Party } from "../party.ts";
import { readerOf } from "../readers.ts";

/** What to write. */
export interface Video {
  readonly stream: string;
  /** How many frames. */
  readonly frames: number;
  /** The time between two, in milliseconds; 0: none. */
  readonly pause: number;
}

/** What to read. */
export interface Watching {
  readonly stream: string;
  /** How many frames the writer publishes. */
  readonly frames: number;
  /** How long each is held, in milliseconds. */
  readonly hold: number;
}

/** What was read. */
export interface Watched {
  readonly seen: number;
  readonly dropped: number;
  /** Frames that were not whole, at first or in the end. */
  readonly torn: number;
}

/** Paints a picture after the other; gives the nanoseconds that each took to loan, fill and publish. */
export async function playVideo(
  { server, clock }: Party,
  { stream, frames, pause }: Video,
): Promise<number[]> {
  const video = server!.stream(stream);
  const times: number[] = [];
  const start = performance.now();
  for (let done = 0; done < frames; done++) {
    await delay(Math.max(0, start + done * pause - performance.now()));
    const begin = clock();
    const frame = video.loan();
    frame.view(Uint32Array).fill(video.sequence + 1);
    frame.publish();
    times.push(clock() - begin);
  }
  return times;
}

/** From one word that is looked at to the next: one in each page. */
const STEP = 1024;

/** Whether each page of a frame has its number: a look that does not take the memory's bandwidth from the writer. */
function isWhole(words: Uint32Array, sequence: number): boolean {
  for (let index = 0; index < words.length; index += STEP) if (words[index] !== sequence) return false;
  return words.at(-1) === sequence;
}

/** Holds each frame for a while, and looks at each page of it before and after. */
export async function watchVideo(_: Party, { stream, frames, hold }: Watching): Promise<Watched> {
  let seen = 0;
  let dropped = 0;
  let torn = 0;
  for await (using frame of readerOf(stream)) {
    const words = frame.unsafeView(Uint32Array);
    const began = isWhole(words, frame.sequence);
    await delay(hold);
    if (!began || !isWhole(words, frame.sequence)) torn++;
    seen++;
    dropped += frame.dropped;
    if (seen + dropped >= frames) break;
  }
  return { seen, dropped, torn };
}

const kept: FrameLease[] = [];

/** Holds two frames for good. */
export function keepTwo(_: Party, { stream }: { stream: string }): void {
  const reader = readerOf(stream);
  while (kept.length < 2) kept.push(reader.waitSync({ timeout: 30_000 }));
}
