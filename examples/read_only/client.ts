/**
 * Asks for more than the server grants, is refused, and reads. `deno run -A examples/read_only/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

await using sensor = await connect("com.example.read-only", { signal: AbortSignal.timeout(10_000) });
try {
  await sensor.open("temperature", { write: true });
} catch (error) {
  if (!(error instanceof Deno.errors.NotCapable)) throw error;
  console.log(error.message);
}

const temperature = await sensor.open("temperature"); // its views have no methods that write
let readings = 0;
for await (const { revision } of temperature.changes()) {
  const [thousandths = NaN] = temperature.view(Int32Array);
  console.log(`revision ${revision}: ${(thousandths / 1000).toFixed(2)} °C`);
  if (++readings === 3) break;
}
