import { assertEquals } from "@std/assert";
import type { XpcRecord } from "../../../src/xpc/mod.ts";
import { BrokerProcess } from "./brokers.ts";
import { assertFailure, assertSays, offer, Peer } from "./peer.ts";
import type { ContractTest } from "./suite.ts";

const PID = BigInt(Deno.pid);

/** watch, unwatch, the end of peers and of the broker. */
export const watchTests: readonly ContractTest[] = [
  {
    name: "watchers are told of what is registered, replaced and unregistered, until they unwatch",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using watcher = await Peer.connect(broker.service);
      await using server = await Peer.connect(broker.service);
      await using other = await Peer.connect(broker.service);
      await using service = await offer("watched");
      const name = "watched";
      const first = await server.registered(name, service);
      const services = (await watcher.ok({ op: "watch" }))["services"] as XpcRecord[];
      assertEquals(services.map(({ name, generation }) => [name, generation]), [[name, first]]);
      await watcher.ok({ op: "watch" }); // once more is once
      assertEquals((await watcher.ok({ op: "status" }))["watchers"], 1n);
      const second = await server.registered(name, service);
      const third = await other.registered(name, service, { policy: "replace" });
      await other.ok({ op: "unregister", name, generation: third });
      const expected = [
        ["unregistered", first],
        ["registered", second],
        ["unregistered", second],
        ["registered", third],
        ["unregistered", third],
      ] as const;
      for (const [event, generation] of expected) {
        assertSays(await watcher.event(), { event, name, generation, pid: PID });
      }
      assertSays(await watcher.request({ op: "unwatch" }), { ok: true });
      assertSays(await watcher.request({ op: "unwatch" }), { ok: true });
      await server.registered(name, service);
      await watcher.noEvents();
      assertEquals((await server.ok({ op: "status" }))["watchers"], 0n);
    },
  },
  {
    name: "a peer that is replaced and watches hears of both",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using first = await Peer.connect(broker.service);
      await using second = await Peer.connect(broker.service);
      await using service = await offer("watched");
      await first.ok({ op: "watch" });
      await first.registered("both", service);
      assertEquals((await first.event())["event"], "registered");
      await second.registered("both", service, { policy: "replace" });
      const events = [await first.event(), await first.event(), await first.event()];
      assertEquals(events.map(({ event }) => event as string), ["unregistered", "replaced", "registered"]);
    },
  },
  {
    name: "all that a peer had is gone when its connection ends, in the order of registration",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using watcher = await Peer.connect(broker.service);
      await using service = await offer("gone");
      const peer = await Peer.connect(broker.service);
      for (const name of ["c", "a", "B", "b"]) await peer.registered(name, service);
      await peer.ok({ op: "watch" });
      const lookup = peer.request({ op: "lookup", name: "none", wait: true }).catch((error: Error) =>
        error.name
      );
      await watcher.waiting(1);
      await watcher.ok({ op: "watch" });
      await peer[Symbol.asyncDispose]();
      assertEquals(await lookup, "ConnectionError");
      for (const name of ["c", "a", "B", "b"]) {
        const { event, name: gone } = await watcher.event();
        assertEquals([event, gone], ["unregistered", name]);
      }
      const { peers, services, waiting, watchers } = await watcher.ok({ op: "status" });
      assertEquals([peers, services, waiting, watchers], [1n, 0n, 0n, 1n]);
    },
  },
  ...(["SIGTERM", "SIGINT"] as const).map((signal): ContractTest => ({
    name: `${signal}: all are told, what waits is answered, and the broker exits with 0`,
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using server = await Peer.connect(broker.service);
      await using client = await Peer.connect(broker.service);
      await using service = await offer("ending");
      await server.registered("ending", service);
      const lookups = [1n, 2n, 3n].map((id) =>
        client.request({ op: "lookup", name: "none", wait: true, id })
      );
      await client.waiting(3);
      broker.signal(signal);
      assertSays(await server.event(), { event: "terminating" });
      assertSays(await client.event(), { event: "terminating" });
      for (const reply of await Promise.all(lookups)) assertFailure(reply, "terminating");
      assertEquals((await broker.status).code, 0);
    },
  })),
];
