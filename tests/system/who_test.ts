/** `list()`, `exists()`, `watch()` and `client.regions()`. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, exists, list, serve, type ServiceChanges, watch } from "../../mod.ts";
import { ServiceTable } from "../../src/service/watch.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

const regions = { frame: { byteLength: 4096 } };

/** The next change of a name. */
async function next(changes: ServiceChanges, name: string): Promise<string> {
  for (;;) {
    const { value } = await changes.next();
    if (value?.name === name) return `${value.type} ${value.pid}`;
  }
}

Deno.test("list() and exists() tell who serves what, also right after a death", async () => {
  const broker = brokerName();
  const name = uniqueName("who");
  await using holder = new App(); // keeps the broker
  await holder.call("serve", { name: uniqueName("holder"), broker, regions });
  assertEquals(await exists(name, { broker: { service: broker } }), false);
  await using server = new App();
  await server.call("serve", { name, broker, regions });
  assertEquals(await exists(name, { broker: { service: broker } }), true);
  const listed = await list({ broker: { service: broker } });
  const found = listed.find((service) => service.name === name);
  assertEquals(found?.pid, server.pid);
  assert(Math.abs(found!.since.getTime() - Date.now()) < 60_000);
  const changes = watch({ broker: { service: broker } });
  assertEquals(await next(changes, name), `added ${server.pid}`);
  await server.kill();
  assertEquals(await next(changes, name), `removed ${server.pid}`);
  assertEquals(await exists(name, { broker: { service: broker } }), false);
  await changes.return();
});

Deno.test({
  name: "without a broker there is nothing, at once, and nobody becomes the broker",
  ignore: !ownBroker,
  fn: async () => {
    const broker = { service: brokerName() };
    assertEquals(await list({ broker }), []);
    assertEquals(await exists("com.example.none", { broker }), false);
    const changes = watch({ broker: { ...broker, embedded: false } });
    await assertRejects(() => changes.next(), Error, "Cannot reach the broker");
  },
});

Deno.test("list(), exists() and watch() check their options", async () => {
  await assertRejects(() => list({ broker: 1 as never }), TypeError, "`broker`");
  await assertRejects(() => exists("a b"), TypeError, "a b");
  await assertRejects(() => exists("a", { signal: 1 as never }), TypeError, "`signal`");
  assertThrows(() => watch({ signal: 1 as never }), TypeError, "`signal`");
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => list({ signal }), Error, "enough");
  await assertRejects(() => watch({ signal, broker: { service: brokerName() } }).next(), Error, "enough");
});

Deno.test("watch() ends with its signal or its iteration, and lets the process end", async () => {
  const broker = { service: brokerName() };
  const stop = new AbortController();
  const changes = watch({ broker, signal: stop.signal });
  const waits = changes.next();
  stop.abort(new Error("enough"));
  await assertRejects(() => waits, Error, "enough");
  const other = watch({ broker });
  const waitsToo = other.next();
  await other.return();
  assertEquals(await waitsToo, { value: undefined, done: true });
});

Deno.test({
  name: "watch() says nothing of a service that outlives its broker, and tells of one that died with it",
  ignore: !ownBroker,
  fn: async () => {
    const broker = brokerName();
    await using first = new App();
    const dies = uniqueName("dies");
    const lives = uniqueName("lives");
    await first.call("serve", { name: dies, broker, regions }); // becomes the broker
    await using second = new App();
    await second.call("serve", { name: lives, broker, regions });
    const changes = watch({ broker: { service: broker } });
    const seen = [await changes.next(), await changes.next()].map(({ value }) =>
      `${value?.type} ${value?.name}`
    );
    assertEquals(seen.toSorted(), [`added ${dies}`, `added ${lives}`]);
    await first.kill();
    assertEquals((await changes.next()).value, { type: "removed", name: dies, pid: first.pid });
    const third = uniqueName("third");
    await using server = await serve(third, { regions, broker: { service: broker } });
    assertEquals((await changes.next()).value, { type: "added", name: third, pid: Deno.pid });
    await second.end();
    assertEquals((await changes.next()).value, { type: "removed", name: lives, pid: second.pid });
    await server.close();
    assertEquals(await next(changes, third), `removed ${Deno.pid}`);
    await changes.return();
  },
});

Deno.test("a table of services bears events and the list in any order", () => {
  const told: string[] = [];
  const table = new ServiceTable(({ type, name, pid }) => told.push(`${type} ${name} ${pid}`));
  const service = (name: string, generation: number, pid: number) => ({
    name,
    generation,
    pid,
    since: new Date(),
  });
  table.event({ event: "registered", ...service("early", 5, 1) });
  table.event({ event: "unregistered", ...service("late", 3, 2) }); // before the list that still has it
  table.list([service("early", 4, 9), service("late", 3, 2), service("there", 1, 3)]);
  assertEquals(told.splice(0), ["added early 1", "added there 3"]);
  table.event({ event: "unregistered", ...service("there", 0, 3) }); // an older one
  table.event({ event: "registered", ...service("there", 2, 4) }); // replaced
  assertEquals(told.splice(0), ["removed there 3", "added there 4"]);
  table.doubt();
  table.list([service("there", 7, 4)]);
  assertEquals(told, []);
  table.event({ event: "registered", ...service("early", 8, 6) }); // of another process
  assertEquals(told.splice(0), ["removed early 1", "added early 6"]);
  table.doubt();
  table.event({ event: "registered", ...service("early", 9, 6) });
  table.removeDoubtful();
  assertEquals(told, ["removed there 4"]);
});

Deno.test("client.regions() lists the regions of the server", async () => {
  const name = uniqueName("who");
  const broker = brokerName();
  await using server = new App();
  await server.call("serve", {
    name,
    broker,
    regions: { frame: { byteLength: 100 }, mask: { byteLength: 5000, clients: "read" } },
  });
  await server.call("replace", { region: "frame", byteLength: 200 });
  await server.call("commit", { region: "mask" });
  await using client = await connect(name, { broker: { service: broker } });
  assertEquals(await client.regions(), [
    { name: "frame", byteLength: 200, clients: "write", generation: 2, revision: 1 },
    { name: "mask", byteLength: 5000, clients: "read", generation: 1, revision: 1 },
  ]);
  await server.kill();
  await assertRejects(() => client.regions({ timeout: 50 }));
  await assertRejects(() => client.regions({ timeout: -1 }), RangeError);
});
