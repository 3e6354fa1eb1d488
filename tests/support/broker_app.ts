/**
 * A process that is a broker and nothing else, for tests that kill it. Calls as in `app.ts`.
 *
 * @module
 */
import { Broker } from "../../src/broker/broker.ts";
import { Connection } from "../../src/xpc/mod.ts";
import { answer, type Calls } from "./calls.ts";

let service = "";

const calls: Calls = {
  async start(p) {
    service = String(p["broker"]);
    await Broker.start({ service });
    // Answers hello: it is the broker, not one that came too late.
    await using connection = await Connection.toService(service);
    const { pid } = await connection.request({ op: "hello", min: 1n, max: 1n }, { timeout: 10_000 });
    if (pid !== BigInt(Deno.pid)) throw new Error("another process is the broker");
  },
  /** Resolves when so many lookups wait. */
  async waiting(p) {
    await using connection = await Connection.toService(service);
    await connection.request({ op: "hello", min: 1n, max: 1n }, { timeout: 10_000 });
    for (;;) {
      const { waiting } = await connection.request({ op: "status" }, { timeout: 10_000 });
      if (Number(waiting) >= Number(p["count"])) return;
    }
  },
};

await answer(calls);
Deno.exit(0);
