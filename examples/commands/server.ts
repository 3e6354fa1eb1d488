/**
 * A player that clients command: requests are answered, each new position goes to all as a message, and the frames
 * themselves are in shared memory. Ends when its client has left. `deno run -A examples/commands/server.ts`
 *
 * @module
 */
import { type MessageRecord, serve } from "../../mod.ts";

const FRAMES = 100;

await using player = await serve("com.example.commands", {
  regions: { frame: { byteLength: 2 ** 20, clients: "read" } },
  request: (value, client) => {
    const { seek } = value as MessageRecord;
    // What another process says is checked before it is used. The error reaches the one who asked.
    if (typeof seek !== "number" || !(seek >= 0 && seek < FRAMES)) {
      throw new RangeError(`Cannot seek to ${seek}: there are ${FRAMES} frames`);
    }
    console.log(`${client.name} seeks to ${seek}`);
    const frame = player.region("frame");
    frame.view(Uint8Array).fill(seek);
    frame.commit();
    for (const peer of player.peers) peer.send({ position: seek });
    return { frame, revision: frame.revision }; // the region arrives as a handle
  },
  message: (value, client) => {
    console.log(`${client.name} says ${value}`);
    if (value === "bye") void player.close();
  },
});
console.log(`the player ended: ${await player.closed ?? "in order"}`);
