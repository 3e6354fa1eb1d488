/// <reference lib="deno.worker" />
/**
 * Sums what `main.ts` publishes.
 *
 * @module
 */
import { connect } from "../../mod.ts";

{
  // A realm of its own has a connection of its own.
  await using client = await connect("com.example.worker", { signal: AbortSignal.timeout(10_000) });
  const samples = await client.stream("samples");
  self.postMessage("ready");
  for (let count = 0; count < 3; count++) {
    // Looks for 200 µs, then sleeps. With `spin: Infinity` it never sleeps: the quickest, and a whole core.
    using frame = samples.waitSync({ spin: 200, timeout: 10_000 });
    self.postMessage(frame.view(Float32Array).reduce((sum, sample) => sum + sample, 0));
  }
}
self.postMessage("closed");
