/**
 * Keeps a copy of the canvas, and copies only what changed. `deno run -A examples/ranges/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

await using easel = await connect("com.example.ranges", { signal: AbortSignal.timeout(10_000) });
const canvas = await easel.open("canvas");
const copy = new Uint8Array(canvas.byteLength);
let known: number | undefined;
let copies = 0;
for await (const change of canvas.changes()) {
  const { revision, bytesCopied } = canvas.copyChanges(copy, known);
  known = revision;
  const parts = change.ranges.map(({ byteOffset, byteLength }) => `${byteLength} at ${byteOffset}`);
  console.log(
    `revision ${revision}: changed ${parts.join(", ")}; copied ${bytesCopied} of ${copy.length} bytes`,
  );
  if (++copies === 4) break;
}
