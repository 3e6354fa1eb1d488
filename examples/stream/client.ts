/**
 * A reader that takes 100 ms for each frame of the video, in place, and so misses some. The writer does not notice.
 * `deno run -A examples/stream/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

await using studio = await connect("com.example.stream", { signal: AbortSignal.timeout(10_000) });
const video = await studio.stream("video");

let seen = 0;
let dropped = 0;
for await (using frame of video) { // each newest frame; its lease ends with the block
  const pixels = frame.view(Uint32Array);
  const first = pixels[0];
  await new Promise((resolve) => setTimeout(resolve, 100)); // meanwhile the server publishes others
  console.log(
    `frame ${frame.sequence}, ${frame.dropped} dropped: ${first} at first, ${pixels.at(-1)} in the end`,
  );
  dropped += frame.dropped;
  if (++seen === 10) break;
}
console.log(`${seen} frames seen, ${dropped} dropped`);
