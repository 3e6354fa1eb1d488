/** Commits with ranges and copies of what changed, over processes, with kills. */
import { assert, assertEquals, assertGreater, assertRejects, assertThrows } from "@std/assert";
import { connect, PeerGoneError, type RegionOptions, serve } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

const COMMITS = 100_000;
const FRAME: RegionOptions = { byteLength: 256 * 100, tileBytes: 256 };

type Counts = Record<"copies" | "consistent" | "parts", number>;

function setting(options: RegionOptions) {
  return { name: uniqueName("ranges"), broker: brokerName(), options };
}

function app(): App {
  return new App("ranges_app.ts");
}

function checkCounts({ copies, consistent, parts }: Counts): void {
  assertGreater(copies, 10);
  assertGreater(consistent, 0);
  assertGreater(parts, 0);
}

for (const clients of ["write", "read"] as const) {
  Deno.test(`a reader's copy follows ${COMMITS} commits of a region with clients "${clients}"`, async () => {
    const common = setting({ ...FRAME, clients });
    await using server = app();
    await using client = app();
    await server.call("serve", common);
    await client.call("connect", common);
    const reading = client.call<Counts>("read", { last: COMMITS });
    await Promise.all([server.call("write", { last: COMMITS }), reading]);
    checkCounts(await reading);
  });
}

Deno.test("a server's copy follows two clients that write, and one of them is killed again and again", async () => {
  const common = setting(FRAME);
  const last = 40_000;
  await using server = app();
  await server.call("serve", common);
  const reading = server.call<Counts>("read", { last });
  reading.catch(() => {}); // told below
  await using steady = app();
  await steady.call("connect", { ...common, write: true });
  const writing = steady.call("write", { last });
  for (let round = 0; round < 5; round++) {
    await using dying = app();
    await dying.call("connect", { ...common, write: true });
    dying.call("write", { last: 1e9 }).catch(() => {}); // it is killed
    const begin = await steady.call<number>("revision");
    while (await dying.call<number>("revision") < begin + 500) continue;
    await dying.kill();
  }
  await writing;
  checkCounts(await reading);
});

Deno.test("a client's copy follows a server until it is killed, and then stays", async () => {
  const common = setting({ ...FRAME, clients: "read" });
  const server = app();
  await using _ = server;
  await server.call("serve", common);
  await using client = await connect(common.name, { broker: { service: common.broker } });
  const frame = await client.open("frame");
  server.call("write", { last: 1e9 }).catch(() => {}); // it is killed
  const copy = new Uint32Array(frame.byteLength / 4);
  let revision = 0;
  while (revision < 1000) ({ revision } = frame.copyChanges(copy, revision, { timeout: 30_000 }));
  await server.kill();
  assert(await frame.closed instanceof PeerGoneError);
  // Either it died between two locks, or while it wrote, which nobody can mend.
  try {
    const { consistent } = frame.copyChanges(copy, revision);
    assert(consistent);
  } catch (error) {
    assert(error instanceof PeerGoneError, String(error));
  }
});

/* --------------------------------------------------------------------------------- within one process ---- */

