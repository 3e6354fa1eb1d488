import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, RemoteError, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

function setting(regions: Record<string, { byteLength: number; clients?: "read" | "write" }>) {
  return { name: uniqueName("sync"), broker: brokerName(), regions };
}

const FRAME = { frame: { byteLength: 4096 } };

/** Two processes: a server of a frame, and a client that has opened it. */
async function openFrame(
  options: { write?: boolean } = {},
): Promise<AsyncDisposable & { server: App; client: App }> {
  await using stack = new AsyncDisposableStack();
  const common = setting(FRAME);
  const server = stack.use(new App());
  const client = stack.use(new App());
  await server.call("serve", common);
  await client.call("connect", common);
  await client.call("open", { region: "frame", ...options });
  const held = stack.move();
  return { server, client, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

Deno.test("Mutex.lock() keeps processes apart, and passes the mutex on", async () => {
  await using pair = await openFrame();
  const { server, client } = pair;
  assertEquals(await server.call("lock", { region: "frame" }), false);
  assertEquals(await client.call("tryLock", { region: "frame" }), false);
  const waiting = client.call("lock", { region: "frame" });
  await server.call("unlock", { region: "frame" });
  assertEquals(await waiting, false);
  assertEquals(await server.call("tryLock", { region: "frame" }), false);
  await client.call("unlock", { region: "frame" });
  assertEquals(await server.call("tryLock", { region: "frame" }), true);
});

Deno.test("Mutex.lock() gives up after its timeout and leaves no trace", async () => {
  await using pair = await openFrame();
  const { server, client } = pair;
  await server.call("lock", { region: "frame" });
  const error = await assertRejects(() => client.call("lock", { region: "frame", timeout: 30 }), RemoteError);
  assertEquals(error.name, "TimeoutError");
  await assertRejects(
    () => client.call("lockSync", { region: "frame", timeout: 30 }),
    RemoteError,
    "within 30 ms",
  );
  await server.call("unlock", { region: "frame" });
  assertEquals(await server.call("tryLock", { region: "frame" }), true);
});

for (const how of ["lock", "lockSync"]) {
  Deno.test(`Mutex.${how}() says that the holder, a client, was killed`, async () => {
    const common = setting(FRAME);
    await using server = new App();
    await using holder = new App();
    await using other = new App();
    await server.call("serve", common);
    for (const app of [holder, other]) {
      await app.call("connect", common);
      await app.call("open", { region: "frame" });
    }
    await holder.call("lock", { region: "frame" });
    const waiting = other.call(how, { region: "frame" });
    await holder.kill();
    assertEquals(await waiting, true);
    await other.call("unlock", { region: "frame" });
    // Told once.
    assertEquals(await server.call(how, { region: "frame" }), false);
  });

  Deno.test(`Mutex.${how}() says that the holder, the server, was killed`, async () => {
    await using pair = await openFrame();
    const { server, client } = pair;
    await server.call("lock", { region: "frame" });
    const waiting = client.call(how, { region: "frame" });
    await server.kill();
    assertEquals(await waiting, true);
  });
}

Deno.test("Mutex.lockSync() of the server sees the death of a client while it blocks its event loop", async () => {
  await using pair = await openFrame();
  const { server, client } = pair;
  await client.call("lock", { region: "frame" });
  const waiting = server.call("lockSync", { region: "frame" });
  await client.kill();
  assertEquals(await waiting, true);
});

Deno.test("Mutex.lock() in one realm is in order, and an abort takes out its own place only", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  const { mutex } = server.region("frame");
  const order: number[] = [];
  const first = await mutex.lock();
  const abort = new AbortController();
  const waiting = [1, 2, 3].map(async (number) => {
    using _ = await mutex.lock(number === 2 ? { signal: abort.signal } : {});
    order.push(number);
  });
  abort.abort(new Error("changed my mind"));
  await assertRejects(() => waiting[1]!, Error, "changed my mind");
  first.unlock();
  await Promise.all([waiting[0], waiting[2]]);
  assertEquals(order, [1, 3]);
  assertEquals(mutex.held, false);
});

Deno.test("Mutex.lockSync() refuses to block itself", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  const { mutex } = server.region("frame");
  using _ = mutex.lockSync();
  assertThrows(() => mutex.lockSync(), TypeError, "would block itself");
  assertEquals(mutex.tryLock(), undefined);
  await using client = await connect(name, { broker: { service: broker } });
  await using once = await client.open("frame");
  await using twice = await client.open("frame");
  _.unlock();
  using _held = once.mutex.lockSync();
  assertThrows(() => twice.mutex.lockSync(), TypeError, "would block itself");
});

