import { assert, assertEquals } from "@std/assert";
import { serviceSocketPath } from "../../support/socket_path.ts";
import { LIMITS } from "../../../src/broker/protocol.ts";
import { Int64, type XpcRecord, type XpcValue } from "../../../src/xpc/mod.ts";
import { BAD_REQUESTS } from "./bad_requests.ts";
import { BrokerProcess } from "./brokers.ts";
import { assertFailure, offer, Peer } from "./peer.ts";
import { RawConnection } from "./raw.ts";
import type { ContractTest } from "./suite.ts";
import { nodeOf, write } from "./wire_format.ts";

/** What is wrong with a request, what is not, and the limits. */
export const requestTests: readonly ContractTest[] = [
  {
    name: "a bad request is answered with its first offending field, and changes nothing",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("bad");
      for (const { request, code, field } of BAD_REQUESTS) {
        using endpoint = service.endpoint();
        const sent = request["endpoint"] === "endpoint" ? { ...request, endpoint } : request;
        assertFailure(await peer.request(sent), code, field, {}, Deno.inspect(request));
      }
      assertEquals((await peer.ok({ op: "list" }))["services"], []);
      assertEquals((await peer.ok({ op: "status" }))["waiting"], 0n);
    },
  },
  {
    name: "integers are taken in either type, where they are in range",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service, { hello: false });
      await using service = await offer("integers");
      await peer.ok({ op: "hello", min: new Int64(0n), max: new Int64(2n ** 63n - 1n) });
      const generation = await peer.registered("integers", service, { after: new Int64(5n) });
      await peer.fails({ op: "lookup", name: "integers", after: new Int64(generation) }, "not_found");
      await peer.fails(
        { op: "lookup", name: "integers", after: 2n ** 53n - 1n, id: 2n ** 64n - 1n },
        "not_found",
      );
      assertEquals((await peer.ok({ op: "cancel", id: 2n ** 64n - 1n }))["cancelled"], false);
      assertEquals((await peer.ok({ op: "cancel", id: new Int64(7n) }))["cancelled"], false);
      await peer.ok({ op: "unregister", name: "integers", generation: new Int64(generation) });
    },
  },
  {
    name: "keys that an operation does not have are ignored, whatever they hold",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("unknown");
      using endpoint = service.endpoint();
      const junk: XpcRecord = { name: 1n, min: "x", id: [endpoint], colour: "red", __proto__: null, "": 1n };
      await peer.ok({ op: "list", ...junk });
      await peer.ok({ op: "hello", min: 1n, max: 1n, generation: "x", endpoint });
      await peer.fails({ op: "lookup", name: "unknown", policy: 1n, deep: nested(30) }, "not_found");
    },
  },
  {
    name: "a message that awaits no reply is dropped, whatever it asks for",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("dropped");
      using endpoint = service.endpoint();
      peer.connection.send({ op: "register", name: "dropped", endpoint, policy: "replace" });
      peer.connection.send({ op: "watch" });
      peer.connection.send({ op: 1n });
      peer.connection.send({});
      await peer.fails({ op: "lookup", name: "dropped" }, "not_found");
      assertEquals((await peer.ok({ op: "status" }))["watchers"], 0n);
      await peer.noEvents();
    },
  },
  {
    name: "a message of more than 64 keys is limit, before all that is wrong with it otherwise",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service, { hello: false });
      await peer.fails(keys(LIMITS.keys + 1, {}), "limit");
      await peer.fails(keys(LIMITS.keys, {}), "bad_request", "op");
      await peer.ok(keys(LIMITS.keys, { op: "hello", min: 1n, max: 1n }));
      await peer.fails(keys(LIMITS.keys + 1, { op: "list" }), "limit");
      await peer.fails(keys(5000, { op: "none" }), "limit");
    },
  },
  {
    name: "a peer that sends what is no message at all loses its connection, the others do not",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using other = await Peer.connect(broker.service);
      const sent = peer.request({ op: "list", deep: nested(31) }).catch((error) => error);
      await sent; // a reply or an error, as the protocol leaves open; never a broker that is gone
      await other.ok({ op: "status" });
    },
  },
  {
    name: "1,024 registrations a peer: one more is limit, one again is not",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using other = await Peer.connect(broker.service);
      await using service = await offer("many");
      const names = Array.from({ length: LIMITS.registrations }, (_, index) => `many.${index}`);
      const replies = await Promise.all(names.map((name) => peer.register(name, service)));
      assertEquals(replies.filter(({ ok }) => ok !== true), []);
      assertFailure(await peer.register("one.more", service), "limit");
      await peer.registered("many.7", service);
      await other.registered("one.more", service);
      assertFailure(await peer.register("one.more", service, { policy: "replace" }), "limit");
      assertEquals((await peer.register("one.more", service, { policy: "join" }))["registered"], false);
      assertEquals((await other.ok({ op: "status" }))["services"], 1025n);
      const { generation } = await peer.ok({ op: "lookup", name: "many.8" });
      await peer.ok({ op: "unregister", name: "many.8", generation });
      await peer.registered("many.new", service);
    },
  },
  {
    name: "1,024 lookups of a peer wait: one more is limit, for this peer",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using other = await Peer.connect(broker.service);
      const peer = await Peer.connect(broker.service);
      const ended = Array.from({ length: LIMITS.waiting }, (_, index) => {
        return peer.request({ op: "lookup", name: `none.${index}`, wait: true }).then(
          () => "answered",
          () => "failed",
        );
      });
      await other.waiting(LIMITS.waiting);
      await peer.fails({ op: "lookup", name: "none.more", wait: true }, "limit");
      await peer.fails({ op: "lookup", name: "none.more" }, "not_found");
      const more = other.request({ op: "lookup", name: "none.more", wait: true, id: 1n });
      await peer.waiting(LIMITS.waiting + 1);
      await other.ok({ op: "cancel", id: 1n });
      assertFailure(await more, "cancelled");
      await peer[Symbol.asyncDispose]();
      assertEquals(new Set(await Promise.all(ended)), new Set(["failed"]));
      await other.waiting(0);
    },
  },
  {
    name: "4,096 peers: one more is refused without an answer, and has a place once another has left",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await peer.counts("peers", 1);
      const path = serviceSocketPath(broker.service);
      using others = new DisposableStack();
      const greeting = write(nodeOf({ op: "hello", min: 1n, max: 1n }));
      const greet = async (): Promise<RawConnection> => {
        const connection = new RawConnection(path);
        connection.send(greeting, [], true);
        // The library tells who listens, then comes the reply.
        for (let packets = 0; packets < 2; packets++) assert(await connection.receive() !== undefined);
        return connection;
      };
      for (let index = 1; index < LIMITS.peers - 1; index++) others.use(await greet());
      const last = await greet();
      await peer.counts("peers", LIMITS.peers);
      using refused = new RawConnection(path);
      refused.send(greeting, [], true); // a listener learns of a client with its first message
      await refused.refused();
      await peer.ok({ op: "list" });
      last[Symbol.dispose]();
      await peer.counts("peers", LIMITS.peers - 1);
      await using another = await Peer.connect(broker.service);
      await another.ok({ op: "list" });
    },
  },
  {
    name: "peers that do not say hello cannot keep others out: the one that was silent longest has to leave",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      const path = serviceSocketPath(broker.service);
      using silent = new DisposableStack();
      const oldest = silent.use(new RawConnection(path));
      for (let index = 2; index < LIMITS.peers; index++) silent.use(new RawConnection(path));
      for (let index = 0; index < 10; index++) {
        await using another = await Peer.connect(broker.service);
        await another.ok({ op: "list" });
      }
      await oldest.refused();
      await peer.ok({ op: "list" });
    },
  },
  {
    name: "a peer that does not say hello in time loses its connection, the others do not",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      using silent = new RawConnection(serviceSocketPath(broker.service));
      silent.send(write(nodeOf({ op: "list" })), [], false); // a listener learns of a client with its first message
      await using refusing = await Peer.connect(broker.service, { hello: false });
      await refusing.fails({ op: "list" }, "hello_first");
      await silent.refused();
      await peer.ok({ op: "list" });
      await peer.counts("peers", 1);
    },
  },
];

function nested(levels: number): XpcValue {
  let value: XpcValue = 1n;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

function keys(count: number, record: XpcRecord): XpcRecord {
  const all: Record<string, XpcValue | undefined> = { ...record };
  for (let index = 0; Object.keys(all).length < count; index++) all[`key-${index}`] = true;
  return all;
}
