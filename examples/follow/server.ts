/**
 * A server to be killed that goes on where it was: with `adopt`, the next one takes over the memory of the clients. Start
 * `client.ts` beside it. `deno run -A examples/follow/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using clock = await serve("com.example.follow", { regions: { ticks: { byteLength: 4 } }, adopt: true });
console.log(clock.adopted.has("ticks") ? "goes on with the memory of a client" : "begins anew");
const ticks = clock.region("ticks");
for (;;) {
  ticks.view(Uint32Array)[0]! += 1;
  ticks.commit();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
