import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { Broker } from "../../src/broker/broker.ts";
import { load } from "../../ffi/load.ts";
import { Mapping } from "../../src/memory/mod.ts";
import { LAYOUT_VERSION, LOCK_BYTES, SERVER_BYTES } from "../../src/link/layout.ts";
import {
  Connection,
  FileDescriptor,
  Int64,
  Listener,
  Uuid,
  type XpcRecord,
  type XpcValue,
} from "../../src/xpc/mod.ts";
import { Endpoint } from "../../src/xpc/endpoint.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

await load();

/** Random numbers that are the same in each run (Marsaglia's xorshift32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A value of any kind, the kinds that a broker and a server know among them. */
function anything(next: (below: number) => number, shared: readonly XpcValue[], depth = 0): XpcValue {
  const words = [
    "hello",
    "register",
    "lookup",
    "join",
    "open",
    "stream",
    "bell",
    "describe",
    "com.example.x",
    "",
    "x".repeat(300),
  ];
  const makers: (() => XpcValue)[] = [
    () => null,
    () => next(2) === 0,
    () => BigInt(next(4)),
    () => 2n ** 64n - 1n - BigInt(next(3)),
    () => new Int64(-BigInt(next(1000))),
    () => next(1000) / 7,
    () => words[next(words.length)] ?? "",
    () => new Uint8Array(next(64)),
    () => new Date(next(1e9)),
    () => new Uuid(new Uint8Array(16)),
    () => shared[next(shared.length)] ?? null,
    () => depth > 3 ? null : Array.from({ length: next(4) }, () => anything(next, shared, depth + 1)),
    () => depth > 3 ? null : message(next, shared, depth + 1),
  ];
  return makers[next(makers.length)]!();
}

/** A request with some of the keys that are looked at, and others. */
function message(next: (below: number) => number, shared: readonly XpcValue[], depth = 0): XpcRecord {
  const keys = ["op", "name", "endpoint", "policy", "after", "wait", "id", "min", "max", "generation"];
  keys.push("version", "layout", "schema", "words", "bell", "index", "leases", "reader", "whatever");
  const record: Record<string, XpcValue> = {};
  for (let count = next(6); count > 0; count--) {
    record[keys[next(keys.length)] ?? ""] = anything(next, shared, depth);
  }
  // Most of them get past the first check.
  const ops = [
    "hello",
    "register",
    "lookup",
    "cancel",
    "unregister",
    "list",
    "watch",
    "status",
    "open",
    "bell",
    "stream",
    "stream_close",
  ];
  if (depth === 0 && next(4) > 0) record["op"] = ops[next(ops.length)] ?? "";
  return record;
}

/** Sends 10,000 random messages over one connection after the other, as many as get through. */
async function bombard(open: () => Promise<Connection>, hello: () => XpcRecord): Promise<void> {
  const next = random(20260203);
  await using listener = await Listener.anonymous(() => undefined);
  using endpoint = listener.endpoint();
  using descriptor = await FileDescriptor.from(0);
  using mapping = await Mapping.create(64);
  using memory = mapping.share();
  const shared = [endpoint, descriptor, memory];
  let connection = await open();
  const pending: Promise<unknown>[] = [];
  for (let count = 0; count < 10_000; count++) {
    if (!connection.open || count % 1000 === 0) {
      await connection.close();
      connection = await open();
      await connection.request(hello(), { timeout: 10_000 });
    }
    const record = message(next, shared);
    if (next(2) === 0) connection.send(record);
    else if (record["wait"] === true) connection.send(record); // a lookup that waits is answered at the end only
    // Whatever it says, or that the connection ended.
    else pending.push(connection.request(record, { timeout: 10_000 }).catch(() => {}));
    if (pending.length >= 32) await Promise.all(pending.splice(0));
  }
  await Promise.all(pending);
  await connection.close();
}

Deno.test("a broker survives 10,000 random messages", { ignore: !ownBroker }, async () => {
  const service = brokerName();
  await using _broker = await Broker.start({ service });
  const hello = { op: "hello", min: 1n, max: 1n };
  await bombard(() => Connection.toService(service), () => hello);
  await using connection = await Connection.toService(service);
  await connection.request(hello);
  const status = await connection.request({ op: "status" }, { timeout: 10_000 });
  assertEquals(status["ok"], true);
  assertEquals(status["waiting"], 0n);
});

Deno.test("a server survives 10,000 random messages, and its clients notice nothing", async () => {
  const broker = { service: brokerName() };
  const name = uniqueName("service");
  const regions = { frame: { byteLength: 4096 }, mask: { byteLength: 4096, clients: "read" as const } };
  const streams = { stream: { byteLength: 4096 } }; // named as one of the words that are sent
  await using server = await serve(name, { regions, streams, broker });
  await using client = await connect(name, { broker });
  const frame = await client.open("frame");
  await using lookup = await Connection.toService(broker.service);
  await lookup.request({ op: "hello", min: 1n, max: 1n });
  const { endpoint } = await lookup.request({ op: "lookup", name });
  assert(endpoint instanceof Endpoint);
  using words = await Mapping.create(4096);
  using shared = words.share();
  await bombard(
    () => Connection.toEndpoint(endpoint),
    () => ({ op: "hello", min: 1n, max: 1n, layout: BigInt(LAYOUT_VERSION), schema: null, words: shared }),
  );
  endpoint[Symbol.dispose]();
  assertEquals(server.clients, 1);
  server.region("frame").view(Uint8Array)[1] = 9;
  const next = frame.changes().next();
  server.region("frame").commit();
  const change = (await next).value!;
  assertEquals([change.revision, change.generation, change.replaced], [1, 1, false]);
  assertEquals(frame.view(Uint8Array)[1], 9);
});

