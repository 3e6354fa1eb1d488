/**
 * Shows the table, also that of the next collector when this one ends. Ctrl-C ends it.
 * `deno run -A examples/telemetry/viewer.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";
import { Table } from "./table.ts";

await using collector = await connect("com.example.telemetry");
for await (const region of collector.follow("table")) {
  const lines = await region.mutex.with(() =>
    region.view(Table).rows.filter(({ name }) => name !== "").map((row) =>
      `${row.name}: ${row.readings} readings from ${row.least} to ${row.most}, ${row.lost} lost, ` +
      (row.online ? `now ${row.last}` : "offline")
    )
  );
  for (const line of lines) console.log(line);
  await new Promise((resolve) => setTimeout(resolve, 50)); // the changes meanwhile come as one
}
