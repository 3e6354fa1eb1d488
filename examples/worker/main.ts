/**
 * A worker waits for frames with `waitSync()`, which blocks its thread and not the app's event loop.
 * `deno run -A examples/worker/main.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using server = await serve("com.example.worker", { streams: { samples: { byteLength: 4096 } } });
const samples = server.stream("samples");

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
/** The worker's next message. */
const answer = (): Promise<unknown> =>
  new Promise((resolve) => worker.addEventListener("message", ({ data }) => resolve(data), { once: true }));

await answer(); // it is connected
for (let value = 1; value <= 3; value++) {
  const sum = answer();
  using frame = samples.loan();
  frame.view(Float32Array).fill(value);
  frame.publish();
  console.log(`the sum of 1024 times ${value} is ${await sum}`);
}
await answer(); // it has closed
worker.terminate();
