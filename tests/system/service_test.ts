import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, join, NameTakenError, serve } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, ownBroker, RemoteError, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

const MEBIBYTE = 2 ** 20;

/** What every call of one test has in common. */
function setting(regions: Record<string, { byteLength: number; clients?: string }>): Record<string, unknown> {
  return { name: uniqueName("service"), broker: brokerName(), regions, timeout: 20_000 };
}

Deno.test("connect() finds a server that was started before", async () => {
  const common = setting({ frame: { byteLength: MEBIBYTE } });
  await using server = new App();
  await using client = new App();
  await server.call("serve", common);
  await server.call("fill", { region: "frame", value: 7 });
  assertEquals(await client.call("connect", common), server.pid);
  await client.call("open", { region: "frame" });
  assertEquals(await client.call("sum", { region: "frame" }), { total: 7 * MEBIBYTE, length: MEBIBYTE });
});

Deno.test("connect() waits for a server that is started after", async () => {
  const common = setting({ frame: { byteLength: MEBIBYTE } });
  await using server = new App();
  await using client = new App();
  const connected = client.call("connect", common);
  await server.call("serve", common);
  assertEquals(await connected, server.pid);
});

Deno.test("connect() and serve() work at once, in five rounds", async () => {
  await using server = new App();
  await using client = new App();
  for (let round = 0; round < 5; round++) {
    const common = setting({ frame: { byteLength: 4096 } });
    const [pid] = await Promise.all([client.call("connect", common), server.call("serve", common)]);
    assertEquals(pid, server.pid);
    await Promise.all([client.call("leave"), server.call("leave")]);
  }
});

Deno.test("connect() gives up when its signal says so", async () => {
  await using client = new App();
  const error = await assertRejects(
    () => client.call("connect", { ...setting({}), timeout: 100 }),
    RemoteError,
  );
  assertEquals(error.name, "TimeoutError");
});

Deno.test("join() makes exactly one server, in 100 rounds of three at once", async () => {
  await using one = new App();
  await using two = new App();
  await using three = new App();
  const apps = [one, two, three];
  const broker = brokerName();
  for (let round = 0; round < 100; round++) {
    const common = { ...setting({ frame: { byteLength: 4096 } }), broker };
    type Joined = { role: string; pid: number };
    const joined = await Promise.all(apps.map((app) => app.call<Joined>("join", common)));
    const servers = joined.filter(({ role }) => role === "server");
    assertEquals(servers.length, 1, `round ${round}: ${JSON.stringify(joined)}`);
    for (const { pid } of joined) assertEquals(pid, servers[0]?.pid, `round ${round}`);
    await Promise.all(apps.map((app) => app.call("leave")));
  }
});

Deno.test("serve() of a name that is served fails, and names who serves it", async () => {
  const common = setting({ frame: { byteLength: 4096 } });
  await using first = new App();
  await using second = new App();
  await first.call("serve", common);
  const error = await assertRejects(
    () => second.call("serve", common),
    RemoteError,
    `process ${first.pid} serves it`,
  );
  assertEquals(error.name, "NameTakenError");
  // The refused one left nothing behind: the first still serves.
  await using client = new App();
  assertEquals(await client.call("connect", common), first.pid);
});

Deno.test("serve() with policy replace takes the name, and the first is told", async () => {
  const common = setting({ frame: { byteLength: 4096 } });
  await using first = new App();
  await using second = new App();
  await using client = new App();
  await first.call("serve", common);
  await client.call("connect", common);
  await client.call("open", { region: "frame" });
  const ended = first.call("closed");
  await second.call("serve", { ...common, policy: "replace" });
  assertEquals(await ended, "NameTakenError");
  // The client's link ended with the first server; opened again, the region is the second's.
  await second.call("fill", { region: "frame", value: 3 });
  await assertRejects(() => client.call("change", { region: "frame" }), RemoteError, "the server is gone");
  await client.call("open", { region: "frame", timeout: 10_000 });
  assertEquals(await client.call("sum", { region: "frame" }), { total: 3 * 4096, length: 4096 });
});

Deno.test("connect() is refused where the schemas differ", async () => {
  const common = setting({ frame: { byteLength: 4096 } });
  await using server = new App();
  await using client = new App();
  await server.call("serve", { ...common, schema: "frames v2" });
  const error = await assertRejects(
    () => client.call("connect", { ...common, schema: "frames v3" }),
    RemoteError,
  );
  assertEquals(error.name, "IncompatibleError");
  assertEquals(
    (await assertRejects(() => client.call("connect", common), RemoteError)).name,
    "IncompatibleError",
  );
  assertEquals(await client.call("connect", { ...common, schema: "frames v2" }), server.pid);
});

