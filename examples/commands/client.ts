/**
 * Commands the player. `deno run -A examples/commands/client.ts`
 *
 * @module
 */
import { connect, type MessageRecord, RegionHandle, RemoteError } from "../../mod.ts";

await using player = await connect("com.example.commands", {
  label: "remote control",
  signal: AbortSignal.timeout(10_000),
});
const { frame } = await player.request({ seek: 42 }, { timeout: 5000 }) as MessageRecord;
if (!(frame instanceof RegionHandle)) throw new TypeError("Cannot use the answer: it has no frame");
await using picture = await frame.open();
console.log(`the frame is full of ${picture.view(Uint8Array)[0]}`);

for await (const message of player.messages()) {
  console.log(`the player is at ${(message as MessageRecord)["position"]}`);
  break;
}

try {
  await player.request({ seek: 1000 }, { timeout: 5000 });
} catch (error) {
  if (error instanceof RemoteError) console.log(`${error.remoteName}: ${error.message}`);
}

player.send("bye");
await picture.closed; // the server is gone