/** A server and a client of one region, in this process. */
async function pair(options: RegionOptions) {
  const { name, broker } = setting(options);
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await serve(name, { regions: { frame: options }, broker: { service: broker } }));
  const client = stack.use(await connect(name, { broker: { service: broker } }));
  const ours = server.region("frame");
  const theirs = await client.open("frame");
  const held = stack.move();
  return { server, client, ours, theirs, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

Deno.test("change.ranges has the tiles that changed since the last change, neighbours together", async () => {
  await using both = await pair({ byteLength: 1000, tileBytes: 64 });
  const { server, ours, theirs } = both;
  assertEquals([ours.tileBytes, theirs.tileBytes], [64, 64]);
  const whole = [{ byteOffset: 0, byteLength: 1000 }];
  ours.commit([{ byteOffset: 0, byteLength: 1 }]);
  const changes = theirs.changes();
  const next = async () => (await changes.next()).value!;
  assertEquals((await next()).ranges, whole, "the first");
  ours.commit([{ byteOffset: 60, byteLength: 8 }, { byteOffset: 999, byteLength: 1 }]);
  ours.commit([{ byteOffset: 130, byteLength: 0 }, { byteOffset: 192, byteLength: 64 }]);
  const change = await next();
  assertEquals(change.revision, 3);
  assertEquals(change.ranges, [
    { byteOffset: 0, byteLength: 128 },
    { byteOffset: 192, byteLength: 64 },
    { byteOffset: 960, byteLength: 40 },
  ]);
  assert(change.ranges === change.ranges, "looked up once");
  ours.commit([]);
  assertEquals((await next()).ranges, []);
  ours.commit();
  assertEquals((await next()).ranges, whole);
  ours.commit([{ byteOffset: 64, byteLength: 1 }]);
  ours.commit();
  ours.commit([{ byteOffset: 64, byteLength: 1 }]);
  assertEquals((await next()).ranges, whole);
  const replaced = await server.replace("frame", { byteLength: 2000 });
  assertEquals(replaced.tileBytes, 64, "as before");
  const last = await next();
  assertEquals([last.replaced, last.ranges], [true, whole]);
  const after = theirs.changes({ after: theirs.revision - 1 });
  await theirs.close();
  assertEquals((await after.next()).done, true);
});

Deno.test("copyChanges() takes any view as long as the region, and says what is wrong with others", async () => {
  await using both = await pair({ byteLength: 1000, clients: "read" });
  const { ours, theirs } = both;
  ours.view(Uint8Array).fill(7);
  ours.commit();
  const view = new DataView(new ArrayBuffer(1100), 50, 1000);
  const { revision, bytesCopied, consistent, locked } = theirs.copyChanges(view);
  assertEquals([revision, bytesCopied, consistent, locked], [1, 1000, true, false]);
  assertEquals([view.getUint8(0), view.getUint8(999)], [7, 7]);
  assertEquals(new Uint8Array(view.buffer, 0, 50).indexOf(7), -1);
  assertEquals(theirs.copyChanges(new Float64Array(125), 0).bytesCopied, 1000);
  assertThrows(
    () => theirs.copyChanges(new Uint8Array(999)),
    RangeError,
    "must have the length of the region, 1000",
  );
  assertThrows(() => theirs.copyChanges([] as never), TypeError, "`target`");
  assertThrows(() => theirs.copyChanges(view, 0.5), TypeError, "`lastRevision`");
  assertThrows(() => theirs.copyChanges(view, "1" as never), TypeError, "`lastRevision`");
  assertThrows(() => theirs.copyChanges(view, 0, { timeout: -1 }), RangeError, "`timeout`");
  await theirs.close();
  assertThrows(() => theirs.copyChanges(view), TypeError, "it is closed");
});

Deno.test("commit() checks its ranges before it commits", async () => {
  await using both = await pair({ byteLength: 1000 });
  const { ours } = both;
  const wrong: readonly [unknown, typeof TypeError | typeof RangeError, string][] = [
    [{}, TypeError, "an array of"],
    [[null], TypeError, "`byteOffset` of ranges[0]"],
    [[{ byteOffset: 0, byteLength: 1 }, { byteOffset: "0", byteLength: 1 }], TypeError, "of ranges[1]"],
    [[{ byteOffset: 0 }], TypeError, "`byteLength` of ranges[0]"],
    [[{ byteOffset: -1, byteLength: 1 }], RangeError, "-1"],
    [[{ byteOffset: 0.5, byteLength: 1 }], RangeError, "0.5"],
    [[{ byteOffset: 0, byteLength: NaN }], RangeError, "NaN"],
    [[{ byteOffset: 999, byteLength: 2 }], RangeError, "from byte 999 to 1001"],
  ];
  for (const [ranges, type, text] of wrong) assertThrows(() => ours.commit(ranges as never), type, text);
  assertEquals(ours.revision, 0);
  assertEquals(ours.commit(Array.from({ length: 5000 }, () => ({ byteOffset: 999, byteLength: 1 }))), 1);
});

Deno.test("the length of a tile is a multiple of 64, within bounds", async () => {
  await using both = await pair({ byteLength: 1000 });
  const { server } = both;
  for (const tileBytes of [0, 1, 63, 65, -64, 64.5, 2 ** 31, Infinity, NaN]) {
    await assertRejects(
      async () => await server.add("other", { byteLength: 1, tileBytes }),
      RangeError,
      "`tileBytes`",
    );
  }
  await assertRejects(
    async () => await server.add("other", { byteLength: 1, tileBytes: "64" as never }),
    TypeError,
  );
  for (const tileBytes of [64, 2 ** 30]) {
    const region = await server.add(`frame ${tileBytes}`, { byteLength: 1, tileBytes });
    assertEquals([region.tileBytes, region.view(Uint8Array).length], [tileBytes, 1]);
  }
});

Deno.test("what an old generation gave is copied anew from the next, also while it lives on", async () => {
  await using both = await pair({ byteLength: 1000 });
  const { server, client, ours, theirs } = both;
  ours.commit();
  const copy = new Uint8Array(1000);
  const before = theirs.copyChanges(copy);
  const next = await server.replace("frame", { byteLength: 1000 });
  next.view(Uint8Array).fill(3);
  next.commit([{ byteOffset: 0, byteLength: 1000 }]);
  const stale = theirs.copyChanges(copy, before.revision);
  assertEquals(stale.revision, before.revision, "it must not claim what the next generation has");
  const reopened = await client.open("frame");
  assertEquals(reopened.copyChanges(copy, stale.revision).bytesCopied, 1000);
  assertEquals(copy.indexOf(0), -1);
});

Deno.test("copyChanges() copies at once where this realm holds the mutex, and waits where another does", async () => {
  await using both = await pair({ byteLength: 1000 });
  const { ours, theirs } = both;
  const copy = new Uint8Array(1000);
  ours.mutex.withSync(() => {
    assertEquals(ours.copyChanges(copy).locked, false);
    const error = assertThrows(
      () => theirs.copyChanges(copy, 0, { timeout: 20 }),
      DOMException,
      "holds the mutex",
    );
    assertEquals(error.name, "TimeoutError");
  });
  assertEquals(theirs.copyChanges(copy).consistent, true);
  assert(ours.mutex.tryLock() !== undefined);
});
