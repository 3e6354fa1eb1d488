/**
 * A sensor: sends readings to the collector. Start several, each with its own name; the second argument says how many
 * readings. `deno run -A examples/telemetry/sensor.ts oven 1000`
 *
 * @module
 */
import { connect, PeerGoneError } from "../../mod.ts";
import type { Reading } from "./table.ts";

const name = Deno.args[0] ?? `sensor ${Deno.pid}`;
const count = Number(Deno.args[1] ?? Infinity);

await using collector = await connect("com.example.telemetry", { label: name }); // as the collector calls it
await using channel = await collector.channel("readings");
try {
  for (let number = 0; number < count; number++) {
    const reading: Reading = [number, 20 + number % 10 / 2];
    await channel.sendAsync(new Float64Array(reading)); // waits where the ring is full
    if (number % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 10));
  }
  console.log(`${name} sent ${count} readings`);
} catch (error) {
  if (!(error instanceof PeerGoneError)) throw error;
  console.log("the collector is gone");
}
