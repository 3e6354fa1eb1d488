/** Equal apps that take over from each other: `join()` with `takeOver`. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { join, type Peer, serve } from "../../mod.ts";
import { Broker } from "../../src/broker/broker.ts";
import { BrokerClient } from "../../src/broker/broker_client.ts";
import { rounds, setting } from "../support/following.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

interface State {
  readonly role: "server" | "client";
  readonly pid: number;
  readonly connected: boolean;
  readonly clients: number;
  readonly taken: Record<string, string>;
}

interface Seen {
  readonly count: number;
  readonly wentBack: boolean;
  readonly generations: readonly number[];
  readonly error: string | null;
}

/**
 * The one among the peers that serves, once all agree. Where the broker ends with the server, two may have registered, at
 * one broker each: the first takes the name back from the second.
 */
async function serverOf(peers: readonly App[], not = 0): Promise<App> {
  let pids: number[];
  do {
    pids = await Promise.all(peers.map((peer) => peer.call<number>("serverPid", { not })));
  } while (new Set(pids).size !== 1);
  const states = await Promise.all(peers.map((peer) => peer.call<State>("state")));
  assertEquals(states.filter(({ role }) => role === "server").length, 1, JSON.stringify(states));
  const server = peers.find(({ pid }) => pid === pids[0]);
  assert(server !== undefined, "the server is one of them");
  return server;
}

/** All clients among the peers follow up to a count. A server is not woken by its own commits. */
async function seesAll(peers: readonly App[], server: App, count: number): Promise<void> {
  const clients = peers.filter((peer) => peer !== server);
  for (const seen of await Promise.all(clients.map((peer) => peer.call<Seen>("sees", { count })))) {
    assertEquals([seen.wentBack, seen.error], [false, null], JSON.stringify(seen));
  }
}

Deno.test("of three peers one takes over when the server is killed, in rounds, while a new one joins", async () => {
  const common = setting();
  await using stack = new AsyncDisposableStack();
  const start = (): App => stack.use(new App("following_app.ts"));
  const peers = [start(), start(), start()];
  await Promise.all(peers.map((peer) => peer.call("join", common)));
  await Promise.all(peers.map((peer) => peer.call("follow")));
  let server = await serverOf(peers);
  for (let round = 1; round <= rounds; round++) {
    const count = await server.call<number>("count", { times: 10 });
    await server.call("count", { region: "mask" });
    await seesAll(peers, server, count);
    peers.splice(peers.indexOf(server), 1);
    const late = start();
    // Odd rounds: it joins while the others elect. Even rounds: it joins when they have.
    const joining = round % 2 === 1 ? late.call("join", common) : undefined;
    await server.kill();
    await joining;
    const next = await serverOf(joining === undefined ? peers : [...peers, late], server.pid);
    if (joining === undefined) await late.call("join", common);
    await late.call("follow");
    peers.push(late);
    const { taken } = await next.call<State>("state");
    assertEquals(taken, { counter: "reference", mask: "copy" }, `round ${round}`);
    const served = await next.call<{ count: number; generation: number; revision: number }>("served");
    assertEquals([served.count, served.revision], [10 * round, 10 * round], `round ${round}`);
    assert(served.generation > round, `the generation ${served.generation} grows in round ${round}`);
    assertEquals((await next.call<{ count: number }>("served", { region: "mask" })).count, round);
    server = next;
  }
  const count = await server.call<number>("count");
  await seesAll(peers, server, count);
});

Deno.test("a peer takes over from a server that closes in order, and the next from that one", async () => {
  const common = setting();
  await using one = new App("following_app.ts");
  await using two = new App("following_app.ts");
  await using three = new App("following_app.ts");
  for (const peer of [one, two, three]) await peer.call("join", common);
  assertEquals(await one.call("count", { times: 3 }), 3);
  await one.call("leave");
  const second = await serverOf([two, three], one.pid);
  assertEquals(await second.call("count"), 4);
  const third = second === two ? three : two;
  await second.call("leave");
  assertEquals(await third.call("serverPid", { not: second.pid }), third.pid);
  assertEquals(await third.call("count"), 5);
});

