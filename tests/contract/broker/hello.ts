import { assertEquals } from "@std/assert";
import { RELEASE } from "../../../src/broker/release.ts";
import { BrokerProcess } from "./brokers.ts";
import { assertSays, Peer } from "./peer.ts";
import type { ContractTest } from "./suite.ts";

/** hello, versions, and what comes before it. */
export const helloTests: readonly ContractTest[] = [
  {
    name: "hello tells the version, the broker, its release, pid and service",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service, { hello: false });
      const identity = {
        ok: true,
        version: 1n,
        broker: kind.name,
        release: RELEASE,
        pid: BigInt(broker.pid),
        service: broker.service,
      };
      const reply = await peer.request({ op: "hello", min: 1n, max: 1n, name: "a test" });
      assertSays(reply, identity);
      assertSays(await peer.request({ op: "hello", min: 0n, max: 2n ** 64n - 1n }), identity);
    },
  },
  {
    name: "every other operation before hello is hello_first, one that is unknown also",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service, { hello: false });
      const operations = [
        "register",
        "lookup",
        "cancel",
        "unregister",
        "list",
        "watch",
        "unwatch",
        "status",
        "none",
        "",
      ];
      for (const op of operations) await peer.fails({ op }, "hello_first");
      await peer.fails({}, "bad_request", "op");
      await peer.fails({ op: 1n }, "bad_request", "op");
    },
  },
  {
    name: "ranges of versions that do not meet are unsupported_version, and open nothing",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service, { hello: false });
      await peer.fails({ op: "hello", min: 2n, max: 3n }, "unsupported_version");
      await peer.fails({ op: "hello", min: 0n, max: 0n }, "unsupported_version");
      await peer.fails({ op: "list" }, "hello_first");
      await peer.ok({ op: "hello", min: 1n, max: 9n });
      await peer.fails({ op: "hello", min: 2n, max: 2n }, "unsupported_version");
      await peer.ok({ op: "list" });
    },
  },
  {
    name: "status tells the identity, the uptime and the counts",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await peer.counts("peers", 1); // the one that tried whether the broker is there has left
      const { uptime, ...status } = await peer.ok({ op: "status" });
      assertEquals(typeof uptime, "bigint");
      assertSays(status, {
        ok: true,
        version: 1n,
        broker: kind.name,
        release: RELEASE,
        pid: BigInt(broker.pid),
        service: broker.service,
        peers: 1n,
        services: 0n,
        waiting: 0n,
        watchers: 0n,
      });
    },
  },
];