Deno.test("Client.open() names the regions that there are", async () => {
  const common = setting({ frame: { byteLength: 4096 }, mask: { byteLength: 4096, clients: "read" } });
  await using server = new App();
  await using client = new App();
  await server.call("serve", common);
  await client.call("connect", common);
  await assertRejects(() => client.call("open", { region: "sound" }), RemoteError, `"frame", "mask"`);
  const error = await assertRejects(() => client.call("open", { region: "mask", write: true }), RemoteError);
  assertEquals(error.name, "NotCapable");
});

Deno.test("a killed server leaves the client what it mapped, an error, and the next server", async () => {
  const common = setting({ frame: { byteLength: MEBIBYTE } });
  await using client = new App();
  await using first = new App();
  const connecting = client.call("connect", common); // the client is the broker
  await first.call("serve", common);
  await connecting;
  await client.call("open", { region: "frame" });
  await first.call("fill", { region: "frame", value: 9 });
  await first.call("commit", { region: "frame" });
  assertEquals(await client.call("change", { region: "frame" }), {
    revision: 1,
    generation: 1,
    replaced: false,
  });
  const waiting = client.call("change", { region: "frame" });
  const failed = assertRejects(() => waiting, RemoteError, "the server is gone");
  await first.kill();
  await failed;
  assertEquals(await client.call("orphaned", { region: "frame" }), true);
  assertEquals(await client.call("sum", { region: "frame" }), { total: 9 * MEBIBYTE, length: MEBIBYTE });

  const opened = client.call("open", { region: "frame", timeout: 20_000 }); // waits for a server
  await using second = new App();
  await second.call("serve", common);
  await opened;
  assertEquals(await client.call("sum", { region: "frame" }), { total: 0, length: MEBIBYTE });
  assertEquals(await client.call("orphaned", { region: "frame" }), false);
});

Deno.test("a killed client leaves the server as it was", async () => {
  const common = setting({ frame: { byteLength: 4096 } });
  await using server = new App();
  await server.call("serve", common);
  {
    await using client = new App();
    await client.call("connect", common);
    await client.call("open", { region: "frame" });
    assertEquals(await server.call("clients"), 1);
    await client.kill();
  }
  await using other = new App();
  await other.call("connect", common);
  await other.call("open", { region: "frame" });
  assertEquals(await server.call("clients"), 1);
  await server.call("commit", { region: "frame" });
  assertEquals(await other.call("change", { region: "frame" }), {
    revision: 1,
    generation: 1,
    replaced: false,
  });
});

Deno.test(
  "a killed broker is replaced: links live on, the server registers again",
  { ignore: !ownBroker },
  async () => {
    const common = setting({ frame: { byteLength: 4096 } });
    await using broker = new App("broker_app.ts");
    await broker.call("start", common);
    await using server = new App();
    await using client = new App();
    await server.call("serve", common);
    await client.call("connect", common);
    await client.call("open", { region: "frame" });
    await broker.kill();
    await server.call("commit", { region: "frame" });
    assertEquals(await client.call("change", { region: "frame" }), {
      revision: 1,
      generation: 1,
      replaced: false,
    });
    await using late = new App();
    assertEquals(await late.call("connect", common), server.pid);
  },
);

Deno.test(
  "a client that waits for a server survives the death of the broker",
  { ignore: !ownBroker },
  async () => {
    const common = setting({ frame: { byteLength: 4096 } });
    await using broker = new App("broker_app.ts");
    await broker.call("start", common);
    await using client = new App();
    const connecting = client.call("connect", common);
    await broker.call("waiting", { count: 1 });
    await broker.kill();
    await using server = new App();
    await server.call("serve", common);
    assertEquals(await connecting, server.pid);
  },
);

Deno.test("a region that clients may only read is protected by the kernel", async () => {
  const common = setting({ mask: { byteLength: MEBIBYTE, clients: "read" } });
  await using server = new App();
  await using vandal = new App();
  await server.call("serve", common);
  await server.call("fill", { region: "mask", value: 5 });
  await vandal.call("connect", common);
  await vandal.call("open", { region: "mask" });
  assertEquals(await vandal.call("sum", { region: "mask" }), { total: 5 * MEBIBYTE, length: MEBIBYTE });
  await assertRejects(() => vandal.call("vandalise", { region: "mask" }), Error, "the process ended");
  const { signal, success } = await vandal.ended();
  assert(!success && (signal === "SIGSEGV" || signal === "SIGBUS"), `the vandal ended by ${signal}`);
  assertEquals(await server.call("sum", { region: "mask" }), { total: 5 * MEBIBYTE, length: MEBIBYTE });
});

Deno.test("Server.replace() tells clients, who keep the old memory and open the new", async () => {
  const common = setting({ frame: { byteLength: 4096 } });
  await using server = new App();
  await using client = new App();
  await server.call("serve", common);
  await server.call("fill", { region: "frame", value: 1 });
  await client.call("connect", common);
  await client.call("open", { region: "frame" });
  await server.call("replace", { region: "frame", byteLength: 8192 });
  assertEquals(await client.call("change", { region: "frame" }), {
    revision: 1,
    generation: 2,
    replaced: true,
  });
  assertEquals(await client.call("sum", { region: "frame" }), { total: 4096, length: 4096 });
  assertEquals(await client.call("open", { region: "frame" }), {
    byteLength: 8192,
    generation: 2,
    clients: "write",
  });
  assertEquals(await client.call("sum", { region: "frame" }), { total: 0, length: 8192 });
});

