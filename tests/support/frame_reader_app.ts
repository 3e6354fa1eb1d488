/**
 * An app that reads a stream, for tests: it holds frames for a while, or for good. Takes calls as `app.ts` does.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import { connect, type FrameLease, type StreamReader } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

let video: StreamReader;
const kept: FrameLease[] = [];

/** Whether every word of a frame is the frame's number. */
function isWhole(words: Uint32Array, sequence: number): boolean {
  for (let index = 0; index < words.length; index++) if (words[index] !== sequence) return false;
  return true;
}

const calls: Calls = {
  async open(p) {
    const client = await connect(String(p["name"]), {
      broker: { service: String(p["broker"]) },
      signal: AbortSignal.timeout(20_000),
    });
    video = await client.stream("video");
  },
  /** Holds each frame for so long, until number `last` was seen. */
  async watch(p) {
    const sequences: number[] = [];
    const result = { sequences, dropped: 0, torn: 0 };
    for await (using frame of video) {
      const words = frame.unsafeView(Uint32Array);
      const began = isWhole(words, frame.sequence);
      await delay(Number(p["hold"]));
      if (!began || !isWhole(words, frame.sequence) || !frame.valid) result.torn++;
      result.dropped += frame.dropped;
      sequences.push(frame.sequence);
      if (frame.sequence >= Number(p["last"])) break;
    }
    return result;
  },
  /** Keeps the next frame for good. */
  keep() {
    const frame = video.waitSync({ timeout: 20_000 });
    kept.push(frame);
    return frame.sequence;
  },
};

await answer(calls);
Deno.exit(0);
