/** Requests and messages between processes. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  BacklogError,
  type Client,
  connect,
  type ConnectOptions,
  type MessageRecord,
  type MessageValue,
  PeerGoneError,
  RegionHandle,
  RemoteError,
  serve,
} from "../../mod.ts";
import { Connection, ConnectionError, FileDescriptor, Int64, Uuid } from "../../src/xpc/mod.ts";
import { BrokerConnection } from "../../src/broker/broker_connection.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

/** A name, a broker, and the processes and clients of one test. */
class Place implements AsyncDisposable {
  readonly name = uniqueName("messages");
  readonly broker = brokerName();
  readonly #stack = new AsyncDisposableStack();

  app(): App {
    return this.#stack.use(new App("messages_app.ts"));
  }

  /** A process that serves. */
  async server(parameters: Record<string, unknown> = {}): Promise<App> {
    const app = this.app();
    await app.call("serve", { name: this.name, broker: this.broker, ...parameters });
    return app;
  }

  /** A process that is a client. */
  async clientApp(parameters: Record<string, unknown> = {}): Promise<App> {
    const app = this.app();
    await app.call("connect", { name: this.name, broker: this.broker, ...parameters });
    return app;
  }

  /** A client in this process. */
  async client(options: ConnectOptions = {}): Promise<Client> {
    return this.#stack.use(
      await connect(this.name, {
        broker: { service: this.broker },
        signal: AbortSignal.timeout(60_000),
        ...options,
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** More than a process needs, and far less than all that is sent to it. */
const MUCH_MEMORY = 400 * 2 ** 20;

Deno.test("a request is answered, whichever side starts first", async () => {
  await using place = new Place();
  const early = place.client();
  await place.server();
  assertEquals(await (await early).request({ ask: "echo", value: 1 }), 1);
  const late = await place.client({ label: "the late one" });
  assertEquals(await late.request({ ask: "who" }), `the late one ${Deno.pid}`);
  assertEquals(await (await early).request({ ask: "who" }), ` ${Deno.pid}`);
  assertEquals(await late.request({ ask: "nothing" }), null);
});

Deno.test("values of all kinds go there and back", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  const values: MessageValue[] = [
    null,
    true,
    false,
    0,
    -0.5,
    NaN,
    Infinity,
    0n,
    2n ** 64n - 1n,
    -1n,
    -(2n ** 63n),
    "",
    "ä 😀",
    new Date(86_400_000),
    new Uint8Array(),
    Uint8Array.of(0, 255),
    new Uuid(new Uint8Array(16).fill(3)),
    [],
    [1, [2n, ["three"]], null],
    {},
    { deep: { deeper: [{ deepest: new Uint8Array(100_000) }] }, "a key ": "" },
  ];
  for (const value of values) assertEquals(await client.request({ ask: "echo", value }), plain(value));
  assertEquals(await client.request({ ask: "echo", value: values }), plain(values));
  assertEquals(await client.request({ ask: "echo", value: new Int64(5n) }), 5n);
  assertEquals(await client.request({ ask: "echo", value: { a: undefined, b: 1 } }), plain({ b: 1 }));

  using output = await FileDescriptor.from(1);
  using back = await client.request({ ask: "echo", value: output }) as FileDescriptor;
  assertInstanceOf(back, FileDescriptor);
  back.close(back.dup());
});

/** A value as it is received: objects have no prototype. */
function plain(value: MessageValue | undefined): MessageValue {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return value as MessageValue;
  }
  const entries = Object.entries(value).map(([key, item]) => [key, plain(item)]);
  return Object.assign(Object.create(null), Object.fromEntries(entries));
}

Deno.test("a region in a message arrives as a handle that opens it, on either side", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  const handle = await client.request({ ask: "region" });
  assertInstanceOf(handle, RegionHandle);
  assertEquals([handle.name, handle.generation], ["frame", 1]);
  const frame = await handle.open({ write: true });
  frame.view(Uint8Array)[0] = 1;
  for (const region of [frame, handle]) {
    assertEquals(await client.request({ ask: "fill", region }), "frame");
    assertEquals(frame.view(Uint8Array)[0], 7);
    frame.view(Uint8Array)[0] = 1;
  }
  const deep = await client.request({ ask: "echo", value: [{ frame }, 5] }) as [
    { frame: RegionHandle },
    number,
  ];
  assertInstanceOf(deep[0].frame, RegionHandle);
  assertEquals(deep[1], 5);
  await assertRejects(() => client.request({ "@xpc/shmem": "region" }), TypeError, "marks regions");
});

Deno.test("what a handler throws reaches who asked, and the server lives on", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  const error = await assertRejects(() => client.request({ ask: "throw" }), RemoteError);
  assertEquals([error.message, error.remoteName], ["Cannot do that: 3 is too many", "RangeError"]);
  const nothing = await assertRejects(() => client.request({ ask: "throw nothing" }), RemoteError);
  assertEquals([nothing.message, nothing.remoteName], ["undefined", "undefined"]);
  const unsendable = await assertRejects(() => client.request({ ask: "function" }), RemoteError);
  assertEquals(unsendable.remoteName, "TypeError");
  await assertRejects(
    () => client.request({ ask: "much", bytes: 17 * 2 ** 20 }),
    RemoteError,
    "share a region",
  );
  await assertRejects(() => client.request(null), RemoteError);
  await assertRejects(() => client.request((() => {}) as never), TypeError, "function");
  await assertRejects(() => client.request(new Uint8Array(17 * 2 ** 20)), RangeError, "share a region");
  assertThrows(() => client.send(Symbol() as never), TypeError);
  client.send("throw"); // is printed there
  assertEquals(await client.request({ ask: "echo", value: "alive" }), "alive");
});

