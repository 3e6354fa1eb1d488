import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { load } from "../../ffi/load.ts";
import {
  Connection,
  ConnectionError,
  disposeValue,
  Endpoint,
  FileDescriptor,
  type IncomingMessage,
  Int64,
  Listener,
  Uuid,
  type XpcRecord,
  type XpcValue,
} from "../../src/xpc/mod.ts";
import { decode, MalformedMessage } from "../../src/xpc/decode.ts";
import { encode } from "../../src/xpc/encode.ts";
import { MAX_MESSAGE_ELEMENTS } from "../../src/xpc/mod.ts";
import { ownBroker, uniqueName } from "../support/process.ts";

const library = await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

/** A connection to a listener that does `handle` with each message. */
async function pair(
  handle: (message: IncomingMessage) => void,
): Promise<AsyncDisposableStack & { connection: Connection }> {
  const stack = new AsyncDisposableStack();
  const listener = stack.use(await Listener.anonymous(() => ({ message: handle })));
  using endpoint = listener.endpoint();
  const connection = stack.use(await Connection.toEndpoint(endpoint));
  return Object.assign(stack, { connection });
}

const echo = (message: IncomingMessage): void => {
  using _ = message;
  message.reply({ value: message.values["value"] });
};

Deno.test("request() brings every kind of value back as it was", async () => {
  await using both = await pair(echo);
  const date = new Date("2026-02-03T04:05:06.789Z");
  const values: [XpcValue, XpcValue?][] = [
    [null],
    [true],
    [false],
    [0],
    [-0.5],
    [NaN],
    [Number.MAX_VALUE],
    [0n],
    [2n ** 64n - 1n],
    [-(2n ** 63n)],
    [-1n],
    [new Int64(5n), 5n],
    [""],
    ["grüße, 世界 🌍"],
    [date],
    [new Date(-1)],
    [new Uint8Array(0)],
    [new Uint8Array([0, 255, 1])],
    [new Uint8Array(200_000).fill(7)], // beyond what goes into a packet
    [Uuid.parse("6ba7b810-9dad-11d1-80b4-00c04fd430c8")],
    [[]],
    [[1, "two", [3n, null]]],
  ];
  for (const [sent, expected = sent] of values) {
    const { value } = await both.connection.request({ value: sent }, { timeout: 5000 });
    assertEquals(value, expected);
  }
  const { value } = await both.connection.request({
    value: { a: 1, ["__proto__"]: "own", nothing: undefined },
  });
  assertEquals(Object.getPrototypeOf(value), null);
  assertEquals(Object.keys(value as XpcRecord).sort(), ["__proto__", "a"]);
  assertEquals(Object.getOwnPropertyDescriptor(value, "__proto__")?.value, "own");
});

Deno.test("send() refuses what cannot be sent, and says what and where", async () => {
  await using both = await pair(echo);
  const refuse = (record: Record<string, unknown>, type: new () => Error, part: string): void => {
    assertThrows(() => both.connection.send(record as XpcRecord), type, part);
  };
  refuse({ a: { b: ["x\0y"] } }, TypeError, "message.a.b[0]: it holds a NUL");
  refuse({ "k\0": 1 }, TypeError, 'the key "k\\u0000" of message');
  refuse({ a: "\ud800" }, TypeError, "message.a: it holds a lone surrogate");
  refuse({ a: () => 1 }, TypeError, "message.a: a function has no XPC type");
  refuse({ a: Symbol("s") }, TypeError, "message.a: a symbol has no XPC type");
  refuse({ a: new Map() }, TypeError, "message.a: a Map has no XPC type");
  refuse({ a: [undefined] }, TypeError, "message.a[0]: undefined has no XPC type");
  refuse({ a: 2n ** 64n }, RangeError, "message.a: 18446744073709551616 does not fit");
  refuse({ a: new Date(NaN) }, RangeError, "message.a: the date NaN is invalid");
  refuse({ a: new Date(8.64e15) }, RangeError, "out of range");
  refuse({ a: new Uint8Array(33 * 2 ** 20) }, RangeError, "share a region instead");
  const cyclic: Record<string, unknown> = {};
  cyclic["self"] = cyclic;
  refuse(cyclic, RangeError, "nested deeper than 32 levels");
  assertEquals((await both.connection.request({ value: "still here" }))["value"], "still here");
});

