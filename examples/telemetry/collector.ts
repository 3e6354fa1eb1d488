/**
 * Takes the readings of up to 16 sensors, each over a channel of its own, and keeps a table of them in a region. Ctrl-C
 * ends it. Start `sensor.ts` and `viewer.ts` before or after it. `deno run -A examples/telemetry/collector.ts`
 *
 * @module
 */
import { type Channel, serve } from "../../mod.ts";
import { Table } from "./table.ts";

await using collector = await serve("com.example.telemetry", {
  regions: { table: { layout: Table } },
  channels: { readings: { byteLength: 4096 } }, // for each sensor, a ring that holds more than 100 readings
});
const region = collector.region("table");
const { rows } = region.view(Table);

for await (const channel of collector.channel("readings")) {
  collect(channel).catch((error) => console.error(`process ${channel.pid}: ${error.message}`));
}

/** Writes to the table, and tells those who look at it. */
async function change<T>(write: () => T): Promise<T> {
  return await region.mutex.with(() => {
    const result = write();
    region.commit();
    return result;
  });
}

/** Adds what comes over a channel to a row of the table. */
async function collect(channel: Channel): Promise<void> {
  await using _ = channel; // closes it in the end
  const sensor = [...collector.peers].find(({ pid }) => pid === channel.pid);
  if (sensor === undefined) return; // it has left already
  // Other sensors come at the same time: each finds its row and takes it under the mutex.
  const row = await change(() => {
    const found = rows.find(({ name }) => name === sensor.name) ?? rows.find(({ name }) => name === "");
    if (found === undefined || found.online) return undefined;
    found.name = sensor.name;
    found.online = true;
    found.readings = found.lost = 0;
    return found;
  });
  if (row === undefined) return console.log(`no row for ${sensor.name}`);
  console.log(`${sensor.name} is here`);

  try {
    let next = 0;
    for await (const bytes of channel) {
      if (bytes.length !== 16) {
        throw new RangeError(`Cannot take a reading of ${bytes.length} bytes: it has 16`);
      }
      const [number = 0, value = 0] = new Float64Array(bytes.buffer);
      await change(() => {
        row.least = row.readings === 0 ? value : Math.min(row.least, value);
        row.most = row.readings === 0 ? value : Math.max(row.most, value);
        row.last = value;
        row.readings++;
        row.lost += Math.max(0, number - next);
      });
      next = number + 1;
    }
  } finally {
    await change(() => row.online = false); // it has closed its channel, or has died
  }
  console.log(`${sensor.name} left after ${row.readings} readings`);
}
