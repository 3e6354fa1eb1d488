/** The regions of a server that change while others use them. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, serve, type WritableRegion } from "../../mod.ts";
import { brokerName, uniqueName } from "../support/process.ts";

const byteLength = 4096;

Deno.test("Server.add() of many regions at once gives each its own words", async () => {
  const name = uniqueName("service");
  await using server = await serve(name, { broker: { service: brokerName() }, regions: {} });
  const names = Array.from({ length: 20 }, (_, index) => `region ${index}`);
  const regions = await Promise.all(names.map((region) => server.add(region, { byteLength })));
  assertEquals(server.regions.toSorted(), names.toSorted());
  const guards = regions.map((region) => region.mutex.tryLock());
  assert(guards.every((guard) => guard !== undefined), "no mutex is another region's");
  for (const guard of guards) guard?.unlock();
  regions[3]!.commit();
  assertEquals(regions.map(({ revision }) => revision), names.map((_, index) => index === 3 ? 1 : 0));
});

Deno.test("Server.add() of one name twice at once succeeds once", async () => {
  const name = uniqueName("service");
  await using server = await serve(name, { broker: { service: brokerName() }, regions: {} });
  const results = await Promise.allSettled([
    server.add("frame", { byteLength }),
    server.add("frame", { byteLength: 2 * byteLength }),
  ]);
  assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected"]);
  assertEquals(server.region("frame").byteLength, byteLength);
});

Deno.test("Server.replace() twice at once gives two generations, and closes the ones before", async () => {
  const name = uniqueName("service");
  const regions = { frame: { byteLength } };
  await using server = await serve(name, { broker: { service: brokerName() }, regions });
  const first = server.region("frame");
  const [second, third] = await Promise.all([
    server.replace("frame", { byteLength: 2 * byteLength }),
    server.replace("frame", { byteLength: 3 * byteLength }),
  ]);
  assertEquals([first, second, third].map(({ generation }) => generation), [1, 2, 3]);
  assertEquals(server.region("frame"), third);
  for (const old of [first, second]) assertThrows(() => old.view(Uint8Array), TypeError, "closed");
  assertEquals(third.view(Uint8Array).length, 3 * byteLength);
});

Deno.test("Server.add() under way at close() says that the server is closed, and so does a later one", async () => {
  const name = uniqueName("service");
  const server = await serve(name, { broker: { service: brokerName() }, regions: { frame: { byteLength } } });
  const adding = server.add("late", { byteLength });
  const replacing = server.replace("frame", { byteLength });
  const closing = server.close();
  const results = await Promise.allSettled([adding, replacing]);
  await closing;
  for (const result of results) {
    // Either it was done before, and is closed by now, or it says why it was not done.
    if (result.status === "rejected") assertClosed(result.reason);
    else assertUnusable(result.value);
  }
  assertClosed(await assertRejects(() => server.add("later", { byteLength })));
  assertClosed(await assertRejects(() => server.replace("frame", { byteLength })));
});

function assertClosed(error: unknown): void {
  assert(error instanceof TypeError && error.message.includes("the server is closed"), String(error));
}

function assertUnusable(region: WritableRegion): void {
  assertThrows(() => region.commit(), TypeError, "closed");
  assertThrows(() => region.revision, TypeError, "closed");
  assertThrows(() => region.mutex.tryLock(), TypeError, "closed");
  assertThrows(() => region.view(Uint8Array), TypeError, "closed");
}

Deno.test("a service has 256 regions, and each works", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: {} });
  for (let index = 0; index < 256; index++) await server.add(`region ${index}`, { byteLength: 16 });
  await assertRejects(() => server.add("one more", { byteLength: 16 }), RangeError, "at most 256");
  await using client = await connect(name, { broker });
  for (const index of [0, 1, 254, 255]) {
    const region = await client.open(`region ${index}`, { write: true });
    const ours = server.region(`region ${index}`);
    using _ = await region.mutex.lock({ timeout: 1000 });
    assertEquals(ours.mutex.tryLock(), undefined);
    const change = ours.changes().next();
    assertEquals(region.commit(), 1);
    assertEquals((await change).value?.revision, 1);
  }
});

Deno.test("a client has no mutex for a region that it may only read; the server has one", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const regions = { mask: { byteLength, clients: "read" } } as const;
  await using server = await serve(name, { broker, regions });
  await using client = await connect(name, { broker });
  const mask = await client.open("mask");
  assertThrows(() => mask.mutex, Deno.errors.NotCapable, "clients have no mutex");
  using guard = await server.region("mask").mutex.lock({ timeout: 1000 });
  assertEquals(guard.abandoned, false);
  assertEquals(server.region("mask").mutex.tryLock(), undefined);
});
