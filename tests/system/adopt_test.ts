/** A server that starts again takes over the memory of its clients: `serve()` with `adopt`. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { Broker } from "../../src/broker/broker.ts";
import { BrokerClient } from "../../src/broker/broker_client.ts";
import { CLIENT_BYTES, LAYOUT_VERSION } from "../../src/link/layout.ts";
import { bytesBehind } from "../../src/link/tile_bytes.ts";
import { Mapping } from "../../src/memory/mod.ts";
import { Connection, type XpcRecord } from "../../src/xpc/mod.ts";
import { REGIONS, rounds, setting } from "../support/following.ts";
import { App, ownBroker } from "../support/process.ts";

interface Served {
  readonly count: number;
  readonly generation: number;
  readonly revision: number;
}

const TAKEN = { counter: "reference", mask: "copy" };

/** A broker that outlives the servers, so that it knows which clients wait. */
async function brokerOf(service: string): Promise<AsyncDisposable> {
  return ownBroker ? await Broker.start({ service }) : new AsyncDisposableStack();
}

Deno.test("a server that was killed goes on with the memory of its clients, in rounds", async () => {
  const common = { ...setting(), adopt: true };
  await using _broker = await brokerOf(common.broker);
  await using one = new App("following_app.ts");
  await using two = new App("following_app.ts");
  const connecting = [one, two].map((client) => client.call("connect", common));
  for (let round = 1; round <= rounds; round++) {
    await using server = new App("following_app.ts");
    const adopted = await server.call("serve", common);
    assertEquals(adopted, round === 1 ? {} : TAKEN, `round ${round}`);
    if (round === 1) {
      await Promise.all(connecting);
      await Promise.all([one, two].map((client) => client.call("follow")));
      await two.call("open", { region: "mask" });
    } else {
      await two.call("serverPid");
      await two.call("closeRegion", { region: "mask" }); // orphaned, and no longer needed
      await two.call("open", { region: "mask" });
    }
    const served = await server.call<Served>("served");
    assertEquals(served, { count: 10 * (round - 1), generation: round, revision: 10 * (round - 1) });
    assertEquals((await server.call<Served>("served", { region: "mask" })).count, round - 1);
    await server.call("count", { region: "mask" });
    const count = await server.call<number>("count", { times: 10 });
    for (const client of [one, two]) {
      const seen = await client.call<Record<string, unknown>>("sees", { count });
      assertEquals([seen["wentBack"], seen["error"]], [false, null], `round ${round}`);
    }
    await server.kill();
  }
});

Deno.test("a server that was the broker too finds its clients again", { ignore: !ownBroker }, async () => {
  const common = { ...setting(), adopt: true };
  await using client = new App("following_app.ts");
  let count = 0;
  for (let round = 0; round < 3; round++) {
    await using server = new App("following_app.ts");
    await server.call("serve", common);
    if (round === 0) {
      await client.call("connect", common);
      await client.call("follow");
    }
    count = await server.call<number>("count", { times: 10 });
    assertEquals(count, 10 * (round + 1), `round ${round}`);
    await client.call("sees", { count });
    await server.kill();
  }
});

Deno.test("regions of another length or access are not adopted, and nobody waits for clients that are not there", async () => {
  const common = { ...setting(), adopt: true };
  await using _broker = await brokerOf(common.broker);
  await using client = new App("following_app.ts");
  const connecting = client.call("connect", common);
  {
    await using server = new App("following_app.ts");
    await server.call("serve", common);
    await connecting;
    for (const region of ["counter", "mask"]) {
      await client.call("open", { region });
      await server.call("count", { region });
    }
    await server.kill();
  }
  const regions = { counter: { byteLength: 4097 }, mask: { byteLength: 8192 }, new: { byteLength: 8 } };
  await using other = new App("following_app.ts");
  assertEquals(await other.call("serve", { ...common, regions }), {});
  assertEquals(await other.call("served"), { count: 0, generation: 1, revision: 0 });
  await client.call("leave");
  await other.call("leave");
  assertEquals(await other.call("serve", common), {}, "no client has anything");
});

Deno.test("a region that a client has open shares its memory with the next server, and its mutex is told abandoned", async () => {
  const common = { ...setting(), adopt: true };
  await using _broker = await brokerOf(common.broker);
  await using client = new App("following_app.ts");
  const connecting = client.call("connect", common);
  {
    await using server = new App("following_app.ts");
    await server.call("serve", common);
    await connecting;
    await client.call("open", { write: true });
    await client.call("write", { count: 7 });
    await server.call("lockServed");
    await server.kill();
  }
  await using server = new App("following_app.ts");
  assertEquals(await server.call("serve", common), { counter: "reference" });
  assertEquals(await server.call("served"), { count: 7, generation: 2, revision: 1 });
  await server.call("count");
  assertEquals(await client.call("opened"), { orphaned: true, count: 8 });
  assertEquals(await server.call("lockServed"), true);
});

