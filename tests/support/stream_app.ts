/**
 * A peer of a service with a stream: writes frames that each have one stamp in all places, or reads them and says whether
 * each was whole.
 *
 * @module
 */
import { type Client, connect, type FrameLease, serve, type Server, type StreamReader } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

let server: Server | undefined;
let client: Client | undefined;
let video: StreamReader | undefined;
const held: FrameLease[] = [];

function order(value: unknown): "newest" | "every" {
  return value === "every" ? "every" : "newest";
}

/** Whether all of a frame has its own stamp. */
function isWhole(frame: FrameLease): boolean {
  return frame.view(Float64Array).every((stamp) => stamp === frame.timestamp);
}

const calls: Calls = {
  async serve(p) {
    const streams = p["streams"] as Record<string, { byteLength: number; slots?: number }>;
    server = await serve(String(p["name"]), { streams, broker: { service: String(p["broker"]) } });
  },
  /** Publishes `count` frames, waiting for slots with `patient`. */
  async publish(p) {
    const writer = server!.stream("video");
    for (let count = 0; count < Number(p["count"]); count++) {
      using frame = p["patient"] === true ? await writer.loanAsync({ timeout: 30_000 }) : writer.loan();
      const stamp = writer.sequence + 1;
      frame.view(Float64Array).fill(stamp);
      frame.publish({ timestamp: stamp });
    }
    return writer.sequence;
  },
  /** Publishes until it is killed. */
  publishOn() {
    const writer = server!.stream("video");
    const publish = (): void => {
      for (let count = 0; count < 20; count++) {
        using frame = writer.loan();
        const stamp = writer.sequence + 1;
        frame.view(Float64Array).fill(stamp);
        frame.publish({ timestamp: stamp });
      }
      setTimeout(publish, 0);
    };
    publish();
  },
  async connect(p) {
    client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
    video = await client.stream("video", { order: order(p["order"]) });
  },
  /** Reads frames up to one of number `until`, and tells what it saw. */
  async read(p) {
    const told = { read: 0, dropped: 0, torn: 0, disordered: 0, first: 0, last: 0 };
    for await (using frame of video!) {
      if (!isWhole(frame)) told.torn++;
      if (frame.sequence <= told.last) told.disordered++;
      if (told.first === 0) told.first = frame.sequence;
      told.last = frame.sequence;
      told.read++;
      told.dropped += frame.dropped;
      if (frame.sequence >= Number(p["until"])) break;
    }
    return told;
  },
  /** Reads like `read`, blocking its thread. */
  readSync(p) {
    const told = { read: 0, dropped: 0, torn: 0, last: 0 };
    while (told.last < Number(p["until"])) {
      using frame = video!.waitSync({ timeout: 30_000 });
      if (!isWhole(frame)) told.torn++;
      told.last = frame.sequence;
      told.read++;
      told.dropped += frame.dropped;
    }
    return told;
  },
  /** Leases the newest frame and keeps it. */
  hold() {
    const frame = video!.latest();
    if (frame !== undefined) held.push(frame);
    return frame?.sequence ?? null;
  },
  /** What is held: the numbers of the frames that are whole and valid still. */
  holding: () => held.filter((frame) => frame.valid && isWhole(frame)).map(({ sequence }) => sequence),
  release: () => void held.splice(0).forEach((frame) => frame.release()),
};

await answer(calls);
await client?.close();
await server?.close();