Deno.test("two of three peers die at the same moment: the third serves what all had", async () => {
  const common = setting();
  for (let round = 0; round < 3; round++) {
    await using one = new App("following_app.ts");
    await using two = new App("following_app.ts");
    await using three = new App("following_app.ts");
    for (const peer of [one, two, three]) await peer.call("join", common);
    const count = await one.call<number>("count", { times: 5 });
    await Promise.all([one.kill(), two.kill()]);
    await three.call("serverPid", { not: one.pid });
    await serverOf([three], one.pid); // perhaps it was the client of `two` for a moment
    assertEquals((await three.call<{ count: number }>("served")).count, count);
    await three.call("leave");
  }
});

Deno.test(
  "an app that joins before the others notice gets the content from them",
  { ignore: !ownBroker },
  async () => {
    const common = setting();
    await using _broker = await Broker.start({ service: common.broker });
    await using one = new App("following_app.ts");
    await using two = new App("following_app.ts");
    await using late = new App("following_app.ts");
    for (const peer of [one, two]) await peer.call("join", common);
    const count = await one.call<number>("count", { times: 5 });
    const broker = BrokerClient.acquire({ service: common.broker });
    try {
      Deno.kill(two.pid, "SIGSTOP");
      await one.kill();
      const joining = late.call("join", common);
      while ((await broker.list()).every(({ pid }) => pid !== late.pid)) await Promise.resolve();
      Deno.kill(two.pid, "SIGCONT");
      assertEquals(await joining, "server");
    } finally {
      await broker.release();
    }
    assertEquals((await late.call<State>("state")).taken, { counter: "reference", mask: "copy" });
    assertEquals((await late.call<{ count: number }>("served")).count, count);
    assertEquals(await two.call("serverPid", { not: one.pid }), late.pid);
  },
);

Deno.test("a mutex that was held when the server died is abandoned in the next one", async () => {
  const common = setting();
  for (const holder of ["server", "client"]) {
    await using one = new App("following_app.ts");
    await using two = new App("following_app.ts");
    await one.call("join", common);
    await two.call("join", common);
    await two.call("open", { write: true });
    if (holder === "server") assertEquals(await one.call("lockServed"), false);
    else assertEquals(await two.call("lock"), false);
    await one.kill();
    assertEquals(await two.call("serverPid", { not: one.pid }), two.pid);
    assertEquals(await two.call("lockServed"), true, `the ${holder} held it`);
    await two.call("unlock");
    assertEquals(await two.call("lockServed"), false, "only the first holder is told");
    await two.call("leave");
  }
});

Deno.test("a region that was open before shows the memory of the next server", async () => {
  const common = setting();
  await using one = new App("following_app.ts");
  await using two = new App("following_app.ts");
  await one.call("join", common);
  await two.call("join", common);
  await two.call("open", { write: true });
  await one.kill();
  assertEquals(await two.call("serverPid", { not: one.pid }), two.pid);
  assertEquals(await two.call("count", { times: 9 }), 9);
  assertEquals(await two.call("opened"), { orphaned: true, count: 9 });
});

Deno.test("a server made by serve() is taken over too, with the regions that it added and replaced", async () => {
  const common = setting();
  const broker = { service: common.broker };
  const server = await serve(common.name, { broker, regions: common.regions });
  const peer = await join(common.name, { broker, regions: common.regions, takeOver: true });
  const other = await join(common.name, { broker, regions: common.regions, takeOver: true });
  try {
    const grown = await server.replace("counter", { byteLength: 10_000 });
    grown.view(Uint8Array)[9999] = 5;
    const late = await server.add("late", { byteLength: 16 });
    late.view(Uint8Array)[3] = 4;
    late.commit();
    for (const each of [peer, other]) {
      while (!each.regions.includes("late")) await (await each.open("late")).close();
    }
    const roles = [peer, other].map((each) => roleChange(each));
    await server.close();
    const next = await Promise.race(roles);
    assertEquals(next.region("late").view(Uint8Array)[3], 4);
    const counter = next.region("counter");
    assertEquals([counter.byteLength, counter.view(Uint8Array)[9999]], [10_000, 5]);
    assertEquals([counter.generation, counter.revision], [3, 1]);
    assertEquals(next.region("late").revision, 1);
  } finally {
    await Promise.all([peer.close(), other.close()]);
  }
});

