/**
 * A picture whose size changes: `replace()` puts a region of another length in the place of the old one.
 * Ctrl-C ends it. `deno run -A examples/resize/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

const SIZES = [[640, 480], [1280, 720], [1920, 1080]] as const;
const HEADER = 8; // bytes: width and height

await using gallery = await serve("com.example.resize", { regions: { picture: { byteLength: HEADER } } });
for (let turn = 0;; turn++) {
  const [width, height] = SIZES[turn % SIZES.length]!;
  const picture = await gallery.replace("picture", { byteLength: HEADER + width * height * 4 });
  {
    using _ = await picture.mutex.lock();
    picture.view(Uint32Array, 0, 2).set([width, height]);
    picture.view(Uint8Array, HEADER).fill(turn);
  }
  picture.commit();
  await new Promise((resolve) => setTimeout(resolve, 300));
}
