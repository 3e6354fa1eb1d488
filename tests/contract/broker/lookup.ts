import { assertEquals } from "@std/assert";
import { BrokerProcess } from "./brokers.ts";
import { assertFailure, assertSays, offer, Peer, tokenOf } from "./peer.ts";
import type { ContractTest } from "./suite.ts";

const PID = BigInt(Deno.pid);

/** lookup, cancel. */
export const lookupTests: readonly ContractTest[] = [
  {
    name: "lookup finds a generation above `after`, or is not_found",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("found");
      await peer.fails({ op: "lookup", name: "found" }, "not_found");
      await peer.fails({ op: "lookup", name: "found", wait: false }, "not_found");
      const generation = await peer.registered("found", service);
      for (const after of [undefined, 0n, generation - 1n]) {
        const { endpoint, ...reply } = await peer.request({ op: "lookup", name: "found", after, wait: true });
        assertSays(reply, { ok: true, generation, pid: PID });
        assertEquals(await tokenOf(endpoint), "found");
      }
      await peer.fails({ op: "lookup", name: "found", after: generation }, "not_found");
      await peer.fails({ op: "lookup", name: "Found" }, "not_found");
    },
  },
  {
    name: "lookups wait until the name has a generation above theirs, each for its own",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using server = await Peer.connect(broker.service);
      await using client = await Peer.connect(broker.service);
      await using service = await offer("waited");
      const high = 2n ** 52n;
      const lookup = { op: "lookup", name: "waited", wait: true };
      const some = [client.request(lookup), client.request({ ...lookup, after: 1n }), server.request(lookup)];
      const late = client.request({ ...lookup, after: high, id: 9n });
      await server.waiting(4);
      const { generation, waiting } = await server.register("waited", service);
      assertEquals(waiting, 3n, "the reply counts the lookups that it answered");
      for (const { endpoint, ...reply } of await Promise.all(some)) {
        assertSays(reply, { ok: true, generation, pid: PID });
        assertEquals(await tokenOf(endpoint), "waited");
      }
      await server.waiting(1);
      const other = await server.register("waited", service, { after: high - 1n }); // not above `high`
      assertEquals([other["registered"], other["waiting"]], [true, undefined]);
      await server.waiting(1);
      const last = await server.register("waited", service);
      assertEquals([last["generation"], last["waiting"]], [high + 1n, 1n]);
      const { endpoint, ...reply } = await late;
      assertSays(reply, { ok: true, generation: high + 1n, pid: PID });
      assertEquals(await tokenOf(endpoint), "waited");
      await server.waiting(0);
    },
  },
  {
    name: "1,000 lookups wait for 1,000 names, and all are answered when these are registered",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using server = await Peer.connect(broker.service);
      await using client = await Peer.connect(broker.service);
      await using service = await offer("all");
      const names = Array.from({ length: 1000 }, (_, index) => `thousand.${index}`);
      const replies = names.map((name) => client.request({ op: "lookup", name, wait: true }));
      await server.waiting(1000);
      const generations = await Promise.all(names.map((name) => server.registered(name, service)));
      for (const [index, { endpoint, ...reply }] of (await Promise.all(replies)).entries()) {
        assertSays(reply, { ok: true, generation: generations[index], pid: PID });
        if (index % 100 === 0) assertEquals(await tokenOf(endpoint), "all");
        else (endpoint as unknown as Disposable)[Symbol.dispose]();
      }
      const { services, waiting } = await client.ok({ op: "status" });
      assertEquals([services, waiting], [1000n, 0n]);
      assertEquals(((await client.ok({ op: "list" }))["services"] as unknown[]).length, 1000);
    },
  },
  {
    name: "1,000 lookups for one name wait on many connections, and one registration answers all",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using server = await Peer.connect(broker.service);
      await using service = await offer("one");
      const clients = await Promise.all(Array.from({ length: 50 }, () => Peer.connect(broker.service)));
      try {
        const replies = clients.flatMap((client) => {
          return Array.from({ length: 20 }, () => client.request({ op: "lookup", name: "one", wait: true }));
        });
        await server.waiting(1000);
        const generation = await server.registered("one", service);
        for (const { endpoint, ...reply } of await Promise.all(replies)) {
          assertSays(reply, { ok: true, generation, pid: PID });
          (endpoint as unknown as Disposable)[Symbol.dispose]();
        }
      } finally {
        for (const client of clients) await client[Symbol.asyncDispose]();
      }
    },
  },
  {
    name: "cancel ends the lookup of that id on this peer, and tells whether there was one",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using other = await Peer.connect(broker.service);
      await using service = await offer("late");
      const lookup = { op: "lookup", name: "cancelled", wait: true };
      const cancelled = peer.request({ ...lookup, id: 1n });
      const unnamed = peer.request(lookup);
      const others = other.request({ ...lookup, id: 1n });
      await peer.waiting(3);
      await peer.fails({ ...lookup, name: "another", id: 1n }, "bad_request", "id");
      assertSays(await peer.request({ op: "cancel", id: 0n }), { ok: true, cancelled: false });
      assertSays(await peer.request({ op: "cancel", id: 2n }), { ok: true, cancelled: false });
      assertSays(await peer.request({ op: "cancel", id: 1n }), { ok: true, cancelled: true });
      assertFailure(await cancelled, "cancelled");
      assertSays(await peer.request({ op: "cancel", id: 1n }), { ok: true, cancelled: false });
      await peer.waiting(2);
      await peer.registered("cancelled", service);
      for (const { endpoint, ok } of [await unnamed, await others]) {
        assertEquals(ok, true);
        assertEquals(await tokenOf(endpoint), "late");
      }
    },
  },
  {
    name: "an id that waits is a bad_request for a lookup that has to wait, and free for others",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("there");
      await peer.registered("there", service);
      const waiting = peer.request({ op: "lookup", name: "not.there", wait: true, id: 5n });
      await peer.waiting(1);
      await peer.fails({ op: "lookup", name: "another", wait: true, id: 5n }, "bad_request", "id");
      await peer.fails({ op: "lookup", name: "another", id: 5n }, "not_found");
      const { endpoint } = await peer.ok({ op: "lookup", name: "there", wait: true, id: 5n });
      assertEquals(await tokenOf(endpoint), "there");
      await peer.ok({ op: "cancel", id: 5n });
      assertFailure(await waiting, "cancelled");
      const again = peer.request({ op: "lookup", name: "not.there", wait: true, id: 5n });
      await peer.waiting(1);
      await peer.ok({ op: "cancel", id: 5n });
      assertFailure(await again, "cancelled");
    },
  },
];
