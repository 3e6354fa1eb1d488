/**
 * The writer: serves a frame of 100 MiB and draws twenty pictures into it. Start it before or after `client.ts`:
 * `deno run -A examples/studio/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using studio = await serve("com.example.studio", {
  regions: {
    frame: { byteLength: 100 * 2 ** 20 }, // clients may write it
    mask: { byteLength: 100 * 2 ** 20, clients: "read" }, // the kernel refuses their writes
  },
});
const frame = studio.region("frame");
for (let picture = 1; picture <= 20; picture++) {
  {
    using _ = await frame.mutex.lock();
    frame.view(Float32Array).fill(picture);
  }
  frame.commit(); // makes a new revision and wakes the readers
  await new Promise((resolve) => setTimeout(resolve, 100));
}
