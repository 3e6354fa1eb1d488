/**
 * Reads the fields in place, from the same layout. `deno run -A examples/layout/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";
import { Frame } from "./frame.ts";

await using studio = await connect("com.example.layout", { signal: AbortSignal.timeout(10_000) });
const region = await studio.open("frame");
const frame = region.view(Frame); // its type has no setters, since the region is only read
let frames = 0;
for await (const _ of region.changes()) {
  using _ = await region.mutex.lock();
  const { number, title, width, height, cursor, histogram } = frame;
  console.log(`${number} "${title}": ${width} x ${height}, cursor at ${cursor.x}, ${histogram[255]} of 255`);
  if (++frames === 3) break;
}