/** A client that says anything, to a server in this process. */
class Liar implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #connection: Connection;
  readonly #words: Mapping;

  private constructor(connection: Connection, words: Mapping) {
    this.#connection = this.#stack.use(connection);
    this.#words = this.#stack.use(words);
  }

  /** Waits for the name, as a client of a server that has died does. */
  static async find(service: string, name: string): Promise<Liar> {
    const broker = BrokerClient.acquire({ service });
    try {
      const { endpoint } = await broker.lookup(name, 0);
      using used = endpoint;
      return new Liar(await Connection.toEndpoint(used), await Mapping.create(CLIENT_BYTES));
    } finally {
      await broker.release();
    }
  }

  async hello(fields: XpcRecord): Promise<XpcRecord> {
    using words = this.#words.share();
    const layout = BigInt(LAYOUT_VERSION);
    return await this.ask({ op: "hello", min: 1n, max: 1n, layout, words, features: ["adopt"], ...fields });
  }

  async ask(record: XpcRecord): Promise<XpcRecord> {
    return await this.#connection.request(record, { timeout: 30_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

const LEGACY = {
  name: "counter",
  clients: "write",
  byteLength: BigInt(REGIONS.counter.byteLength),
  tileBytes: 65536n,
  generation: 5n,
  revision: 9n,
  abandoned: false,
};

/** Runs a client that lies, with a server that adopts and that has waited for it. */
async function lying(run: (liar: Liar) => Promise<void>): Promise<Record<string, unknown>> {
  const { name, broker: service, regions } = setting();
  await using _broker = await brokerOf(service);
  const finding = Liar.find(service, name);
  const broker = BrokerClient.acquire({ service });
  try {
    await broker.uptime(); // its lookup waits by then, since both share one connection
    const serving = serve(name, { broker: { service }, regions, adopt: true });
    {
      await using liar = await finding;
      await run(liar);
    }
    await using server = await serving;
    const { generation, revision } = server.region("counter");
    await using client = await connect(name, { broker: { service } });
    await using counter = await client.open("counter");
    assertEquals(counter.revision, revision, "the server works");
    return { adopted: Object.fromEntries(server.adopted), generation, revision };
  } finally {
    await broker.release();
  }
}

const NEW = { adopted: {}, generation: 1, revision: 0 };

Deno.test("an estate of wrong types is a bad_request, and numbers out of range are nobody's", async () => {
  const told = await lying(async (liar) => {
    for (const estate of ["all", [1n], [null], Array.from({ length: 257 }, () => LEGACY)]) {
      assertEquals((await liar.hello({ estate }))["code"], "bad_request");
    }
    const estate = [
      { ...LEGACY, revision: 2n ** 53n },
      { ...LEGACY, generation: 0n },
      { ...LEGACY, byteLength: "long" },
      { ...LEGACY, name: "none" },
      { ...LEGACY, clients: "read" },
      {},
    ];
    const reply = await liar.hello({ estate });
    assertEquals([reply["ok"], reply["features"], reply["adopt"]], [true, ["adopt"], []]);
  });
  assertEquals(told, NEW);
});

Deno.test("a client that offers memory and gives none, or another, costs the server only time", async () => {
  const offers = async (liar: Liar): Promise<void> => {
    const reply = await liar.hello({ estate: [LEGACY, { ...LEGACY, revision: 8n }] });
    assertEquals(reply["adopt"], ["counter"]);
  };
  assertEquals(await lying(offers), NEW, "it is gone in the middle");
  const short = await lying(async (liar) => {
    await offers(liar);
    using mapping = await Mapping.create(1);
    using memory = mapping.share();
    assertEquals((await liar.ask({ op: "give", name: "mask", memory }))["code"], "failed", "not asked for");
    assertEquals((await liar.ask({ op: "give", memory }))["code"], "bad_request");
    // A page is as much as the region: one byte less would be found out, so take what is not memory at all.
    assertEquals((await liar.ask({ op: "give", name: "counter", memory: 1n }))["code"], "bad_request");
    assertEquals((await liar.ask({ op: "give", name: "counter", memory }))["code"], "failed", "only once");
  });
  assertEquals(short, NEW);
  const silent = await lying(async (liar) => {
    await offers(liar);
    const opened = await liar.ask({ op: "open", name: "counter" }); // waits until the server goes on without it
    assertEquals(opened["ok"], true);
    assertEquals((await liar.ask({ op: "give", name: "counter", memory: 1n }))["code"], "failed", "too late");
  });
  assertEquals(silent, NEW);
});

Deno.test("memory that a client gives is checked against the kernel's length, and used", async () => {
  const given = await lying(async (liar) => {
    assertEquals((await liar.hello({ estate: [LEGACY] }))["adopt"], ["counter"]);
    const { byteLength } = REGIONS.counter;
    using mapping = await Mapping.create(byteLength, { behind: bytesBehind(byteLength, 65536) });
    using memory = mapping.share();
    assertEquals((await liar.ask({ op: "give", name: "counter", memory }))["ok"], true);
  });
  assertEquals(given, { adopted: { counter: "reference" }, generation: 6, revision: 9 });
});

Deno.test("a mapping is shared on only where it was kept", async () => {
  using own = await Mapping.create(4096);
  using memory = own.share();
  using plain = Mapping.open(memory as Parameters<typeof Mapping.open>[0], 4096);
  assert(!plain.shareable);
  await assertRejects(
    () => Promise.resolve().then(() => plain.share()),
    TypeError,
    "only the process that made it",
  );
  using kept = Mapping.open(memory as Parameters<typeof Mapping.open>[0], 4096, { keep: true });
  using again = kept.share();
  using third = Mapping.open(again, 4096);
  third.view(Uint8Array)[5] = 6;
  assertEquals(own.view(Uint8Array)[5], 6);
});
