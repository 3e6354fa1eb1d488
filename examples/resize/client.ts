/**
 * Opens the picture again whenever it was replaced, and ends after three sizes.
 * `deno run -A examples/resize/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

const HEADER = 8;

await using gallery = await connect("com.example.resize", { signal: AbortSignal.timeout(10_000) });
for (let sizes = 0; sizes < 3;) {
  await using picture = await gallery.open("picture");
  let drawn = false;
  for await (const { replaced } of picture.changes()) {
    if (replaced) break; // `open()` gives the new generation
    using _ = await picture.mutex.lock();
    const [width = 0, height = 0] = picture.view(Uint32Array, 0, 2);
    // What another process wrote is checked before it is used.
    if (drawn || width === 0 || HEADER + width * height * 4 > picture.byteLength) continue;
    console.log(`generation ${picture.generation}: ${width} x ${height}, ${picture.byteLength} bytes`);
    drawn = true;
    if (++sizes === 3) break;
  }
}
