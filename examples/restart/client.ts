/**
 * A client that outlives its servers: kill `server.ts` in any way, start it again, and this goes on with the new
 * one. Ctrl-C ends it. `deno run -A examples/restart/client.ts`
 *
 * @module
 */
import { connect, PeerGoneError } from "../../mod.ts";

await using clock = await connect("com.example.restart");
for (;;) {
  await using ticks = await clock.open("ticks"); // waits for a server if there is none
  try {
    for await (const _ of ticks.changes()) {
      console.log(`process ${clock.pid}: ${ticks.view(Uint32Array)[0]}`);
    }
  } catch (error) {
    if (!(error instanceof PeerGoneError)) throw error;
    console.log("the server is gone");
  }
}