Deno.test("a server without handlers says so", async () => {
  await using place = new Place();
  const server = await place.server({ handlers: "none" });
  const client = await place.client();
  await assertRejects(() => client.request(1), TypeError, "no `request` handler");
  client.send(1); // the first one cannot know
  await assertRejects(
    async () => {
      for (;;) await client.sendAsync(2);
    },
    TypeError,
    "no `message` handler",
  );
  assertThrows(() => client.send(3), TypeError, "no `message` handler");
  assertEquals(await server.call("askAll", { value: 1 }), ["TypeError"]);
});

Deno.test("requests are answered in any order, and one that nobody answers times out", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  const later = client.request({ ask: "later" });
  assertEquals(await client.request({ ask: "open" }), "opened");
  assertEquals(await later, "at last");
  const { name } = await assertRejects(() => client.request({ ask: "never" }, { timeout: 20 })) as Error;
  assertEquals(name, "TimeoutError");
  const stop = new AbortController();
  const aborted = client.request({ ask: "never" }, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  await assertRejects(() => client.request(1, { timeout: -1 }), RangeError, "timeout");
  await assertRejects(() => client.request(1, { signal: 1 as never }), TypeError, "signal");
  assertEquals(await client.request({ ask: "echo", value: 1 }), 1);
});

Deno.test("more requests than may be under way wait for room", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  const waiting = Array.from({ length: 256 }, () => client.request({ ask: "later" }));
  const full = client.request({ ask: "echo", value: 1 }, { timeout: 50 });
  await assertRejects(() => full, DOMException, "within 50 ms");
  // A message still gets through, and the room comes back with the answers.
  client.send("beside");
  const next = client.request({ ask: "echo", value: 2 });
  await using other = await connect(place.name, { broker: { service: place.broker } });
  await other.request({ ask: "open" });
  assertEquals(await next, 2);
  assertEquals(new Set(await Promise.all(waiting)), new Set(["at last"]));
});

