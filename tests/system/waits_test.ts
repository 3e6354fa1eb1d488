/** Waits that end, and waits that leave the event loop to others. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { RawServer, until } from "../contract/link/raw.ts";
import { serverParkedAt } from "../../src/link/layout.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

const regions = { frame: { byteLength: 4096 } };

/** Longer than any machine needs: a loop that is not over by then starves its event loop. */
const HANG = 30_000;

Deno.test("changes() in a loop that commits leaves timers their turns", async () => {
  const name = uniqueName("service");
  await using server = await serve(name, { broker: { service: brokerName() }, regions });
  const frame = server.region("frame");
  let fired = false;
  const timer = setTimeout(() => fired = true, 20);
  const begin = performance.now();
  frame.commit();
  for await (const _ of frame.changes()) {
    if (fired || performance.now() - begin > HANG) break;
    frame.commit();
  }
  clearTimeout(timer);
  assert(fired, "the timer fired while the loop ran");
});

Deno.test(
  "changes() with a producer that is quicker leaves timers their turns",
  { ignore: !ownBroker },
  async () => {
    const name = uniqueName("service");
    const broker = brokerName();
    await using producer = new App();
    await producer.call("serve", { name, broker, regions });
    await using client = await connect(name, { broker: { service: broker } });
    const frame = await client.open("frame");
    const committing = producer.call("commitFor", { region: "frame", milliseconds: 1500 });
    let fired = false;
    const timer = setTimeout(() => fired = true, 20);
    const begin = performance.now();
    for await (const _ of frame.changes()) {
      const busyUntil = performance.now() + 0.05; // slower than the producer, so that there always is a change
      while (performance.now() < busyUntil);
      if (fired || performance.now() - begin > HANG) break;
    }
    clearTimeout(timer);
    assert(fired, "the timer fired while the loop ran");
    await committing;
  },
);

Deno.test("lock() with a timeout of more than 2 ** 31 milliseconds waits", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions });
  await using client = await connect(name, { broker });
  const { mutex } = server.region("frame");
  const other = (await client.open("frame", { write: true })).mutex;
  const held = await other.lock();
  const waiting = mutex.lock({ timeout: 2 ** 31 });
  // A timer that overflows fires at the next turn of timers.
  await new Promise((resolve) => setTimeout(resolve, 20));
  held.unlock();
  using guard = await waiting;
  assertEquals(guard.abandoned, false);
});

Deno.test("a lock that times out says who holds the mutex", { ignore: !ownBroker }, async () => {
  const name = uniqueName("service");
  const broker = brokerName();
  await using holder = new App();
  await holder.call("serve", { name, broker, regions });
  await holder.call("lock", { region: "frame" });
  await using client = await connect(name, { broker: { service: broker } });
  const { mutex } = await client.open("frame");
  const error = await assertRejects(() => mutex.lock({ timeout: 5 }), DOMException);
  assertEquals(error.name, "TimeoutError");
  assertStringIncludes(error.message, `process ${holder.pid} holds it`);
  const sync = assertThrows(() => mutex.lockSync({ timeout: 5 }), DOMException);
  assertStringIncludes(sync.message, `process ${holder.pid} holds it`);
});

Deno.test("a lock that times out says that this realm holds the mutex", async () => {
  const name = uniqueName("service");
  await using server = await serve(name, { broker: { service: brokerName() }, regions });
  const { mutex } = server.region("frame");
  using _ = await mutex.lock();
  await assertRejects(() => mutex.lock({ timeout: 5 }), DOMException, "this realm holds it");
});

Deno.test("a server that stands still gets one note of a client's commits, not one for each", {
  ignore: !ownBroker,
}, async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using _keeper = await serve(uniqueName("keeper"), { broker, regions: {} });
  await using server = await RawServer.serve(broker.service, name);
  const answer = Promise.withResolvers<{ ok: true }>();
  server.answers["committed"] = () => answer.promise; // as one that is stopped: it does not answer
  server.server.store(serverParkedAt(0), 1);
  await using client = await connect(name, { broker });
  const frame = await client.open("frame", { write: true });
  for (let commit = 0; commit < 1000; commit++) frame.commit();
  await client.open("frame"); // comes after the notes
  assertEquals(server.operations("committed").length, 1);
  // Once it goes on, it hears that there was more, and no more than that.
  answer.resolve({ ok: true });
  await until(() => server.operations("committed").length === 2);
  await client.open("frame");
  assertEquals(server.operations("committed").length, 2);
});