Deno.test("descriptors and endpoints travel, and work at the other side", async () => {
  await using listener = await Listener.anonymous(() => ({
    message: (message) => message.reply({ answer: 42 }),
  }));
  await using both = await pair(echo);
  using endpoint = listener.endpoint();
  const reply = await both.connection.request({ value: endpoint });
  const received = reply["value"];
  assertInstanceOf(received, Endpoint);
  await using through = await Connection.toEndpoint(received);
  disposeValue(reply);
  assertEquals((await through.request({}, { timeout: 5000 }))["answer"], 42);

  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "content");
    using opened = await Deno.open(file);
    void opened;
    using output = await FileDescriptor.from(1);
    const { value } = await both.connection.request({ value: output });
    assertInstanceOf(value, FileDescriptor);
    using descriptor = value;
    const fd = descriptor.dup();
    assert(fd > 2);
    descriptor.close(fd);
    assertThrows(() => descriptor.close(fd), RangeError, "the descriptor is not open");
  } finally {
    await Deno.remove(file);
  }
  await assertRejects(() => FileDescriptor.from(987_654), RangeError, "descriptor 987654: it is not open");
});

Deno.test("a disposed endpoint is refused before anything happens", async () => {
  await using listener = await Listener.anonymous(() => undefined);
  const endpoint = listener.endpoint();
  endpoint[Symbol.dispose]();
  endpoint[Symbol.dispose]();
  await assertRejects(() => Connection.toEndpoint(endpoint), TypeError, "it is disposed");
  await using both = await pair(echo);
  assertThrows(
    () => both.connection.send({ endpoint }),
    TypeError,
    "Cannot send message.endpoint: it is disposed",
  );
});

Deno.test("request() ends with its timeout, its signal, or the peer", async () => {
  const kept: IncomingMessage[] = [];
  await using both = await pair((message) => void kept.push(message)); // and never replies
  const { connection } = both;
  const late = await assertRejects(
    () => connection.request({}, { timeout: 20 }),
    DOMException,
    "within 20 ms",
  );
  assertEquals(late.name, "TimeoutError");
  const abort = new AbortController();
  const aborted = assertRejects(() => connection.request({}, { signal: abort.signal }), Error, "no longer");
  abort.abort(new Error("no longer"));
  await aborted;
  await assertRejects(() => connection.request({}, { signal: abort.signal }), Error, "no longer");
  const pending = assertRejects(() => connection.request({}), ConnectionError);
  await connection.close();
  assertEquals((await pending).kind, "invalid");
  await assertRejects(() => connection.request({}), ConnectionError, "the connection is closed");
  assertThrows(() => connection.send({}), ConnectionError, "the connection is closed");
  for (const message of kept) message[Symbol.dispose]();
});

Deno.test("reply() works once, and only where it is awaited", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  await using both = await pair((message) => {
    if (message.expectsReply) {
      message.reply({ first: true });
      assertEquals(message.expectsReply, false);
      assertThrows(() => message.reply({ second: true }), ConnectionError, "the sender awaits none");
    } else {
      assertThrows(() => message.reply({}), ConnectionError, "the sender awaits none");
      resolve();
    }
  });
  assertEquals((await both.connection.request({}))["first"], true);
  both.connection.send({});
  await promise;
});

