import { delay } from "@std/async/delay";
import { assert, assertEquals } from "@std/assert";
import { type FrameLoan, serve, type StreamWriter } from "../../mod.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

/** One to write, the newest, two that one reader keeps, one that the other holds. */
const SLOTS = 5;

/** Publishes a frame of which every word is its number. Throws if no slot is free at once. */
function publish(video: StreamWriter): number {
  using frame = video.loan();
  frame.view(Uint32Array).fill(video.sequence + 1);
  return frame.publish();
}

Deno.test("a writer of 60 frames a second never waits for a reader that is slow, or that dies with two frames", async () => {
  const [name, broker] = [uniqueName("cadence"), brokerName()];
  await using server = await serve(name, {
    broker: { service: broker },
    streams: { video: { byteLength: 2 ** 20, slots: SLOTS } },
  });
  const video = server.stream("video");
  const first = publish(video);
  await using slow = new App("frame_reader_app.ts");
  await using victim = new App("frame_reader_app.ts");
  await Promise.all([slow, victim].map((app) => app.call("open", { name, broker })));
  assertEquals(await victim.call("keep"), first);
  publish(video);
  assertEquals(await victim.call("keep"), first + 1);

  const last = first + 1 + 90;
  const watching = slow.call<{ sequences: number[]; dropped: number; torn: number }>("watch", {
    hold: 100,
    last,
  });
  const start = performance.now();
  let killed: Promise<unknown> | undefined;
  for (let due = start; video.sequence < last; due += 1000 / 60) {
    await delay(Math.max(0, due - performance.now()));
    publish(video);
    if (video.sequence === last - 45) killed = victim.kill();
  }
  await killed;

  const { sequences, dropped, torn } = await watching;
  assertEquals(torn, 0);
  // From the frame that was the newest when it came, it saw each one or was told that it missed it.
  assertEquals(sequences.length + dropped, last - first + 1);
  assert(dropped > 0, "a reader that holds each frame for 100 ms must miss some of 60 a second");
  assert(sequences.every((sequence, index) => index === 0 || sequence > sequences[index - 1]!));

  // The dead reader's slots are free again: all can be taken but the newest frame's.
  while (video.readers > 1) await delay(5);
  using loans = new DisposableStack();
  for (let count = 1; count < SLOTS; count++) loans.use<FrameLoan>(video.loan());
});
