/**
 * Writes fields by their names, in place. Ctrl-C ends it. `deno run -A examples/layout/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";
import { Frame } from "./frame.ts";

await using studio = await serve("com.example.layout", { regions: { frame: { layout: Frame } } });
const region = studio.region("frame"); // as long as the layout
const frame = region.view(Frame);
for (let number = 1;; number++) {
  {
    using _ = await region.mutex.lock();
    frame.number = number;
    frame.width = 640;
    frame.height = 480;
    frame.title = `take ${number}`;
    frame.cursor.x = number / 2;
    frame.histogram.fill(number);
  }
  region.commit();
  await new Promise((resolve) => setTimeout(resolve, 100));
}
