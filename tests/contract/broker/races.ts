import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { connect, NameTakenError, serve } from "../../../mod.ts";
import { Endpoint } from "../../../src/xpc/endpoint.ts";
import { Connection, type ConnectionError } from "../../../src/xpc/mod.ts";
import { serviceSocketPath } from "../../support/socket_path.ts";
import { BrokerProcess, removeTraces, uniqueService } from "./brokers.ts";
import { assertFailure, assertSays, offer, Peer, tokenOf } from "./peer.ts";
import { Child } from "./process.ts";
import { nodeOf, write } from "./wire_format.ts";
import { RawConnection } from "./raw.ts";
import type { ContractTest } from "./suite.ts";

/** Ends the waits of a test that fails. */
const patience = (): AbortSignal => AbortSignal.timeout(60_000);

const program = decodeURIComponent(new URL("./app.ts", import.meta.url).pathname);

function app(...args: string[]): Child {
  return new Child([Deno.execPath(), "run", "-A", "--quiet", program, ...args]);
}

/** Every row of the table of races, with real processes that die by `kill -9`. */
export const raceTests: readonly ContractTest[] = [
  {
    name: "race: both apps start at once",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using observer = await Peer.connect(broker.service);
      // Whoever is first: some clients wait, a server comes, others find it; each has the same.
      const clients = Array.from({ length: 4 }, () => app("wait", broker.service, "both"));
      await using server = app("register", broker.service, "both");
      assertEquals((await server.json())["ready"], true);
      assertEquals((await server.json())["registered"], true);
      for (const client of clients) {
        await using _ = client;
        await client.json();
        assertEquals((await client.json())["ok"], true);
      }
      await observer.waiting(0);
    },
  },
  {
    name: "race: a client that waits dies: its lookup is purged, and the others are answered",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using server = await Peer.connect(broker.service);
      await using service = await offer("late");
      await using dying = app("wait", broker.service, "late");
      await using living = app("wait", broker.service, "late");
      await Promise.all([dying.json(), living.json()]);
      await server.waiting(2);
      await dying.end("SIGKILL");
      await server.waiting(1);
      await server.registered("late", service);
      assertEquals((await living.json())["ok"], true);
    },
  },
  {
    name:
      "race: the agent is relaunched, its registry lost: all register and look up again, direct links live on",
    async run(kind): Promise<void> {
      const name = uniqueService();
      try {
        const first = await BrokerProcess.start(kind, name);
        await using server = await Peer.connect(name);
        await using client = await Peer.connect(name);
        await using service = await offer("again");
        const generation = await server.registered("again", service);
        const { endpoint } = await client.ok({ op: "lookup", name: "again" });
        assert(endpoint instanceof Endpoint);
        using _ = endpoint;
        await using direct = await Connection.toEndpoint(endpoint);
        assertEquals((await direct.request({}))["token"], "again");
        const lookup = client.request({ op: "lookup", name: "none", wait: true }).catch((error) => error);
        await server.waiting(1);
        await first.end("SIGKILL");
        assertEquals((await lookup as ConnectionError).name, "ConnectionError");
        assertEquals((await direct.request({}))["token"], "again");

        await using _second = await BrokerProcess.start(kind, name);
        await using server2 = await Peer.connect(name);
        await using client2 = await Peer.connect(name);
        await client2.fails({ op: "lookup", name: "again" }, "not_found");
        const waiting = client2.request({ op: "lookup", name: "again", wait: true, after: generation });
        assertGreater(await server2.registered("again", service, { after: generation }), generation);
        assertEquals(await tokenOf((await waiting)["endpoint"]), "again");
        assertEquals((await direct.request({}))["token"], "again");
      } finally {
        removeTraces(name);
      }
    },
  },
  {
    name: "race: the agent is reinstalled while apps are connected: the library finds it again by itself",
    async run(kind): Promise<void> {
      const name = uniqueService();
      try {
        const selection = { service: name, embedded: false };
        let broker = await BrokerProcess.start(kind, name);
        await using server = await serve("upgraded", {
          broker: selection,
          regions: { frame: { byteLength: 4096 } },
        });
        server.region("frame").view(Uint32Array)[0] = 7;
        await using first = await connect("upgraded", { broker: selection, signal: patience() });
        const frame = await first.open("frame");
        for (const signal of ["SIGTERM", "SIGKILL"] as const) {
          await broker.end(signal);
          broker = await BrokerProcess.start(kind, name);
          await using late = await connect("upgraded", { broker: selection, signal: patience() });
          assertEquals((await late.open("frame")).view(Uint32Array)[0], 7);
        }
        assert(first.connected, "the direct link outlived three brokers");
        assertEquals(frame.view(Uint32Array)[0], 7);
        await server.close();
        await first.close();
        await broker[Symbol.asyncDispose]();
      } finally {
        removeTraces(name);
      }
    },
  },
  {
    name: "race: a registered app dies: its registration goes, a newer one of the name stays",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      await using service = await offer("newer");
      await peer.ok({ op: "watch" });
      await using alone = app("register", broker.service, "alone");
      await using evicted = app("register", broker.service, "evicted");
      for (const child of [alone, evicted]) {
        await child.json();
        assertEquals((await child.json())["registered"], true);
        assertEquals((await peer.event())["event"], "registered");
      }
      const generation = await peer.registered("evicted", service, { policy: "replace" });
      assertEquals([(await peer.event())["event"], (await peer.event())["event"]], [
        "unregistered",
        "registered",
      ]);
      await evicted.end("SIGKILL");
      await alone.end("SIGKILL");
      const { event, name, pid } = await peer.event();
      assertEquals([event, name, pid], ["unregistered", "alone", BigInt(alone.pid)]);
      await peer.counts("peers", 1);
      await peer.fails({ op: "lookup", name: "alone" }, "not_found");
      assertEquals((await peer.ok({ op: "lookup", name: "evicted" }))["generation"], generation);
      await peer.noEvents();
    },
  },
  {
    name: "race: a stale endpoint: its first use fails, and a lookup above its generation finds the next",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using client = await Peer.connect(broker.service);
      await using old = app("register", broker.service, "stale");
      await old.json();
      await old.json();
      const { endpoint, generation } = await client.ok({ op: "lookup", name: "stale" });
      assert(endpoint instanceof Endpoint);
      using stale = endpoint;
      await old.end("SIGKILL");
      await using direct = await Connection.toEndpoint(stale);
      const error = await assertRejects(() => direct.request({}));
      assertEquals((error as Error).name, "ConnectionError");
      const next = client.request({ op: "lookup", name: "stale", after: generation, wait: true });
      await using young = app("register", broker.service, "stale");
      assertEquals(await tokenOf((await next)["endpoint"]), `${young.pid}`);
    },
  },
  {
    name: "race: the server died between lookup and connect: the client takes the next one",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      const selection = { service: broker.service, embedded: false };
      await using first = app("serve", broker.service, "between");
      await first.json();
      // Stopped, it is registered and answers nothing: the client has its endpoint when it dies.
      Deno.kill(first.pid, "SIGSTOP");
      const connecting = connect("between", { broker: selection, signal: patience() });
      await using observer = await Peer.connect(broker.service);
      await observer.counts("peers", 3);
      await first.end("SIGKILL");
      await using second = app("serve", broker.service, "between");
      await using client = await connecting;
      assertEquals(client.pid, second.pid);
      assertEquals((await client.open("frame")).view(Uint32Array)[0], second.pid);
    },
  },
  {
    name: "race: the agent is terminated: who waits fails at once, and requests that come after are told",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using observer = await Peer.connect(broker.service);
      const waiting = await Promise.all(Array.from({ length: 8 }, () => Peer.connect(broker.service)));
      try {
        const replies = waiting.map((peer) => peer.request({ op: "lookup", name: "none", wait: true }));
        await observer.waiting(8);
        broker.signal("SIGTERM");
        for (const reply of await Promise.all(replies)) assertFailure(reply, "terminating");
        for (const peer of waiting) assertSays(await peer.event(), { event: "terminating" });
        assertEquals((await broker.status).code, 0);
      } finally {
        for (const peer of waiting) await peer[Symbol.asyncDispose]();
      }
    },
  },
  {
    name: "race: one name registered twice, by processes at once: one has it, and replace tells the other",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      const apps = Array.from({ length: 3 }, () => app("register", broker.service, "twice"));
      try {
        await Promise.all(apps.map((each) => each.json()));
        const said = await Promise.all(apps.map((each) => each.json()));
        assertEquals(said.filter(({ ok }) => ok === true).length, 1);
        assertEquals(said.filter(({ ok }) => ok === false).length, 2);
      } finally {
        for (const each of apps) await each[Symbol.asyncDispose]();
      }
      const selection = { service: broker.service, embedded: false };
      const regions = { frame: { byteLength: 4096 } };
      await using first = await serve("thrice", { broker: selection, regions });
      await using child = app("register", broker.service, "thrice", "replace");
      await child.json();
      assertEquals((await child.json())["registered"], true);
      const reason = await first.closed;
      assert(reason instanceof NameTakenError);
      assertEquals(reason.pid, child.pid);
    },
  },
  {
    name: "race: of processes that join at once, one serves",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      const apps = Array.from({ length: 4 }, () => app("register", broker.service, "joined", "join"));
      try {
        await Promise.all(apps.map((each) => each.json()));
        const said = await Promise.all(apps.map((each) => each.json()));
        assertEquals(said.map(({ ok }) => ok), [true, true, true, true]);
        assertEquals(said.filter(({ registered }) => registered === true).length, 1);
        assertEquals(new Set(said.map(({ generation }) => generation)).size, 1);
      } finally {
        for (const each of apps) await each[Symbol.asyncDispose]();
      }
    },
  },
  {
    name: "race: an impostor, of another user, gets no answer, and the broker lives on",
    skipped: Deno.uid() === 0 ? undefined : "only root can become another user",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      await using peer = await Peer.connect(broker.service);
      using impostor = new RawConnection(serviceSocketPath(broker.service), 65534);
      impostor.send(write(nodeOf({ op: "hello", min: 1n, max: 1n })), [], true);
      await impostor.refused();
      await peer.counts("peers", 1);
    },
  },
  {
    name: "race: a peer dies holding a lock: the next holder has it, and is told",
    async run(kind): Promise<void> {
      await using broker = await BrokerProcess.start(kind);
      const selection = { service: broker.service, embedded: false };
      await using server = await serve("locked", {
        broker: selection,
        regions: { frame: { byteLength: 4096 } },
      });
      await using child = app("hold", broker.service, "locked");
      assertEquals((await child.json())["holds"], true);
      const { mutex } = server.region("frame");
      const lock = mutex.lock({ signal: patience() });
      await child.end("SIGKILL");
      using guard = await lock;
      assertEquals(guard.abandoned, true);
    },
  },
];