Deno.test("opening eight regions of 100 MiB copies nothing", async () => {
  const names = Array.from({ length: 8 }, (_, index) => `region ${index}`);
  const byteLength = 100 * MEBIBYTE;
  const common = setting(Object.fromEntries(names.map((name) => [name, { byteLength }])));
  await using server = new App();
  await using client = new App();
  await server.call("serve", common);
  await client.call("connect", common);
  const before = await client.call<number>("resident");
  await client.call("openAll", { regions: names });
  const after = await client.call<number>("resident");
  assert(after - before < 16 * MEBIBYTE, `resident memory grew from ${before} to ${after} bytes`);
});

Deno.test("two servers of one name in one realm: the second is refused, or replaces the first", async () => {
  const broker = { service: brokerName() };
  const name = uniqueName("service");
  const regions = { frame: { byteLength: 4096 } };
  await using first = await serve(name, { regions, broker });
  const refused = await assertRejects(() => serve(name, { regions, broker }), NameTakenError);
  assertEquals(refused.pid, Deno.pid);
  await using second = await serve(name, { regions, broker, policy: "replace" });
  assertEquals(await first.closed instanceof NameTakenError, true);
  second.region("frame").view(Uint8Array)[0] = 1;
  await using client = await connect(name, { broker });
  assertEquals((await client.open("frame")).view(Uint8Array)[0], 1);
});

Deno.test("join() twice at once in one realm makes a server and its client", async () => {
  const broker = { service: brokerName() };
  const name = uniqueName("service");
  const options = { regions: { frame: { byteLength: 4096 } }, broker };
  const joined = await Promise.all([join(name, options), join(name, options), join(name, options)]);
  try {
    assertEquals(joined.map(({ role }) => role).sort(), ["client", "client", "server"]);
  } finally {
    for (const one of joined) await one.close();
  }
});

Deno.test("Server.region(), add() and replace() check names and lengths", async () => {
  const broker = { service: brokerName() };
  await using server = await serve(uniqueName("service"), {
    regions: { frame: { byteLength: 4096 } },
    broker,
  });
  assertThrows(() => server.region("sound"), Deno.errors.NotFound, `this server has "frame"`);
  await assertRejects(() => server.add("frame", { byteLength: 1 }), TypeError, "there is one");
  await assertRejects(() => server.add("", { byteLength: 1 }), TypeError, "1 to 128 printable characters");
  await assertRejects(() => server.add("sound", { byteLength: 0 }), RangeError, 'region "sound"');
  await assertRejects(() => server.replace("sound", { byteLength: 1 }), Deno.errors.NotFound);
  await assertRejects(
    () => server.replace("frame", { byteLength: 1, clients: "read" }),
    TypeError,
    "access cannot change",
  );
  const sound = await server.add("sound", { byteLength: 10 });
  assertEquals([sound.byteLength, sound.generation, server.regions], [10, 1, ["frame", "sound"]]);
  const before = server.region("frame");
  const view = before.view(Uint8Array);
  const after = await server.replace("frame", { byteLength: 5000 });
  assertEquals([after.byteLength, after.generation, after.revision, view.length], [5000, 2, 1, 0]);
  assertThrows(() => before.view(Uint8Array), TypeError, "it is closed");
});

Deno.test("serve() that fails leaves nothing behind", async () => {
  const broker = { service: brokerName() };
  const regions = { frame: { byteLength: 4096 }, huge: { byteLength: 2 ** 50 } };
  await assertRejects(() => serve("not a name", { regions, broker }), TypeError, '"not a name"');
  await assertRejects(() => serve("com.example.huge", { regions, broker }), RangeError, 'region "huge"');
  // The sanitizers of this test see to the rest.
});

Deno.test("a server and a client in a worker and in the main realm share one process", async () => {
  const common = { service: brokerName(), name: uniqueName("service") };
  const regions = { frame: { byteLength: 4096 } };
  await using server = await serve(common.name, { regions, broker: { service: common.service } });
  const worker = new Worker(new URL("../support/waiting_worker.ts", import.meta.url), { type: "module" });
  const told = Promise.withResolvers<MessageEvent>();
  const done = Promise.withResolvers<MessageEvent>();
  worker.onmessage = (event) => event.data === "waiting" ? told.resolve(event) : done.resolve(event);
  worker.postMessage(common);
  await told.promise;
  server.region("frame").view(Uint8Array)[0] = 42;
  server.region("frame").commit(); // wakes a thread that sits in waitSync()
  assertEquals((await done.promise).data, 42);
  worker.terminate();
});
