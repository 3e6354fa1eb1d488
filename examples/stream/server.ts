/**
 * A video at 60 frames a second, which no reader can slow down. Runs until it is stopped; start it before or after
 * `client.ts`: `deno run -A examples/stream/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using studio = await serve("com.example.stream", {
  streams: {
    video: { byteLength: 1920 * 1080 * 4, slots: 6 }, // one to write, the newest, and four that readers hold
  },
});
const video = studio.stream("video");

let longest = 0; // the longest time that a slot took to get
for (let due = performance.now();; due += 1000 / 60) {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
  const begin = performance.now();
  using frame = video.loan(); // a slot that nobody reads, at once
  longest = Math.max(longest, performance.now() - begin);
  const number = video.sequence + 1;
  frame.view(Uint32Array).fill(number); // paints
  frame.publish({ timestamp: Date.now() });
  if (number % 60 > 0) continue;
  console.log(`${number} frames, ${video.readers} reading, no slot took more than ${longest.toFixed(3)} ms`);
  longest = 0;
}
