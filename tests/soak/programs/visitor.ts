/**
 * Clients that come and go, one after the other; or, if it is told to, one that dies with the lock in its hands.
 *
 * @module
 */
import { connect } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, count, loop, name, stop } from "./common.ts";

const visit = async (): Promise<void> => {
  await using client = await connect(name, { broker });
  await using frame = await client.open("frame", { write: true });
  await frame.changes().next();
  using _ = await frame.mutex.lock();
  count("visits");
};

let visiting: Promise<void> | undefined;
await answer({
  ...COMMON,
  visit: () => {
    visiting = loop(visit);
  },
  hold: async () => {
    const client = await connect(name, { broker });
    await (await client.open("frame", { write: true })).mutex.lock();
  },
});
stop.abort();
await visiting;
