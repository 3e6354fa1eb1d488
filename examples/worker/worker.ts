/// <reference lib="deno.worker" />
/**
 * Sums what `main.ts` commits.
 *
 * @module
 */
import { connect } from "../../mod.ts";

{
  // A realm of its own has a connection of its own.
  await using client = await connect("com.example.worker", { signal: AbortSignal.timeout(10_000) });
  const samples = await client.open("samples");
  self.postMessage("ready");
  for (let revision = 0; revision < 3;) {
    revision = samples.waitSync(revision, { timeout: 10_000 });
    self.postMessage(samples.view(Float32Array).reduce((sum, sample) => sum + sample, 0));
  }
}
self.postMessage("closed");