Deno.test("a server that is killed fails the requests under way; the next one answers", async () => {
  await using place = new Place();
  const server = await place.server();
  const client = await place.client();
  const asked = ["never", "later"].map((ask) => assertRejects(() => client.request({ ask }), PeerGoneError));
  await client.request({ ask: "echo", value: 1 });
  const gone = new Promise((resolve) => client.addEventListener("disconnect", resolve, { once: true }));
  await server.kill();
  await Promise.all(asked);
  await gone; // a request may fail a moment before the client knows why
  assertThrows(() => client.send("nobody"), PeerGoneError);
  const waits = client.request({ ask: "echo", value: 2 });
  await assertRejects(() => client.request({ ask: "echo", value: 3 }, { timeout: 30 }), DOMException);
  const next = await place.server();
  assertEquals(await waits, 2);
  await next.call("send", { value: "from the next" });
  for await (const value of client.messages()) {
    assertEquals(value, "from the next");
    break;
  }
});

Deno.test("a client that is killed fails the requests to it, and the server serves on", async () => {
  await using place = new Place();
  const server = await place.server();
  const killed = await place.clientApp({ label: "killed" });
  const client = await place.client({ label: "alive", request: (value) => (value as MessageRecord)["ask"]! });
  const hangs = killed.call("request", { value: { ask: "never" } }).catch(() => {});
  const asked = server.call<string[]>("askAll", { value: { ask: "never" } });
  assertEquals(await server.call("peers"), ["alive", "killed"]);
  await killed.kill();
  await hangs;
  assertEquals((await asked).toSorted(), ["PeerGoneError", "never"]);
  assertEquals(await server.call("peers"), ["alive"]);
  assertEquals(await client.request({ ask: "echo", value: 1 }), 1);
});

Deno.test("eight clients: each gets its own messages, in order, and answers", async () => {
  await using place = new Place();
  const server = await place.server();
  const labels = Array.from({ length: 8 }, (_, index) => `client ${index}`);
  const clients = await Promise.all(labels.map((label) => place.clientApp({ label })));
  assertEquals(await server.call("peers"), labels);
  await server.call("sendAll", { value: "hello" });
  assertEquals(
    await Promise.all(clients.map((client) => client.call("next"))),
    labels.map((label) => `hello ${label}`),
  );
  await Promise.all(clients.map((client) => client.call("sendMany", { count: 500, bytes: 10 })));
  const echo = { ask: "echo", value: "yes" };
  assertEquals(await server.call("askAll", { value: echo }), labels.map(() => "yes"));
  const received = await server.call<number[]>("received");
  assertEquals(received.length, 4000);
});

Deno.test("a client that does not read costs a bounded amount, and all else goes on", async () => {
  await using place = new Place();
  const server = await place.server();
  const client = await place.clientApp();
  const { sent, rss } = await server.call<{ sent: number; rss: number }>("flood", { bytes: 2 ** 20 });
  assert(sent >= 15 && sent <= 16, `${sent} of 1 MiB`);
  assert(rss < MUCH_MEMORY, `${rss}`);
  assertEquals(await client.call("open"), 4096);
  assertEquals(await client.call("request", { value: { ask: "echo", value: 1 } }), 1);
  assertEquals(await server.call("askAll", { value: { ask: "echo", value: 2 } }), [2]);
  assert(await client.call<number>("rss") < MUCH_MEMORY);
  assertEquals(await client.call("take", { count: sent }), sent);
  // And with a reader, any amount gets through.
  const sending = server.call("sendMany", { count: 512, bytes: 2 ** 20 });
  assertEquals(await client.call("take", { count: 512 }), 512);
  await sending;
  assert(await client.call<number>("rss") < MUCH_MEMORY);
  assert(await server.call<number>("rss") < MUCH_MEMORY);
});

Deno.test("small messages that nobody reads are bounded, too", async () => {
  await using place = new Place();
  const server = await place.server();
  const client = await place.clientApp();
  const { sent } = await server.call<{ sent: number }>("flood", { bytes: 0 });
  assertEquals(sent, 8192);
  await server.call("askAll", { value: { ask: "echo", value: 1 } }); // comes after them
  await server.kill();
  assertEquals(await client.call("take", { count: sent }), sent);
});