async function roleChange(peer: Peer): Promise<Peer> {
  const { promise, resolve } = Promise.withResolvers<void>();
  peer.addEventListener("rolechange", () => resolve(), { once: true });
  await promise;
  return peer;
}

Deno.test("a peer opens and follows in both roles, and region() is the server's", async () => {
  const { name, broker: service, regions } = setting();
  const options = { broker: { service }, regions, takeOver: true } as const;
  await using first = await join(name, options);
  await using second = await join(name, options);
  assertEquals([first.role, second.role, first.pid, second.pid], ["server", "client", Deno.pid, Deno.pid]);
  assertEquals([first.connected, second.connected, first.clients, second.clients], [true, true, 1, 0]);
  for (const peer of [first, second]) {
    await assertRejects(() => peer.open("none"), Deno.errors.NotFound, '"counter"');
    await assertRejects(() => peer.open("mask", { write: true }), Deno.errors.NotCapable);
    await assertRejects(() => peer.open("counter", { write: 1 } as never), TypeError, "`write`");
    const mask = await peer.open("mask");
    assertEquals(mask.view(Uint8Array)[0], 0);
    await using counter = await peer.open("counter", { write: true });
    counter.view(Uint32Array)[0]! += 1;
    counter.commit();
  }
  assertThrows(() => second.region("counter"), TypeError, "not the server");
  const served = first.region("counter");
  assertEquals(
    [served.view(Uint32Array)[0], served.revision],
    [2, 2],
    "closing what was opened closed no more",
  );
  const following = [first.follow("counter"), second.follow("counter")];
  for (const each of following) assertEquals((await each.next()).value!.revision, 2);
  const changes = following.map((each) => each.next());
  const change = roleChange(second);
  await first.close();
  assertEquals((await changes[0])!.done, true, "the peer that closed is done");
  const { value } = (await changes[1])!;
  assertEquals([value!.view(Uint32Array)[0], value!.revision, value!.generation], [2, 2, 2]);
  await change;
  assertEquals([second.role, second.taken.get("counter"), second.clients], ["server", "reference", 0]);
  await following[1]!.return();
});

Deno.test("a peer that is replaced as the server becomes a client", async () => {
  const { name, broker: service, regions } = setting();
  const broker = { service };
  await using peer = await join(name, { broker, regions, takeOver: true });
  const change = roleChange(peer);
  await using server = await serve(name, { broker, regions, policy: "replace" });
  await change;
  assertEquals([peer.role, peer.connected], ["client", true]);
  server.region("counter").view(Uint8Array)[0] = 8;
  assertEquals((await peer.open("counter")).view(Uint8Array)[0], 8);
});

Deno.test("join() with takeOver checks its options, its signal and the schema", async () => {
  const broker = { service: brokerName() };
  const name = uniqueName("service");
  const regions = { frame: { byteLength: 8 } };
  await assertRejects(() => join(name, { broker, regions, takeOver: 1 } as never), TypeError, "`takeOver`");
  await assertRejects(
    () => join(name, { broker, regions, takeOver: true, reconnect: false } as never),
    TypeError,
    "`reconnect`",
  );
  await assertRejects(() => join("not a name", { broker, regions, takeOver: true }), TypeError, "not a name");
  const huge = { frame: { byteLength: 2 ** 50 } };
  await assertRejects(() => join(name, { broker, regions: huge, takeOver: true }), RangeError, "frame");
  const signal = AbortSignal.abort(new Error("too late"));
  await assertRejects(() => join(name, { broker, regions, takeOver: true, signal }), Error, "too late");
  await using server = await serve(name, { broker, regions, schema: "one" });
  const other = join(name, { broker, regions, takeOver: true, schema: "two" });
  assertEquals((await assertRejects(() => other)) instanceof Error, true);
  assertEquals(server.clients, 0);
});
