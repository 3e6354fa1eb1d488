import { assert, assertEquals, assertGreater, assertInstanceOf, assertNotEquals } from "@std/assert";
import type { XpcRecord } from "../../../src/xpc/mod.ts";
import { BrokerProcess } from "./brokers.ts";
import { assertFailure, assertSays, offer, Peer, tokenOf } from "./peer.ts";
import type { ContractTest } from "./suite.ts";

const PID = BigInt(Deno.pid);

/** register, unregister, list. */
export const registryTests: readonly ContractTest[] = [
  {
    name: "register gives a generation of the clock; another peer's name is name_taken",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using first = await Peer.connect(broker.service);
      await using second = await Peer.connect(broker.service);
      await using service = await offer("first");
      const before = BigInt(Date.now()) * 1000n;
      const generation = await first.registered("taken", service);
      assert(
        generation >= before && generation < before + 60_000_000n,
        `microseconds since 1970: ${generation}`,
      );
      assertFailure(await second.register("taken", service), "name_taken", "", { generation, pid: PID });
      await first.noEvents();
      assertEquals(await tokenOf((await second.ok({ op: "lookup", name: "taken" }))["endpoint"]), "first");
    },
  },
  {
    name: "a peer registers its own name anew, whatever the policy",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      let last = 0n;
      for (const policy of ["reject", "replace", "join", "reject"]) {
        await using service = await offer(policy);
        const generation = await peer.registered("again", service, { policy });
        assertGreater(generation, last);
        last = generation;
        assertEquals(await tokenOf((await peer.ok({ op: "lookup", name: "again" }))["endpoint"]), policy);
      }
      await peer.noEvents();
      assertEquals((await peer.ok({ op: "status" }))["services"], 1n);
    },
  },
  {
    name: "replace takes the name over, and tells the other by an event",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using first = await Peer.connect(broker.service);
      await using second = await Peer.connect(broker.service);
      await using old = await offer("old");
      await using young = await offer("young");
      const generation = await first.registered("replaced", old);
      const by = await second.registered("replaced", young, { policy: "replace" });
      assertGreater(by, generation);
      assertSays(await first.event(), { event: "replaced", name: "replaced", generation, by, pid: PID });
      assertEquals(await tokenOf((await first.ok({ op: "lookup", name: "replaced" }))["endpoint"]), "young");
      await first.fails({ op: "unregister", name: "replaced", generation }, "not_owner");
      await first.noEvents();
      await second.noEvents();
    },
  },
  {
    name: "join answers with who is there, or registers",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using first = await Peer.connect(broker.service);
      await using second = await Peer.connect(broker.service);
      await using service = await offer("first");
      await using other = await offer("second");
      const generation = await first.registered("joined", service, { policy: "join" });
      const { endpoint, ...reply } = await second.register("joined", other, { policy: "join" });
      assertSays(reply, { ok: true, registered: false, generation, pid: PID });
      assertEquals(await tokenOf(endpoint), "first");
    },
  },
  {
    name: "of many that join at once, one registers and all others get its endpoint",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      const peers = await Promise.all(Array.from({ length: 40 }, () => Peer.connect(broker.service)));
      const services = await Promise.all(peers.map((_, index) => offer(`${index}`)));
      try {
        for (let round = 0; round < 5; round++) {
          const name = `race.${round}`;
          const replies = await Promise.all(
            peers.map((peer, index) => peer.register(name, services[index]!, { policy: "join" })),
          );
          const winner = replies.findIndex(({ registered }) => registered === true);
          assertEquals(replies.filter(({ registered }) => registered === true).length, 1);
          for (const { endpoint, generation } of replies.filter(({ registered }) => registered !== true)) {
            assertEquals(generation, replies[winner]!["generation"]);
            assertEquals(await tokenOf(endpoint), `${winner}`);
          }
        }
      } finally {
        for (const end of [...peers, ...services]) await end[Symbol.asyncDispose]();
      }
    },
  },
  {
    name: "a generation is above the last of the name, above `after`, and below 2^53",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("generations");
      const future = 2n ** 52n;
      assertEquals(await peer.registered("future", service, { after: future }), future + 1n);
      assertEquals(await peer.registered("future", service), future + 2n);
      await peer.ok({ op: "unregister", name: "future", generation: future + 2n });
      assertEquals(await peer.registered("future", service), future + 3n);
      const most = 2n ** 53n - 1n;
      assertEquals(await peer.registered("last", service, { after: most - 1n }), most);
      assertFailure(await peer.register("last", service), "limit");
      assertFailure(await peer.register("none", service, { after: most }), "limit");
      assertEquals((await peer.ok({ op: "lookup", name: "last", after: most - 1n }))["generation"], most);
      await peer.fails({ op: "lookup", name: "last", after: most }, "not_found");
      await peer.fails({ op: "lookup", name: "none" }, "not_found");
    },
  },
  {
    name: "unregister asks for the name, then for who holds it in which generation",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using first = await Peer.connect(broker.service);
      await using second = await Peer.connect(broker.service);
      await using service = await offer("gone");
      const name = "unregistered";
      await first.fails({ op: "unregister", name, generation: 1n }, "not_registered");
      const generation = await first.registered(name, service);
      await second.fails({ op: "unregister", name, generation }, "not_owner");
      await first.fails({ op: "unregister", name, generation: generation - 1n }, "not_owner");
      assertSays(await first.request({ op: "unregister", name, generation }), { ok: true });
      await first.fails({ op: "unregister", name, generation }, "not_registered");
      await first.fails({ op: "lookup", name }, "not_found");
      assertNotEquals(await second.registered(name, service), generation);
    },
  },
  {
    name: "list tells all, ordered by the bytes of the names",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("listed");
      assertSays(await peer.request({ op: "list" }), { ok: true, services: [] });
      const names = ["b", "a", "_", "Z", "a.b", "a-b", "0", "a".repeat(128), "zz", "A"];
      const generations = new Map<string, bigint>();
      const start = Date.now();
      for (const name of names) generations.set(name, await peer.registered(name, service));
      const services = (await peer.ok({ op: "list" }))["services"] as XpcRecord[];
      // All names are ASCII: the order of UTF-16 is that of the bytes.
      assertEquals(services.map(({ name }) => name as string), [...names].sort((a, b) => a < b ? -1 : 1));
      for (const { since, ...service } of services) {
        assertInstanceOf(since, Date);
        assert(since.getTime() >= start - 1 && since.getTime() <= Date.now());
        const name = service["name"] as string;
        assertSays(service, { name, generation: generations.get(name), pid: PID });
      }
    },
  },
];
