/**
 * Clients that come and go, one after the other; or, if it is told to, one that dies with the lock in its hands.
 *
 * @module
 */
import { connect } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, count, name, pause, stop } from "./common.ts";

async function visit(): Promise<void> {
  while (!stop.signal.aborted) {
    await using client = await connect(name, { broker });
    await using frame = await client.open("frame", { write: true });
    await frame.changes().next();
    using _ = await frame.mutex.lock();
    count("visits");
    await pause(2);
  }
}

let visiting: Promise<void> | undefined;
await answer({
  ...COMMON,
  visit: () => {
    visiting = visit();
  },
  hold: async () => {
    const client = await connect(name, { broker });
    await (await client.open("frame", { write: true })).mutex.lock();
  },
});
stop.abort();
await visiting;
