/**
 * A sensor whose readers need not be trusted: the kernel refuses every write of a client. Ctrl-C ends it.
 * `deno run -A examples/read_only/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using sensor = await serve("com.example.read-only", {
  regions: { temperature: { byteLength: 4, clients: "read" } },
});
const temperature = sensor.region("temperature");
for (let seconds = 0;; seconds += 0.1) {
  // In thousandths of a degree. A reader never sees half of one aligned integer; more than one needs a mutex.
  temperature.view(Int32Array)[0] = Math.round(20_000 + 1000 * Math.sin(seconds));
  temperature.commit();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
