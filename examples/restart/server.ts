/**
 * A server to be killed: counts until then. `deno run -A examples/restart/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using clock = await serve("com.example.restart", { regions: { ticks: { byteLength: 4 } } });
const ticks = clock.region("ticks");
for (;;) {
  ticks.view(Uint32Array)[0]! += 1;
  ticks.commit();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
