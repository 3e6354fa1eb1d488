/**
 * A canvas of which little changes at a time: each commit says which rows. `deno run -A examples/ranges/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

const WIDTH = 4096;
const HEIGHT = 4096;

await using easel = await serve("com.example.ranges", {
  regions: { canvas: { byteLength: WIDTH * HEIGHT, tileBytes: 4 * WIDTH, clients: "read" } }, // a tile is four rows
});
const canvas = easel.region("canvas");
const pixels = canvas.view(Uint8Array);
for (let row = 0;; row = (row + 1) % HEIGHT) {
  // Written under the mutex and committed before it is unlocked: so a reader never copies half of it.
  await canvas.mutex.with(() => {
    pixels.fill(1 + row % 255, row * WIDTH, (row + 1) * WIDTH);
    canvas.commit([{ byteOffset: row * WIDTH, byteLength: WIDTH }]);
  });
  await new Promise((resolve) => setTimeout(resolve, 10));
}
