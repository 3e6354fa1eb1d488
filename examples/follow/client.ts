/**
 * A client that follows a region over all its servers: kill `server.ts` in any way, start it again, and the count goes on.
 * Ctrl-C ends it. `deno run -A examples/follow/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

await using clock = await connect("com.example.follow");
clock.addEventListener("disconnect", () => console.log("the server is gone"));
for await (const ticks of clock.follow("ticks")) {
  console.log(`process ${clock.pid}: ${ticks.view(Uint32Array)[0]}`);
}