Deno.test("LockGuard.unlock() of an old guard does not unlock a new one", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  const { mutex } = server.region("frame");
  const old = mutex.lockSync();
  old.unlock();
  using _ = mutex.lockSync();
  old.unlock();
  assert(mutex.held);
  await using client = await connect(name, { broker: { service: broker } });
  await using frame = await client.open("frame");
  assertEquals(frame.mutex.tryLock(), undefined);
});

Deno.test("Mutex waits end when the region is closed", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  await using client = await connect(name, { broker: { service: broker } });
  const frame = await client.open("frame");
  using _ = server.region("frame").mutex.lockSync();
  const waiting = assertRejects(() => frame.mutex.lock(), TypeError, "the region is closed");
  await frame.close();
  await waiting;
  assertThrows(() => frame.mutex.tryLock(), TypeError, "the region is closed");
});

Deno.test("a region that is closed while it holds the mutex gives it back", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  await using client = await connect(name, { broker: { service: broker } });
  const frame = await client.open("frame");
  await frame.mutex.lock();
  await frame.close();
  using guard = server.region("frame").mutex.tryLock();
  assertEquals(guard?.abandoned, false);
});

Deno.test("a client that leaves does not take the mutex from the server", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  using _ = server.region("frame").mutex.lockSync();
  for (let round = 0; round < 2; round++) {
    await using client = await connect(name, { broker: { service: broker } });
    const frame = await client.open("frame");
    assertEquals(frame.mutex.tryLock(), undefined);
  }
});

Deno.test("Mutex: two processes add to one counter 2,000 times each, and lose nothing", async () => {
  const common = setting(FRAME);
  await using server = new App("counter_app.ts");
  await using client = new App("counter_app.ts");
  await server.call("serve", common);
  await client.call("connect", common);
  const counted = await Promise.all([
    server.call("count", { rounds: 2000, how: "lock" }),
    client.call("count", { rounds: 2000, how: "lockSync" }),
  ]);
  assertEquals(counted, [null, null]);
  assertEquals(await server.call("counter"), 4000);
});

Deno.test("changes() wakes for every commit that it waits for, both ways", async () => {
  await using pair = await openFrame({ write: true });
  const { server, client } = pair;
  for (let revision = 1; revision <= 40; revision++) {
    const [writer, reader] = revision % 2 === 0 ? [client, server] : [server, client];
    const change = reader.call("change", { region: "frame" });
    assertEquals(await writer.call("commit", { region: "frame" }), revision);
    assertEquals(await change, { revision, generation: 1, replaced: false });
    await writer.call("change", { region: "frame" }); // its own commit is a change for it too
  }
});

Deno.test("changes(): what one client commits wakes another", async () => {
  const common = setting(FRAME);
  await using server = new App();
  await using writer = new App();
  await using reader = new App();
  await server.call("serve", common);
  await writer.call("connect", common);
  await writer.call("open", { region: "frame", write: true });
  await reader.call("connect", common);
  await reader.call("open", { region: "frame" });
  for (let revision = 1; revision <= 20; revision++) {
    const change = reader.call("change", { region: "frame" });
    await writer.call("commit", { region: "frame" });
    assertEquals(await change, { revision, generation: 1, replaced: false });
  }
});

Deno.test("changes() works with --allow-ffi alone: a native thread waits", async () => {
  const common = setting(FRAME);
  await using server = new App();
  await using client = new App("app.ts", ["--allow-ffi"]);
  await server.call("serve", common);
  await client.call("connect", common);
  await client.call("open", { region: "frame", write: true });
  for (let revision = 1; revision <= 20; revision++) {
    const change = client.call("change", { region: "frame" });
    await server.call("commit", { region: "frame" });
    assertEquals(await change, { revision, generation: 1, replaced: false });
  }
  await server.call("change", { region: "frame" });
  const change = server.call("change", { region: "frame" });
  await client.call("commit", { region: "frame" });
  assertEquals(await change, { revision: 21, generation: 1, replaced: false });
});

