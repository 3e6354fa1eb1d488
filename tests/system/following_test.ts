/** A service over restarts: `follow()`, its events, and `connect()` that does not wait. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, PeerGoneError, serve, ServiceNotFoundError } from "../../mod.ts";
import { FaultProxy } from "../../src/testing/mod.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";
import { rounds, setting } from "../support/following.ts";

const regions = { frame: { byteLength: 4096 } };

Deno.test("follow() goes on through kill -9 of the server, in rounds", async () => {
  const common = setting();
  await using client = new App("following_app.ts");
  const connecting = client.call("connect", common);
  let last = 0;
  for (let round = 1; round <= rounds; round++) {
    await using server = new App("following_app.ts");
    await server.call("serve", common);
    if (round === 1) {
      assertEquals(await connecting, server.pid);
      await client.call("follow");
    }
    // Every server begins at 0: a count that goes back shows a server that is new.
    last = await server.call<number>("count", { times: 100 + round });
    await client.call("sees", { count: last });
    const seen = await client.call<{ error: string | null }>("seen");
    assertEquals(seen.error, null, `round ${round}`);
    await server.kill();
  }
  const events = await client.call<string[]>("events");
  assertEquals(events.filter((event) => event.startsWith("disconnect")).length >= rounds - 1, true);
});

Deno.test("follow() yields when it opens, at each change, and anew when the region was replaced", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions });
  await using client = await connect(name, { broker });
  const following = client.follow("frame", { write: true });
  const first = (await following.next()).value!;
  assertEquals([first.generation, first.revision], [1, 0], "open, without a commit");
  server.region("frame").commit();
  assertEquals((await following.next()).value, first, "the same object at a change");
  assertEquals(first.revision, 1);
  await server.replace("frame", { byteLength: 8192 });
  const second = (await following.next()).value!;
  assertEquals([second.generation, second.byteLength, second.revision], [2, 8192, 2]);
  assertEquals(first.view === undefined, false);
  assertEquals(await first.closed, undefined, "the one before is closed");
  second.view(Uint8Array)[8191] = 7;
  assertEquals(server.region("frame").view(Uint8Array)[8191], 7);
  await following.return();
  assertEquals(await second.closed, undefined, "and so is the last, when the loop is left");
  assertEquals((await following.next()).done, true);
});

Deno.test("follow() with a region that its user closes goes on with the next change", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions });
  await using client = await connect(name, { broker });
  const seen: number[] = [];
  for await (await using frame of client.follow("frame")) {
    seen.push(frame.revision);
    if (seen.length === 3) break;
    server.region("frame").commit();
  }
  assertEquals(seen, [0, 1, 2]);
});

Deno.test("follow() ends with its signal, with the client, and with a loop that is left while it waits", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using _server = await serve(name, { broker, regions });
  const client = await connect(name, { broker });
  const stop = new AbortController();
  const aborted = client.follow("frame", { signal: stop.signal });
  const left = client.follow("frame");
  const closed = client.follow("frame");
  for (const each of [aborted, left, closed]) assertEquals((await each.next()).done, false);
  const reason = new Error("the user stopped");
  const rejected = assertRejects(() => aborted.next());
  stop.abort(reason);
  assertEquals(await rejected, reason);
  assertEquals((await aborted.next()).done, true);
  const waiting = left.next();
  await left.return();
  assertEquals((await waiting).done, true);
  const last = closed.next();
  await client.close();
  assertEquals((await last).done, true);
});

Deno.test("follow() throws what open() throws, and PeerGoneError without reconnect", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const server = await serve(name, {
    broker,
    regions: { ...regions, mask: { byteLength: 8, clients: "read" } },
  });
  await using client = await connect(name, { broker, reconnect: false });
  await assertRejects(() => client.follow("none").next(), Deno.errors.NotFound, `"frame"`);
  await assertRejects(() => client.follow("mask", { write: true }).next(), Deno.errors.NotCapable);
  const following = client.follow("frame");
  const frame = (await following.next()).value!;
  const gone = assertRejects(() => following.next(), PeerGoneError);
  await server.close();
  await gone;
  assertEquals(await frame.closed instanceof Error, true, "the server's end came first");
  assertEquals((await following.next()).done, true);
});

Deno.test("a client tells by events that its server is gone, and that it has the next one", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using _server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker });
  await using client = await connect(proxy.name, { broker });
  const events: string[] = [];
  const again = Promise.withResolvers<void>();
  client.addEventListener("disconnect", ({ error }) => {
    events.push(`disconnect ${error.name} ${client.connected}`);
  });
  client.addEventListener("connect", ({ pid }) => {
    events.push(`connect ${pid === client.pid} ${client.connected}`);
    again.resolve();
  });
  await proxy.disconnect();
  await again.promise;
  assertEquals(events, ["disconnect ConnectionError false", "connect true true"]);
});

Deno.test("connect() that does not wait throws at once, and says what is registered", async () => {
  const broker = { service: brokerName() };
  const known = uniqueName("known");
  const wanted = uniqueName("wanted");
  if (ownBroker) {
    // Nobody is the broker, and this process does not become it for that.
    const error = await assertRejects(() => connect(wanted, { broker, wait: false }), ServiceNotFoundError);
    assert(error.message.includes("no broker runs"), error.message);
  }
  await using server = await serve(known, { broker, regions });
  const error = await assertRejects(() => connect(wanted, { broker, wait: false }), ServiceNotFoundError);
  assertEquals(error.serviceName, wanted);
  assert(error.message.includes(wanted) && error.message.includes(known), error.message);
  await using client = await connect(known, { broker, wait: false });
  assertEquals(client.pid, Deno.pid);
  server.region("frame").view(Uint8Array)[0] = 3;
  assertEquals((await client.open("frame")).view(Uint8Array)[0], 3);
});

Deno.test("a client that did not wait finds the next server all the same", async () => {
  const common = setting();
  await using client = new App("following_app.ts");
  const broker = { service: common.broker };
  const first = await serve(common.name, { broker, regions });
  await using mine = await connect(common.name, { broker, wait: false });
  const again = Promise.withResolvers<number>();
  mine.addEventListener("connect", ({ pid }) => again.resolve(pid));
  await first.close();
  await client.call("serve", common);
  assertEquals(await again.promise, client.pid);
});

Deno.test("connect() that does not wait takes a dead server's registration for nothing", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using _server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker, faults: () => "close" });
  const error = await assertRejects(() => connect(proxy.name, { broker, wait: false }), ServiceNotFoundError);
  assert(error.message.includes("does not answer"), error.message);
});