/** Registers a server of lies, and connects to it. */
async function lie(
  answers: Record<string, () => XpcRecord>,
  check: (name: string, broker: string) => Promise<void>,
) {
  const service = brokerName();
  const name = uniqueName("service");
  await using _broker = await Broker.start({ service });
  await using liar = await Listener.anonymous(() => ({
    message: (message) => {
      const op = String(message.values["op"]);
      using _ = message;
      if (message.expectsReply) message.reply(answers[op]?.() ?? {});
    },
  }));
  using endpoint = liar.endpoint();
  await using connection = await Connection.toService(service);
  await connection.request({ op: "hello", min: 1n, max: 1n });
  await connection.request({ op: "register", name, endpoint, policy: "reject" });
  await check(name, service);
}

Deno.test("connect() does not believe a server that lies in its hello", { ignore: !ownBroker }, async () => {
  using small = await Mapping.create(4096, { readOnlyForOthers: true });
  using good = await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true });
  using words = small.share();
  using server = good.share();
  using memory = await Mapping.create(4096);
  using locks = memory.share();
  using lockWords = await Mapping.create(LOCK_BYTES);
  using long = lockWords.share();
  using output = await FileDescriptor.from(0);
  const hellos: (() => XpcRecord)[] = [
    () => ({}),
    () => ({ ok: true }),
    () => ({ ok: true, version: 1n, owner: 2n, server: 1n, locks: 2n }),
    () => ({ ok: true, version: 2n, owner: 2n, server, locks: long }), // a version that was not offered
    () => ({ ok: true, version: 1n, owner: 1n, server, locks }), // that would be the server itself
    () => ({ ok: true, version: 1n, owner: 2n ** 40n, server, locks }),
    () => ({ ok: true, version: 1n, owner: 2n, server: words, locks }), // shorter than the layout
    () => ({ ok: true, version: 1n, owner: 2n, server, locks }), // so are the locks
    () => ({ ok: true, version: 1n, owner: 2n, server: output, locks }), // no memory at all
    () => ({ ok: true, version: 1n, owner: "2", server: locks, locks: server }),
  ];
  for (const hello of hellos) {
    await lie({ hello }, async (name, service) => {
      await assertRejects(
        () => connect(name, { broker: { service }, signal: AbortSignal.timeout(10_000) }),
        Error,
        "Cannot",
      );
    });
  }
});

Deno.test(
  "Client.open() does not believe a server that lies about a region",
  { ignore: !ownBroker },
  async () => {
    using words = await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true });
    using server = words.share();
    using lockWords = await Mapping.create(2 ** 16);
    using locks = lockWords.share();
    const opens: XpcRecord[] = [
      { ok: true },
      { ok: true, index: 256n, generation: 1n, byteLength: 4096n, memory: locks },
      { ok: true, index: 0n, generation: 1n, byteLength: 2n ** 40n, memory: locks },
      { ok: true, index: 0n, generation: 1n, byteLength: 2n ** 60n, memory: locks },
      { ok: true, index: 0n, generation: 1n, byteLength: 0n, memory: locks },
      { ok: true, index: 0n, generation: -1n, byteLength: 4096n, memory: locks },
      { ok: true, index: 0n, generation: 1n, byteLength: 4096n, memory: "none" },
      { ok: false, code: 7n, message: null },
    ];
    const hello = { ok: true, version: 1n, owner: 2n, server, locks };
    let turn = 0;
    await lie({ hello: () => hello, open: () => opens[turn++] ?? {} }, async (name, service) => {
      await using client = await connect(name, { broker: { service } });
      for (const _ of opens) await assertRejects(() => client.open("frame"), Error, "Cannot");
    });
  },
);

Deno.test("words that a peer fills with garbage do no harm", { ignore: !ownBroker }, async () => {
  const broker = brokerName();
  const name = uniqueName("service");
  await using server = new App("garbage_app.ts");
  await server.call("serve", { name, broker });
  await using client = await connect(name, { broker: { service: broker } });
  const frame = await client.open("frame");
  for (let round = 0; round < 200; round++) {
    await server.call("scribble", { seed: round + 1 });
    const { value } = await frame.changes({ after: -1 }).next();
    assertEquals(typeof value?.revision, "number");
    const guard = await frame.mutex.lock({ timeout: 1 }).catch((error: Error) => error.name);
    if (typeof guard === "string") assertEquals(guard, "TimeoutError");
    else guard.unlock();
    try {
      frame.waitSync(frame.revision, { timeout: 0, spin: 0 });
    } catch (error) {
      assertEquals((error as Error).name, "TimeoutError");
    }
  }
});