Deno.test("messages keep their order, and flush() waits for them", async () => {
  const seen: number[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  await using both = await pair((message) => {
    if (seen.push(message.values["n"] as number) === 500) resolve();
  });
  for (let n = 0; n < 500; n++) both.connection.send({ n }); // far more than a link keeps undrained
  await both.connection.flush();
  await promise;
  assertEquals(seen, Array.from({ length: 500 }, (_, n) => n));
});

Deno.test("a listener refuses a peer, and its close() ends those that it took", async () => {
  const listener = await Listener.anonymous((_connection, peer) => {
    assertEquals([peer.pid, peer.euid], [Deno.pid, Deno.uid()]);
    return undefined;
  });
  using endpoint = listener.endpoint();
  {
    await using refused = await Connection.toEndpoint(endpoint);
    refused.send({}); // a listener learns of a client with its first message
    assertEquals((await refused.closed).kind, "invalid");
  }
  await listener.close();
  await using late = await Connection.toEndpoint(endpoint);
  assertEquals((await late.closed).kind, "invalid");
  await assertRejects(() => late.request({}), ConnectionError);
});

Deno.test("the server's side of a connection can ask, too", async () => {
  const accepted = Promise.withResolvers<Connection>();
  await using listener = await Listener.anonymous((connection) => {
    accepted.resolve(connection);
    return {};
  });
  using endpoint = listener.endpoint();
  await using connection = await Connection.toEndpoint(endpoint, { message: echo });
  connection.send({});
  const peer = await accepted.promise;
  assertEquals((await peer.request({ value: "from the server" }))["value"], "from the server");
  assertEquals([...listener.connections], [peer]);
});

Deno.test(
  "a service has one listener, a name that is checked, and no endpoint",
  { ignore: !ownBroker },
  async () => {
    const name = uniqueName("service");
    await using first = await Listener.service(name, () => ({ message: echo }));
    await using client = await Connection.toService(name);
    assertEquals((await client.request({ value: 1 }, { timeout: 5000 }))["value"], 1);
    assertEquals(client.peer.pid, Deno.pid);
    await using second = await Listener.service(name, () => undefined);
    assertEquals((await second.closed).kind, "invalid");
    assertThrows(() => first.endpoint(), TypeError, "connect to it by its name");
    for (const bad of ["", "a/b", "..\0", "x".repeat(129), "ü"]) {
      await assertRejects(() => Connection.toService(bad), TypeError, "as the name of a service");
      await assertRejects(
        () => Listener.service(bad, () => undefined),
        TypeError,
        "as the name of a service",
      );
    }
  },
);

Deno.test("a connection to a service that nobody vends is closed, and says so", async () => {
  await using connection = await Connection.toService(uniqueName("nobody"));
  assertEquals((await connection.closed).kind, "invalid");
  assertEquals(connection.open, false);
});

Deno.test("a message holds as many values as MAX_MESSAGE_ELEMENTS says, and not one more", async () => {
  await using both = await pair(echo);
  const nulls = (count: number): null[] => new Array(count).fill(null);
  const most = MAX_MESSAGE_ELEMENTS - 1; // beside the array itself
  const { value } = await both.connection.request({ value: nulls(most) }, { timeout: 60_000 });
  assertEquals((value as unknown[]).length, most);
  const refuse = (value: XpcValue): void => {
    assertThrows(
      () => both.connection.send({ value }),
      RangeError,
      `more than ${MAX_MESSAGE_ELEMENTS} values`,
    );
  };
  refuse(nulls(most + 1));
  refuse(new Array(2 ** 32 - 1) as null[]); // refused by its length: nothing is built of it
  const half = nulls(MAX_MESSAGE_ELEMENTS / 2);
  refuse([half, half]);
  refuse({ a: half, b: { c: half } });
  refuse(Object.fromEntries(Array.from({ length: most + 1 }, (_, index) => [`key ${index}`, null])));
});

Deno.test("a peer's message with more values is refused before they are read", () => {
  const { xpc } = library;
  /** An array of nulls, as a peer with another encoder could send it. */
  const nulls = (count: number): ReturnType<typeof encode> => {
    const array = xpc.xpc_array_create(null, 0n)!;
    const item = xpc.xpc_null_create()!;
    for (let index = 0; index < count; index++) xpc.xpc_array_append_value(array, item);
    xpc.xpc_release(item);
    return array;
  };
  const read = (counts: number[]): XpcRecord => {
    const dictionary = encode(library, {});
    for (const [index, count] of counts.entries()) {
      const array = nulls(count);
      xpc.xpc_dictionary_set_value(dictionary, new TextEncoder().encode(`array ${index}\0`), array);
      xpc.xpc_release(array);
    }
    try {
      return decode(library, dictionary);
    } finally {
      xpc.xpc_release(dictionary);
    }
  };
  const most = MAX_MESSAGE_ELEMENTS - 1;
  assertEquals((read([most])["array 0"] as unknown[]).length, most);
  assertThrows(() => read([most + 1]), MalformedMessage, `more than ${MAX_MESSAGE_ELEMENTS} values`);
  assertThrows(() => read([most, 0]), MalformedMessage, "more than");
  assertThrows(() => read([2 ** 20]), MalformedMessage, "more than");
});

Deno.test("close() of a descriptor takes no number that only looks like one", async () => {
  using output = await FileDescriptor.from(1);
  const fd = output.dup();
  for (const bad of [fd + 0.5, fd + 2 ** 32, -1, NaN, Infinity]) {
    assertThrows(() => output.close(bad), RangeError, `Cannot close descriptor ${bad}: it is not open`);
  }
  output.close(fd); // none of them closed it
});

Deno.test("Int64 and Uuid check what they are made of", () => {
  assertThrows(() => new Int64(2n ** 63n), RangeError, "out of range");
  assertThrows(() => new Int64(5 as unknown as bigint), TypeError, "of 5: value must be a bigint");
  assertThrows(() => new Uuid(new Uint8Array(15)), RangeError, "current length is 15");
  assertThrows(() => Uuid.parse("6ba7b810"), SyntaxError, 'Cannot parse "6ba7b810"');
});
