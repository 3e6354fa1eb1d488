/**
 * Two of these count in one region under its mutex, with no atomics: whatever the mutex lets through twice is lost.
 *
 * @module
 */
import { type Client, connect, serve, type Server, type WritableRegion } from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

let owner: Server | Client | undefined;
let frame: WritableRegion | undefined;

const calls: Calls = {
  async serve(p) {
    const regions = p["regions"] as Record<string, { byteLength: number }>;
    const server = await serve(String(p["name"]), { regions, broker: { service: String(p["broker"]) } });
    owner = server;
    frame = server.region("frame");
  },
  async connect(p) {
    const client = await connect(String(p["name"]), { broker: { service: String(p["broker"]) } });
    owner = client;
    frame = await client.open("frame", { write: true });
  },
  async count({ rounds, how }) {
    const counter = frame!.view(Float64Array);
    for (let round = 0; round < Number(rounds); round++) {
      using _ = how === "lock" ? await frame!.mutex.lock() : frame!.mutex.lockSync();
      const before = counter[0] ?? 0;
      for (let spin = 0; spin < 50; spin++) counter[1] = spin; // widens the gap
      counter[0] = before + 1;
    }
  },
  counter: () => frame!.view(Float64Array)[0],
};

await answer(calls);
await owner?.close();
