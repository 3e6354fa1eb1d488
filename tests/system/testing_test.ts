import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import {
  at,
  FaultProxy,
  leakCheck,
  LeakError,
  type PassingMessage,
  processResources,
  testSandbox,
} from "../../src/testing/mod.ts";
import { ConnectionError } from "../../src/xpc/mod.ts";
import { App, ownBroker } from "../support/process.ts";

const ignore = !ownBroker; // elsewhere a test has no broker, no runtime directory and no /proc of its own
const regions = { frame: { byteLength: 4096 } };

Deno.test({
  name: "testSandbox() has names, sockets and an environment of its own, and leaves nothing",
  ignore,
  async fn() {
    const before = Deno.env.get("XDG_RUNTIME_DIR");
    let directory: string;
    {
      await using sandbox = await testSandbox({ prefix: "mine" });
      const { name, broker } = sandbox;
      directory = sandbox.runtimeDirectory!;
      assert(name.startsWith("mine."), name);
      assertEquals(Deno.env.get("XDG_RUNTIME_DIR"), directory);
      await using server = await serve(name, { broker, regions });
      const files = [...Deno.readDirSync(`${directory}/xpc-shmem`)].map(({ name }) => name);
      assert(files.includes(`${broker.service}.sock`), files.join());
      // Another process takes part by the environment, and would not find the server without.
      await using app = new App("app.ts", ["-A"], { ...sandbox.environment });
      const found = { name, broker: broker.service, embedded: false, timeout: 10_000 };
      assertEquals(await app.call("connect", found), Deno.pid);
      await using stranger = new App("app.ts", ["-A"], { XDG_RUNTIME_DIR: "" });
      await assertRejects(() => stranger.call("connect", found), Error, "Cannot reach");
      assertEquals(server.clients, 1);
      assertEquals((await app.end()).code, 0);
    }
    assertEquals(Deno.env.get("XDG_RUNTIME_DIR"), before);
    await assertRejects(() => Deno.stat(directory), Deno.errors.NotFound);
  },
});

Deno.test("testSandbox() closes twice without harm, and gives another name each time", async () => {
  await using first = await testSandbox();
  await first.close();
  await first.close();
  await using second = await testSandbox();
  assert(first.name !== second.name);
});

Deno.test("leakCheck() says nothing where everything was closed", async () => {
  await using _leaks = await leakCheck();
  await using sandbox = await testSandbox();
  const broker = ownBroker ? sandbox.broker : undefined;
  await using server = await serve(sandbox.name, { broker, regions });
  await using client = await connect(sandbox.name, { broker });
  const changes = (await client.open("frame")).changes();
  server.region("frame").commit();
  await changes.next();
});

Deno.test({
  name: "leakCheck() names a descriptor and a mapping that stayed",
  ignore,
  async fn() {
    await using sandbox = await testSandbox();
    const { name, broker } = sandbox;
    await using server = await serve(name, { broker, regions });
    await using client = await connect(name, { broker });
    const leaks = await leakCheck({ timeout: 50 });
    const frame = await client.open("frame");
    const mapping = await assertRejects(() => leaks.verify(), LeakError, "1 more mappings");
    assert(mapping.message.includes("memfd:"), mapping.message);
    assertEquals(mapping.after.mappings, mapping.before.mappings + 1);
    await frame.close();
    using file = await Deno.open("/dev/zero");
    const descriptor = await assertRejects(() => leaks.verify(), LeakError, "1 more descriptors");
    assert(descriptor.message.includes(": /dev/zero"), descriptor.message);
    file.close();
    await leaks.verify();
    assertEquals(server.clients, 1);
  },
});

Deno.test({
  name: "leakCheck() sees a thread that stayed",
  ignore,
  async fn() {
    const script = new URL("../support/leaking_thread.ts", import.meta.url).href;
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", script],
      stderr: "inherit",
    }).output();
    assertMatch(new TextDecoder().decode(stdout), /Cannot end without a leak: .* more threads/);
  },
});

Deno.test("leakCheck() refuses a timeout that is none", async () => {
  await assertRejects(() => leakCheck({ timeout: NaN }), RangeError, '"timeout" is NaN');
  assert(processResources().descriptors > 0);
});

Deno.test("FaultProxy passes everything on where nothing is to go wrong", async () => {
  await using _leaks = await leakCheck();
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  const seen: PassingMessage[] = [];
  const watch = (message: PassingMessage): undefined => void seen.push(message);
  await using server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker, faults: watch });
  await using client = await connect(proxy.name, { broker });
  const frame = await client.open("frame", { write: true });
  frame.view(Uint8Array)[0] = 7;
  assertEquals(server.region("frame").view(Uint8Array)[0], 7);
  const changes = frame.changes({ spin: 0 });
  server.region("frame").commit();
  assertEquals((await changes.next()).value?.revision, 1);
  {
    using _ = await frame.mutex.lock();
    assertEquals(server.region("frame").mutex.tryLock(), undefined);
  }
  assertEquals(proxy.connections, 1);
  const said = seen.map(({ from, type, op, connection }) => `${connection} ${from} ${type} ${op}`);
  assertEquals(said.slice(0, 4), [
    "1 client request hello",
    "1 server reply hello",
    "1 client request open",
    "1 server reply open",
  ]);
});

