/** `server.remove()`: regions that go while clients have them. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

Deno.test("remove(): clients keep what they mapped, learn of it, and open it no more", async () => {
  const name = uniqueName("remove");
  const broker = brokerName();
  await using server = await serve(name, {
    broker: { service: broker },
    regions: { frame: { byteLength: 4096 }, mask: { byteLength: 4096, clients: "read" } },
  });
  const clients = [new App(), new App()];
  await using _ = clients[0]!;
  await using __ = clients[1]!;
  for (const client of clients) {
    await client.call("connect", { name, broker });
    for (const region of ["frame", "mask"]) await client.call("open", { region });
  }
  for (const region of ["frame", "mask"]) {
    server.region(region).view(Uint8Array).fill(2);
    server.region(region).commit();
    for (const client of clients) await client.call("change", { region });
    const waits = clients.map((client) => {
      return assertRejects(
        () => client.call("change", { region }),
        Error,
        `"${region}": its server removed it`,
      );
    });
    const own = server.region(region);
    const changes = own.changes({ after: own.revision });
    const ends = changes.next();
    await server.remove(region);
    await Promise.all(waits);
    assertEquals((await ends).done, true);
    assertEquals(server.regions.includes(region), false);
    for (const client of clients) {
      assertEquals(await client.call("sum", { region }), { total: 8192, length: 4096 });
      await assertRejects(() => client.call("change", { region }), Error, "its server removed it");
      await assertRejects(() => client.call("open", { region }), Error, "Cannot open the region");
    }
  }
  await assertRejects(() => server.remove("frame"), Deno.errors.NotFound, "no regions");
  await server.add("frame", { byteLength: 100, clients: "read" });
  await using client = await connect(name, { broker: { service: broker } });
  assertEquals((await client.open("frame")).clients, "read");
  for (const each of clients) {
    await assertRejects(() => each.call("change", { region: "frame" }), Error, "removed it");
  }
});

Deno.test("remove(): a thread that sleeps for a change is woken", async () => {
  const name = uniqueName("remove");
  const broker = brokerName();
  await using server = await serve(name, {
    broker: { service: broker },
    regions: { frame: { byteLength: 64 } },
  });
  await using app = new App();
  await app.call("connect", { name, broker });
  await app.call("open", { region: "frame" });
  const waits = app.call("waitSync", { region: "frame", after: 0, timeout: 60_000 });
  await server.remove("frame");
  assertEquals(await waits, 1);
});

Deno.test("remove(): names come and go for longer than there are numbers, and generations go on", async () => {
  const name = uniqueName("remove");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: { stays: { byteLength: 64 } } });
  await using client = await connect(name, { broker });
  await server.add("first", { byteLength: 64 });
  const held = await client.open("first");
  await server.remove("first");
  let generation = 0;
  for (let count = 0; count < 600; count++) {
    const region = await server.add(`region ${count}`, {
      byteLength: 64,
      clients: count % 2 === 0 ? "read" : "write",
    });
    generation = Math.max(generation, region.generation);
    assertEquals((await client.open(`region ${count}`)).generation, region.generation);
    await server.remove(`region ${count}`);
  }
  assert(generation > 2, `${generation}`);
  await server.add("next", { byteLength: 64 });
  // Whatever has its number now: who holds the old region sees that it is not the one.
  const changes = held.changes({ after: held.revision });
  const seen = await changes.next().then(({ value }) => value?.replaced, (error) => error.name);
  assert(seen === true || seen === "NotFound", `${seen}`);
  assertEquals(server.regions, ["stays", "next"]);
});

Deno.test("remove(): the server stops to relay for it, and closes without it", async () => {
  const name = uniqueName("remove");
  const broker = { service: brokerName() };
  await using server = await serve(name, {
    broker,
    regions: { a: { byteLength: 64 }, b: { byteLength: 64 } },
  });
  await using first = await connect(name, { broker });
  await using second = await connect(name, { broker });
  await server.remove("a");
  const written = await first.open("b", { write: true });
  const seen = (await second.open("b")).changes();
  written.commit();
  assertEquals((await seen.next()).value?.revision, 1);
  const removing = server.remove("b"); // changes are made one after the other: the end comes first
  const closing = server.close();
  await assertRejects(() => removing, TypeError, "closed");
  await closing;
  await assertRejects(() => server.remove("b"), TypeError, "closed");
});
