/**
 * The reader: looks at each picture that `server.ts` draws, in place. `deno run -A examples/studio/client.ts`
 *
 * @module
 */
import { connect, PeerGoneError } from "../../mod.ts";

await using studio = await connect("com.example.studio", { signal: AbortSignal.timeout(10_000) });
const frame = await studio.open("frame");
try {
  for await (const { revision } of frame.changes()) {
    using guard = await frame.mutex.lock({ timeout: 1000 });
    const pixels = frame.view(Float32Array);
    const torn = guard.abandoned ? ", torn" : ""; // the server died while it drew
    console.log(`revision ${revision}: from ${pixels[0]} to ${pixels.at(-1)}${torn}`);
  }
} catch (error) {
  if (!(error instanceof PeerGoneError)) throw error;
  // The memory stays mapped until the region is closed.
  console.log(`the server is gone; its last frame is still here: ${frame.view(Float32Array)[0]}`);
}
