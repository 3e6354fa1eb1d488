/** A client that loses its link, and finds its server again. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, PeerGoneError, serve } from "../../mod.ts";
import { FaultProxy } from "../../src/testing/mod.ts";
import { brokerName, uniqueName } from "../support/process.ts";

const regions = { frame: { byteLength: 4096 } };

Deno.test("a client whose link is cut while its server lives connects again", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker });
  await using client = await connect(proxy.name, { broker });
  for (let round = 0; round < 3; round++) {
    const frame = await client.open("frame");
    const change = frame.changes({ after: server.region("frame").revision }).next();
    const gone = assertRejects(() => change, PeerGoneError);
    await proxy.disconnect();
    await gone;
    assert(frame.orphaned);
    const again = await client.open("frame", { signal: AbortSignal.timeout(30_000) });
    const next = again.changes({ after: again.revision }).next();
    const revision = server.region("frame").commit();
    assertEquals((await next).value?.revision, revision);
  }
});

Deno.test("connect() that times out names the service and says what is registered", async () => {
  const broker = { service: brokerName() };
  const known = uniqueName("known");
  const wanted = uniqueName("wanted");
  await using _server = await serve(known, { broker, regions });
  const signal = AbortSignal.timeout(50);
  const error = await assertRejects(() => connect(wanted, { broker, signal }), DOMException, wanted);
  assertEquals(error.name, "TimeoutError");
  assert(error.message.includes(known), error.message);
});

Deno.test("connect() rejects with its signal's reason", async () => {
  const broker = { service: brokerName() };
  const controller = new AbortController();
  const connecting = connect(uniqueName("wanted"), { broker, signal: controller.signal });
  const reason = new Error("the user left");
  controller.abort(reason);
  const error = await assertRejects(() => connecting);
  assertEquals(error, reason);
});