Deno.test("FaultProxy closes both ends at the step that a fault names", async () => {
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using server = await serve(name, { broker, regions });
  const faults = at({ from: "server", op: "open", nth: 1 }, "close");
  await using proxy = await FaultProxy.start(name, { broker, faults });
  {
    await using client = await connect(proxy.name, { broker, reconnect: false });
    await assertRejects(() => client.open("frame"), ConnectionError);
    assert(await client.closed instanceof ConnectionError);
  }
  await using client = await connect(proxy.name, { broker });
  await client.open("frame"); // the second reply passes
  assertEquals([proxy.connections, server.clients], [1, 1]);
});

Deno.test("FaultProxy drops a message so that its sender waits", async () => {
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using _server = await serve(name, { broker, regions });
  const dropped = Promise.withResolvers<void>();
  const drop = at({ type: "request", op: "open", nth: 1 }, "drop");
  await using proxy = await FaultProxy.start(name, {
    broker,
    faults: async (message) => {
      const action = await drop(message);
      if (action !== undefined) dropped.resolve();
      return action;
    },
  });
  await using client = await connect(proxy.name, { broker });
  const stop = new AbortController();
  const open = client.open("frame", { signal: stop.signal });
  await dropped.promise;
  await client.open("frame"); // which was asked later, and answered
  stop.abort(new Error("enough"));
  await assertRejects(() => open, Error, "enough");
});

Deno.test("FaultProxy holds a message back until its plan lets go, and what comes behind it", async () => {
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using _server = await serve(name, {
    broker,
    regions: { frame: { byteLength: 1 }, mask: { byteLength: 1 } },
  });
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<undefined>();
  const order: string[] = [];
  await using proxy = await FaultProxy.start(name, {
    broker,
    faults: [
      at({ op: "hello" }, { delay: 1 }),
      ({ op, from }) => {
        if (op !== "open" || from !== "client") return undefined;
        reached.resolve();
        return go.promise;
      },
    ],
  });
  await using client = await connect(proxy.name, { broker });
  const opened = ["frame", "mask"].map(async (region) => {
    await client.open(region);
    order.push(region);
  });
  await reached.promise;
  assertEquals(order, []);
  go.resolve(undefined);
  await Promise.all(opened);
  assertEquals(order, ["frame", "mask"]);
});

Deno.test("FaultProxy makes a lock abandoned that a client holds as it is cut off", async () => {
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker });
  await using client = await connect(proxy.name, { broker, reconnect: false });
  const frame = await client.open("frame", { write: true });
  await frame.mutex.lock();
  await proxy.disconnect();
  using guard = await server.region("frame").mutex.lock();
  assertEquals([guard.abandoned, proxy.connections], [true, 0]);
});

Deno.test("a client that is cut off while its server lives connects to it again", async () => {
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using server = await serve(name, { broker, regions });
  await using proxy = await FaultProxy.start(name, { broker });
  await using client = await connect(proxy.name, { broker });
  const before = await client.open("frame");
  await proxy.disconnect();
  assert(await before.closed instanceof Error);
  const after = await client.open("frame", { signal: AbortSignal.timeout(30_000) });
  server.region("frame").view(Uint8Array)[0] = 3;
  assertEquals(after.view(Uint8Array)[0], 3);
});

Deno.test({
  name: "FaultProxy lives on when the broker and the server die, and passes clients to the next server",
  ignore,
  async fn() {
    await using sandbox = await testSandbox();
    const { name, broker, environment } = sandbox;
    const where = { name, broker: broker.service, regions };
    await using first = new App("app.ts", ["-A"], { ...environment });
    await first.call("serve", where); // which makes it the broker too
    await using proxy = await FaultProxy.start(name, { broker });
    {
      await using client = await connect(proxy.name, { broker });
      await client.open("frame");
    }
    await first.kill();
    await using second = new App("app.ts", ["-A"], { ...environment });
    await second.call("serve", where);
    await using client = await connect(proxy.name, { broker });
    assertEquals((await client.open("frame")).byteLength, 4096);
  },
});

Deno.test("FaultProxy.start() refuses a name that is not valid, or that somebody serves", async () => {
  await using _leaks = await leakCheck();
  await using sandbox = await testSandbox();
  const { name } = sandbox;
  const broker = ownBroker ? sandbox.broker : undefined;
  await using _server = await serve(name, { broker, regions });
  await assertRejects(() => FaultProxy.start(name, { broker, name: "not a name" }), Error, '"not a name"');
  await assertRejects(() => FaultProxy.start(name, { broker, name }), Error, "is taken");
  await using app = new App("app.ts", ["-A"], { ...sandbox.environment });
  const elsewhere = `${name}.elsewhere`;
  await app.call("serve", { name: elsewhere, broker: broker?.service, regions });
  await assertRejects(
    () => FaultProxy.start(name, { broker, name: elsewhere }),
    Error,
    "another app serves it",
  );
});

Deno.test("at() counts what fits, and refuses numbers that mean nothing", () => {
  const plan = at({ from: "client", op: "open", nth: 2 }, "drop");
  const message = { from: "client", type: "request", op: "open", connection: 1 } as const;
  assertEquals(
    [plan(message), plan({ ...message, op: "bell" }), plan({ ...message, from: "server" }), plan(message)],
    [undefined, undefined, undefined, "drop"],
  );
  assertEquals(plan(message), undefined);
  assertEquals([1, 2].map(() => at({}, "close")(message)), ["close", "close"]);
  assertThrows(() => at({ nth: 0 }, "drop"), RangeError, '"nth" is 0');
  assertThrows(() => at({}, { delay: -1 }), RangeError, '"delay" is -1');
});