Deno.test("changes() works where there is no folder for temporary files", async () => {
  const common = setting(FRAME);
  await using server = new App("app.ts", ["-A"], { TMPDIR: "/nowhere" });
  await using client = new App("app.ts", ["-A"], { TMPDIR: "/nowhere" });
  await server.call("serve", common);
  await client.call("connect", common);
  await client.call("open", { region: "frame", write: true });
  for (let revision = 1; revision <= 10; revision++) {
    const [writer, reader] = revision % 2 === 0 ? [client, server] : [server, client];
    const change = reader.call("change", { region: "frame" });
    await writer.call("commit", { region: "frame" });
    assertEquals(await change, { revision, generation: 1, replaced: false });
    await writer.call("change", { region: "frame" });
  }
});

Deno.test("commit() and close() at once: the server sees the commit", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  const changes = server.region("frame").changes({ spin: 0 });
  for (let revision = 1; revision <= 50; revision++) {
    const change = changes.next();
    {
      await using client = await connect(name, { broker: { service: broker } });
      (await client.open("frame", { write: true })).commit();
    }
    const { value } = await change;
    assertEquals([value!.revision, value!.generation, value!.replaced], [revision, 1, false]);
  }
});

Deno.test("changes() conflates, begins after `after`, and ends with its signal and its region", async () => {
  const { name, broker, regions } = setting(FRAME);
  await using server = await serve(name, { regions, broker: { service: broker } });
  const served = server.region("frame");
  for (let commit = 0; commit < 5; commit++) served.commit();
  await using client = await connect(name, { broker: { service: broker } });
  const frame = await client.open("frame");
  const seen: number[] = [];
  for await (const { revision } of frame.changes({ after: 2 })) {
    seen.push(revision);
    if (revision === 7) break;
    served.commit();
    served.commit();
  }
  assertEquals(seen, [5, 7]);

  const abort = new AbortController();
  const aborted = assertRejects(
    () => frame.changes({ after: 7, signal: abort.signal }).next(),
    Error,
    "enough",
  );
  abort.abort(new Error("enough"));
  await aborted;

  const next = frame.changes({ after: 7 }).next();
  await frame.close();
  assertEquals(await next, { value: undefined, done: true });
  assertThrows(() => frame.revision, TypeError, "it is closed");
});

Deno.test("waitSync() sees commits, times out, and learns that the server was killed", async () => {
  const common = setting({ frame: { byteLength: 4096, clients: "read" } });
  await using server = new App();
  await using client = new App();
  await server.call("serve", common);
  await client.call("connect", common);
  await client.call("open", { region: "frame" });
  const waiting = client.call("waitSync", { region: "frame", after: 0 });
  await server.call("commit", { region: "frame" });
  assertEquals(await waiting, 1);
  const late = await assertRejects(() => client.call("waitSync", { region: "frame", after: 1, timeout: 20 }));
  assertEquals((late as Error).name, "TimeoutError");
  const orphan = assertRejects(() => client.call("waitSync", { region: "frame", after: 1 }), RemoteError);
  await server.kill();
  assertEquals((await orphan).name, "PeerGoneError");
});

Deno.test("commit() to a client that was killed while it waited reaches the others", async () => {
  const common = setting(FRAME);
  await using server = new App();
  await using dead = new App();
  await using alive = new App();
  await server.call("serve", common);
  for (const app of [dead, alive]) {
    await app.call("connect", common);
    await app.call("open", { region: "frame" });
  }
  const unanswered = assertRejects(
    () => dead.call("change", { region: "frame" }),
    Error,
    "the process ended",
  );
  await dead.kill();
  await unanswered;
  const change = alive.call("change", { region: "frame" });
  await server.call("commit", { region: "frame" });
  assertEquals(await change, { revision: 1, generation: 1, replaced: false });
});