Deno.test("a process that stands still costs the other a bounded amount", async () => {
  await using place = new Place();
  const server = await place.server();
  const client = await place.clientApp();
  Deno.kill(server.pid, "SIGSTOP");
  const { sent, rss } = await client.call<{ sent: number; rss: number }>("flood", { bytes: 2 ** 20 });
  assert(sent <= 16 && rss < MUCH_MEMORY, `${sent} ${rss}`);
  const waits = client.call("sendMany", { count: 20, bytes: 2 ** 20 });
  Deno.kill(server.pid, "SIGCONT");
  await waits;
  assertEquals(await client.call("request", { value: { ask: "echo", value: 1 } }), 1);
  const received = await server.call<number[]>("received");
  assertEquals(received, [...Array(sent).keys(), ...Array(20).keys()]);
});

Deno.test("a handler that never finishes holds its client up, and no one else", async () => {
  await using place = new Place();
  await place.server({ handlers: "stuck" });
  const client = await place.client();
  assertThrows(
    () => {
      for (;;) client.send(new Uint8Array(2 ** 20));
    },
    BacklogError,
    "15 messages",
  );
  const large = new Uint8Array(2 ** 21);
  await assertRejects(() => client.sendAsync(large, { timeout: 20 }), DOMException, "within 20 ms");
  const stop = new AbortController();
  const aborted = client.sendAsync(large, { signal: stop.signal });
  stop.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  const other = await place.client();
  other.send(1);
  assertEquals(await other.request({ ask: "echo", value: 1 }), 1);
});

/** Connects to the server of a place without the library's manners. */
async function rawClient(place: Place): Promise<Connection> {
  await using broker = await BrokerConnection.open(place.broker, { name: "raw" });
  using endpoint = (await broker.lookup({ name: place.name })).endpoint;
  return await Connection.toEndpoint(endpoint);
}

Deno.test("a client that does not keep to the bounds loses its link", async () => {
  await using place = new Place();
  const server = await place.server({ handlers: "stuck" });
  const client = await place.client();
  await using raw = await rawClient(place);
  assertEquals((await raw.request({ op: "request", value: 1n }))["code"], "hello_first");
  assertEquals((await raw.request({ op: "received" }))["code"], "hello_first");
  raw.send({ op: "message", value: 1n });
  await hello(raw, {});
  assertEquals((await raw.request({ op: "request" }))["code"], "bad_request");
  const asked = raw.request({ op: "received" });
  raw.send({ op: "message" });
  raw.send({ op: "message", value: "stuck" });
  assertEquals((await asked)["ok"], true); // what came before counts, and nothing did
  const stuck = assertRejects(() => raw.request({ op: "received" }), ConnectionError);
  assertEquals((await raw.request({ op: "received" }))["code"], "bad_request");
  const value = new Uint8Array(2 ** 20);
  try {
    for (let sent = 0; sent < 4096; sent++) {
      raw.send({ op: "message", value });
      if (sent % 16 === 0) await raw.flush();
    }
    throw new Error("Cannot be: 4 GiB were sent");
  } catch (error) {
    assertInstanceOf(error, ConnectionError);
  }
  await stuck;
  assert(await server.call<number>("rss") < MUCH_MEMORY);
  assertEquals(await client.request({ ask: "echo", value: 1 }), 1);
});

Deno.test("a client that asks without end loses its link", async () => {
  await using place = new Place();
  await place.server();
  const client = await place.client();
  await using raw = await rawClient(place);
  await hello(raw, {});
  const ask = (): Promise<unknown> => raw.request({ op: "request", value: { ask: "never" } });
  await Promise.all(Array.from({ length: 1000 }, () => assertRejects(ask, ConnectionError)));
  assertEquals(await client.request({ ask: "echo", value: 1 }), 1);
});

