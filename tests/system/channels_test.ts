/** Channels: messages through memory, within a process and across processes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Channel, type Client, connect, PeerGoneError, serve, type Server } from "../../mod.ts";
import { messageOf, numberOf } from "../support/channel_messages.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

/** A server and a client in this process, and both ends of a channel. */
interface Both extends AsyncDisposable {
  readonly server: Server;
  readonly client: Client;
  readonly ours: Channel;
  readonly theirs: Channel;
}

async function startBoth(byteLength = 4096): Promise<Both> {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const server = await serve(name, { broker, channels: { midi: { byteLength } } });
  const client = await connect(name, { broker });
  const ours = await client.channel("midi");
  const theirs = server.channel("midi").open[0]!;
  return {
    server,
    client,
    ours,
    theirs,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

Deno.test("messages go both ways, with their boundaries and in their order", async () => {
  await using both = await startBoth();
  const { ours, theirs } = both;
  assertEquals([ours.pid, theirs.pid, ours.byteLength], [Deno.pid, Deno.pid, 4096]);
  assertEquals(theirs.receive(), undefined);
  for (const bytes of [[1, 2, 3], [], [4]]) assert(ours.send(new Uint8Array(bytes)));
  assertEquals(theirs.receive(), new Uint8Array([1, 2, 3]));
  assertEquals(theirs.receive(), new Uint8Array());
  assertEquals(theirs.receiveSync(), new Uint8Array([4]));
  assert(theirs.send(new Float64Array([1.5])));
  assertEquals(new Float64Array(ours.receive()!.buffer), new Float64Array([1.5]));
  assert(ours.send(new Uint8Array([9, 8, 7, 6]).subarray(1, 3)));
  assertEquals(theirs.receive(), new Uint8Array([8, 7]));
});

Deno.test("a full ring says so, and sendAsync() waits for room, a timeout or a signal", async () => {
  await using both = await startBoth(64);
  const { ours, theirs } = both;
  const message = new Uint8Array(24).fill(7);
  assert(ours.send(message) && ours.send(message));
  assertEquals(ours.send(message), false);
  const timeout = await assertRejects(() => ours.sendAsync(message, { timeout: 5 }), DOMException);
  assertEquals(timeout.name, "TimeoutError");
  const reason = new Error("enough");
  const stop = new AbortController();
  const aborted = ours.sendAsync(message, { signal: stop.signal });
  stop.abort(reason);
  assertEquals(await assertRejects(() => aborted), reason);
  const sending = ours.sendAsync(message);
  assertEquals(theirs.receive(), message);
  await sending;
  assertEquals([theirs.receive(), theirs.receive(), theirs.receive()], [message, message, undefined]);
});

Deno.test("a message has at most half of the ring, and is a view of bytes", async () => {
  await using both = await startBoth(64);
  assert(both.ours.send(new Uint8Array(32)));
  assertThrows(() => both.ours.send(new Uint8Array(33)), RangeError, "33 bytes");
  assertThrows(() => both.ours.send("text" as never), TypeError, "typed array");
  await assertRejects(() => both.ours.sendAsync(new Uint8Array(33)), RangeError, "at most 32");
});

Deno.test("messages wrap around the end of the ring and stay whole", async () => {
  await using both = await startBoth(2048);
  for (let number = 0; number < 2000; number++) {
    assert(both.ours.send(messageOf(number)));
    assertEquals(numberOf(both.theirs.receive()!), number);
  }
});

Deno.test("receiveSync() and loops end by timeout and signal", async () => {
  await using both = await startBoth();
  const timeout = assertThrows(() => both.theirs.receiveSync({ timeout: 5 }), DOMException);
  assertEquals(timeout.name, "TimeoutError");
  const reason = new Error("enough");
  const stop = new AbortController();
  const next = both.theirs.messages({ signal: stop.signal }).next();
  stop.abort(reason);
  assertEquals(await assertRejects(() => next), reason);
});

Deno.test("a channel that is closed ends at the other side after its last message, and can be opened again", async () => {
  await using both = await startBoth();
  const { ours, theirs } = both;
  assert(ours.send(new Uint8Array([1])));
  await ours.close();
  assertThrows(() => ours.send(new Uint8Array(1)), TypeError, "closed");
  assertThrows(() => ours.receive(), TypeError, "closed");
  const seen = [];
  for await (const bytes of theirs) seen.push(...bytes);
  assertEquals(seen, [1]);
  assertEquals(await theirs.closed, undefined);
  assertEquals(both.server.channel("midi").open, []);
  const again = await both.client.channel("midi");
  assert(both.server.channel("midi").send(new Uint8Array([2])) === 1);
  assertEquals(again.receive(), new Uint8Array([2]));
});

Deno.test("a channel that the server closes ends at the client after its last message, and can be opened again", async () => {
  await using both = await startBoth();
  const { ours, theirs } = both;
  const waiting = ours.messages()[Symbol.asyncIterator]();
  const first = waiting.next();
  assert(theirs.send(new Uint8Array([1])));
  assert(theirs.send(new Uint8Array([2])));
  await theirs.close();
  assertEquals((await first).value, new Uint8Array([1]));
  assertEquals((await waiting.next()).value, new Uint8Array([2]));
  assertEquals((await waiting.next()).done, true);
  assertEquals(await ours.closed, undefined);
  assertThrows(() => ours.send(new Uint8Array(1)), TypeError, "closed");
  const again = await both.client.channel("midi");
  await both.server.channel("midi").open[0]!.close();
  assertEquals(await again.closed, undefined, "also where nobody waits");
  const third = await both.client.channel("midi");
  void both.server.channel("midi").open[0]!.close(); // and where the client has not heard of it
  const fourth = await both.client.channel("midi");
  assertEquals(await third.closed, undefined);
  assert(fourth.send(new Uint8Array([3])));
  assertEquals(both.server.channel("midi").open[0]!.receive(), new Uint8Array([3]));
});

Deno.test("a channel that is opened again does not take what its last one has not received", async () => {
  await using both = await startBoth();
  assert(both.ours.send(new Uint8Array([1])));
  void both.ours.close();
  const again = await both.client.channel("midi");
  assert(again.send(new Uint8Array([2])));
  assertEquals(both.theirs.receive(), new Uint8Array([1]));
  assertThrows(() => both.theirs.receive(), TypeError, "closed");
  const [theirs, ...others] = both.server.channel("midi").open;
  assertEquals([theirs!.receive(), others], [new Uint8Array([2]), []]);
});

Deno.test("an opening that was given up leaves the channel free", async () => {
  await using both = await startBoth();
  both.server.addChannel("osc", { byteLength: 64 });
  for (let count = 0; count < 5; count++) {
    const stop = new AbortController();
    const opening = both.client.channel("osc", { signal: stop.signal });
    if (count > 2) await Promise.resolve();
    stop.abort(new Error("enough"));
    await assertRejects(() => opening, Error, "enough");
  }
  await using channel = await both.client.channel("osc");
  assert(channel.send(new Uint8Array([1])));
  assertEquals(both.server.channel("osc").open[0]!.receive(), new Uint8Array([1]));
});

Deno.test("what waits for room keeps its order, whatever its length, and who gives up leaves the others", async () => {
  await using both = await startBoth(64);
  const { ours, theirs } = both;
  const sizes = [24, 24];
  for (const size of sizes) assert(ours.send(new Uint8Array(size).fill(size)));
  const stop = new AbortController();
  const sending = [32, 1, 30, 0, 2].map((size) => {
    sizes.push(size);
    return ours.sendAsync(new Uint8Array(size).fill(size));
  });
  const givenUp = ours.sendAsync(new Uint8Array(5), { signal: stop.signal });
  sending.push(ours.sendAsync(new Uint8Array(3).fill(3)));
  sizes.push(3);
  stop.abort(new Error("enough"));
  await assertRejects(() => givenUp, Error, "enough");
  const seen = [theirs.receive()!];
  assertEquals(ours.send(new Uint8Array()), false, "others wait");
  for await (const bytes of theirs) {
    seen.push(bytes);
    if (seen.length === sizes.length) break;
  }
  await Promise.all(sending);
  assertEquals(seen, sizes.map((size) => new Uint8Array(size).fill(size)));
  assert(ours.send(new Uint8Array()));
});

Deno.test("a close fails what waits for room, and loops over what is opened can be left while they wait", async () => {
  await using both = await startBoth(64);
  while (both.ours.send(new Uint8Array(24)));
  const sending = [1, 2].map((size) => both.ours.sendAsync(new Uint8Array(24 + size)));
  const failed = Promise.allSettled(sending);
  await both.theirs.close();
  assertEquals((await failed).map(({ status }) => status), ["rejected", "rejected"]);
  const opened = both.server.channel("midi")[Symbol.asyncIterator]();
  const next = [opened.next(), opened.next()];
  await opened.return!();
  assertEquals((await Promise.all(next)).map(({ done }) => done), [true, true]);
  assertEquals((await opened.next()).done, true);
});

Deno.test("a client opens a channel once; the server yields each that is opened", async () => {
  await using both = await startBoth();
  await assertRejects(() => both.client.channel("midi"), Error, "opened it already");
  await assertRejects(() => both.client.channel("osc"), Deno.errors.NotFound, '"midi"');
  const channels = both.server.channel("midi")[Symbol.asyncIterator]();
  assertEquals((await channels.next()).value, both.theirs);
  const next = channels.next();
  await both.ours.close();
  const again = await both.client.channel("midi");
  const opened = (await next).value as Channel;
  assert(again.send(new Uint8Array([5])));
  assertEquals(opened.receive(), new Uint8Array([5]));
  const last = channels.next();
  await both.server.close();
  assertEquals(await last, { value: undefined, done: true });
});

Deno.test("when the server is gone, what it sent is received, then its end is told", async () => {
  await using both = await startBoth();
  assert(both.theirs.send(new Uint8Array([3])));
  await both.server.close();
  await both.ours.closed;
  assertEquals(both.ours.receive(), new Uint8Array([3]));
  assertThrows(() => both.ours.receive(), PeerGoneError);
  assertThrows(() => both.ours.send(new Uint8Array(1)), PeerGoneError);
});

Deno.test("a loop whose sender is quicker leaves timers their turns", async () => {
  await using both = await startBoth();
  let fired = false;
  const timer = setTimeout(() => fired = true, 20);
  both.ours.send(new Uint8Array(1));
  for await (const _ of both.theirs) {
    if (fired) break;
    both.ours.send(new Uint8Array(1));
  }
  clearTimeout(timer);
  assert(fired, "the timer fired while the loop ran");
});

Deno.test("options of channels are checked before anything is touched", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  for (
    const midi of [
      { byteLength: 63 },
      { byteLength: 100 },
      { byteLength: 2 ** 31 },
      { byteLength: "64" },
      null,
    ]
  ) {
    await assertRejects(() => serve(name, { broker, channels: { midi } } as never), Error, "midi");
  }
  await assertRejects(() => serve(name, { broker, channels: [] } as never), TypeError, "channels");
  await using server = await serve(name, { broker, regions: {} });
  assertThrows(() => server.channel("midi"), Deno.errors.NotFound, "no channels");
  server.addChannel("midi", { byteLength: 64 });
  assertThrows(() => server.addChannel("midi", { byteLength: 64 }), TypeError, "one of that name");
});

/** A server here, and a client that is a process of its own. */
async function startClient(byteLength = 4096): Promise<AsyncDisposable & { app: App; channel: Channel }> {
  const name = uniqueName("service");
  const broker = brokerName();
  const server = await serve(name, { broker: { service: broker }, channels: { midi: { byteLength } } });
  const app = new App("channel_app.ts");
  const opened = server.channel("midi")[Symbol.asyncIterator]().next();
  await app.call("connect", { name, broker });
  return {
    app,
    channel: (await opened).value as Channel,
    async [Symbol.asyncDispose]() {
      await app[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

Deno.test("messages between processes arrive whole and in their order, however slow the reader", {
  ignore: !ownBroker,
}, async () => {
  await using both = await startClient();
  const sending = both.app.call("send", { count: 5000 });
  let expected = 0;
  for await (const bytes of both.channel) {
    assertEquals(numberOf(bytes), expected++);
    if (expected === 5000) break;
  }
  await sending;
});

for (const how of ["echo", "echoSync"]) {
  Deno.test(`${how}: messages go there and back between processes`, { ignore: !ownBroker }, async () => {
    await using both = await startClient();
    const echoing = both.app.call(how, { count: 500 });
    const messages = both.channel[Symbol.asyncIterator]();
    for (let number = 0; number < 500; number++) {
      assert(both.channel.send(messageOf(number)));
      assertEquals(numberOf((await messages.next()).value!), number);
    }
    await echoing;
  });
}

Deno.test("a client that blocks its thread learns that the server has closed the channel", {
  ignore: !ownBroker,
}, async () => {
  await using both = await startClient();
  const ending = both.app.call("receiveToEnd", {});
  assertEquals((await both.channel[Symbol.asyncIterator]().next()).value, new Uint8Array([1])); // it is there
  assert(both.channel.send(new Uint8Array([2])));
  await both.channel.close();
  assertEquals(await ending, "TypeError after 1");
});

Deno.test(
  "a client that is killed while it sends leaves whole messages only",
  { ignore: !ownBroker },
  async () => {
    for (let round = 0; round < 5; round++) {
      await using both = await startClient();
      void both.app.call("sendOn").catch(() => {}); // it never answers
      let expected = 0;
      for await (const bytes of both.channel) {
        assertEquals(numberOf(bytes), expected++);
        if (expected === 200 + round * 100) both.app.kill("SIGKILL");
      }
      assert(expected >= 200 + round * 100);
      assertThrows(() => both.channel.send(new Uint8Array(1)), TypeError, "closed");
    }
  },
);