/** Says hello with more keys. */
async function hello(raw: Connection, keys: Record<string, string | bigint>): Promise<string | undefined> {
  const { Mapping } = await import("../../src/memory/mod.ts");
  const { CLIENT_BYTES, LAYOUT_VERSION } = await import("../../src/link/layout.ts");
  using mapping = await Mapping.create(CLIENT_BYTES);
  using words = mapping.share();
  const reply = await raw.request({
    op: "hello",
    min: 1n,
    max: 1n,
    layout: BigInt(LAYOUT_VERSION),
    words,
    ...keys,
  });
  return reply["code"] as string | undefined;
}

Deno.test("a label is checked on both sides", async () => {
  await using place = new Place();
  const server = await place.server();
  for (const label of ["", "a\nb", "x".repeat(129), "\ud800", 5 as never]) {
    await assertRejects(() => place.client({ label }), TypeError, "`label`");
  }
  await using raw = await rawClient(place);
  for (const label of ["a\nb", "x".repeat(129), 5n]) assertEquals(await hello(raw, { label }), "bad_request");
  assertEquals(await hello(raw, { label: "raw ä" }), undefined);
  assertEquals(await server.call("peers"), ["raw ä"]);
});

Deno.test("messages() ends with the client, the iteration or the signal", async () => {
  const name = uniqueName("messages");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: {} });
  const client = await connect(name, { broker });
  const [peer] = server.peers;
  const stop = new AbortController();
  const aborted = client.messages({ signal: stop.signal }).next();
  const returned = client.messages();
  const waits = returned.next();
  const last = client.messages();
  const gets = last.next();
  stop.abort(new Error("enough"));
  await assertRejects(() => aborted, Error, "enough");
  await returned.return();
  assertEquals(await waits, { value: undefined, done: true });
  peer!.send("for the one that waits");
  assertEquals(await gets, { value: "for the one that waits", done: false });
  assertThrows(() => client.messages({ signal: 1 as never }), TypeError);
  const end = last.next();
  await client.close();
  assertEquals(await end, { value: undefined, done: true });
  await peer!.closed;
  assertEquals(server.peers.size, 0);
  assertThrows(() => peer!.send(1), PeerGoneError);
  assertThrows(() => client.send(1), TypeError, "closed");
  await assertRejects(() => client.request(1), TypeError, "closed");
});

Deno.test("without reconnect, messages() ends with an error after what came before", async () => {
  const name = uniqueName("messages");
  const broker = { service: brokerName() };
  const server = await serve(name, { broker, regions: {} });
  await using client = await connect(name, { broker, reconnect: false });
  for (const peer of server.peers) {
    peer.send("last");
    await peer.sendAsync("words");
    await peer.request(1).catch(() => {}); // so that they have arrived
  }
  await server.close();
  await client.closed;
  const messages = client.messages();
  assertEquals([(await messages.next()).value, (await messages.next()).value], ["last", "words"]);
  await assertRejects(() => messages.next(), PeerGoneError);
  await assertRejects(() => client.request(1), PeerGoneError);
});

Deno.test("ConnectedClient.disconnect() ends the link; the client connects again", async () => {
  const name = uniqueName("messages");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: {}, request: (value) => value });
  await using client = await connect(name, { broker, label: "again" });
  const [first] = server.peers;
  await first!.disconnect();
  const ask = async (): Promise<MessageValue> => {
    try {
      return await client.request(5);
    } catch (error) {
      assertInstanceOf(error, PeerGoneError); // it does not know yet
      return await ask();
    }
  };
  assertEquals(await ask(), 5);
  const [second] = server.peers;
  assert(second !== first && second!.name === "again");
});

Deno.test("join() answers requests on either side", async () => {
  await using place = new Place();
  const apps = [place.app(), place.app()];
  const parameters = { name: place.name, broker: place.broker };
  const roles = await Promise.all(apps.map((app) => app.call<string>("join", parameters)));
  assertEquals(roles.toSorted(), ["client", "server"]);
  const [server, client] = roles[0] === "server" ? apps : apps.reverse();
  assertEquals(await client!.call("request", { value: "asks" }), "server asks");
  assertEquals(await server!.call("askAll", { value: "asks" }), ["client asks"]);
});
