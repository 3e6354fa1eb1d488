/** Channels whose other side writes whatever it likes: an error that names its process, and nobody else is hurt. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { type Channel, type Client, connect, IncompatibleError, serve, type Server } from "../../mod.ts";
import { Broker } from "../../src/broker/broker.ts";
import {
  PARKED_BELL,
  RING_HEADER_BYTES,
  RING_LEFT,
  RING_TAIL_AT,
  serverParkedAt,
} from "../../src/link/layout.ts";
import { Mapping } from "../../src/memory/mod.ts";
import { SharedMemory, type XpcRecord } from "../../src/xpc/mod.ts";
import { codeOf, RawClient, RawServer, until } from "../contract/link/raw.ts";
import { brokerName, ownBroker, uniqueName } from "../support/process.ts";

/** The bytes of a ring, and where the second one begins. */
const BYTES = 128;
const SECOND = RING_HEADER_BYTES + BYTES;

/** Counters that no ring can have. */
const COUNTERS = [
  1n << 3n | 4n,
  BigInt(BYTES) + 8n,
  2n ** 31n,
  2n ** 32n + 8n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 8n,
];

/** Lengths that are not there. */
const LENGTHS = [
  17n,
  BigInt(BYTES) / 2n + 1n,
  2n ** 31n,
  2n ** 32n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n - 8n,
];

/** A raw client with a channel: its memory as words of 64 bits, and the server's end. */
interface Raw extends AsyncDisposable {
  readonly raw: RawClient;
  readonly mapping: Mapping;
  readonly words: BigUint64Array;
  readonly theirs: Channel;
}

async function openRaw(raw: RawClient, server: Server): Promise<Raw> {
  const { ok, memory, byteLength } = await raw.request({ op: "channel", name: "midi" });
  assertEquals([ok, byteLength], [true, BigInt(BYTES)]);
  assertInstanceOf(memory, SharedMemory);
  const mapping = Mapping.open(memory, 2 * SECOND);
  return {
    raw,
    mapping,
    words: mapping.view(BigUint64Array),
    theirs: server.channel("midi").open.at(-1)!,
    async [Symbol.asyncDispose]() {
      mapping.close();
      await raw[Symbol.asyncDispose]();
    },
  };
}

/** A server with an honest client, which has the channel open too. */
interface Stage extends AsyncDisposable {
  readonly server: Server;
  readonly honest: Channel;
  attack(): Promise<Raw>;
}

async function setStage(): Promise<Stage> {
  const service = brokerName();
  const name = uniqueName("service");
  const server = await serve(name, { broker: { service }, channels: { midi: { byteLength: BYTES } } });
  const client: Client = await connect(name, { broker: { service } });
  return {
    server,
    honest: await client.channel("midi"),
    async attack() {
      const raw = await RawClient.connect(service, name);
      await raw.greet();
      return await openRaw(raw, server);
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

/** That the honest client has its channel as ever. */
function goesOn({ server, honest }: Stage, bytes: number): void {
  assertEquals(server.channel("midi").send(new Uint8Array([bytes])), 1);
  assertEquals(honest.receive(), new Uint8Array([bytes]));
  assert(honest.send(new Uint8Array([bytes])));
  assertEquals(server.channel("midi").open[0]!.receive(), new Uint8Array([bytes]));
}

const BROKEN = `process ${Deno.pid} wrote into its memory what no ring can hold`;

Deno.test({
  name: "a client whose counters and lengths are wild breaks its own channel, which the server tells",
  ignore: !ownBroker,
  async fn() {
    await using stage = await setStage();
    const attacks: [
      name: string,
      write: (words: BigUint64Array) => void,
      use: (channel: Channel) => unknown,
    ][] = [
      ...COUNTERS.map((value): [string, (words: BigUint64Array) => void, (channel: Channel) => unknown] => [
        `head ${value}`,
        (words) => words[0] = value,
        (channel) => channel.receive(),
      ]),
      ...COUNTERS.map((value): [string, (words: BigUint64Array) => void, (channel: Channel) => unknown] => [
        `tail ${value}`,
        (words) => words[(SECOND + RING_TAIL_AT) / 8] = value,
        (channel) => {
          while (channel.send(new Uint8Array(8)));
        },
      ]),
      ...LENGTHS.map((value): [string, (words: BigUint64Array) => void, (channel: Channel) => unknown] => [
        `length ${value}`,
        (words) => {
          words[RING_HEADER_BYTES / 8] = value;
          words[0] = 24n;
        },
        (channel) => channel.receiveSync({ timeout: 60_000 }),
      ]),
    ];
    for (const [index, [what, write, use]] of attacks.entries()) {
      await using attack = await stage.attack();
      const { words, theirs, raw } = attack;
      write(words);
      assertThrows(() => use(theirs), Error, BROKEN, what);
      assertEquals((await theirs.closed)?.message.includes(BROKEN), true, what);
      assertThrows(() => theirs.send(new Uint8Array(1)), Error, BROKEN);
      assertThrows(() => theirs.receive(), Error, BROKEN);
      await until(() => raw.notes.some(({ event }) => event === "channels"));
      goesOn(stage, index);
      // It may begin anew, once it has closed what it opened.
      assertEquals(codeOf(await raw.request({ op: "channel", name: "midi" })), "failed");
      assertEquals((await raw.request({ op: "channel_close", name: "midi" }))["ok"], true);
      assertEquals((await raw.request({ op: "channel", name: "midi" }))["ok"], true);
    }
  },
});

Deno.test({
  name:
    "a hub sends to the others where one client has broken its channel, and checks the message in any case",
  ignore: !ownBroker,
  async fn() {
    await using stage = await setStage();
    await using first = await stage.attack();
    await using second = await stage.attack();
    const hub = stage.server.channel("midi");
    first.words[(SECOND + RING_TAIL_AT) / 8] = 2n ** 40n;
    const message = new Uint8Array(64);
    assertEquals(hub.send(message), 3, "there was room, so that nobody looked");
    assertEquals(stage.honest.receive(), message);
    second.words[(SECOND + RING_TAIL_AT) / 8] = 72n;
    assertEquals(hub.send(message), 2, "the honest one, and the other raw one");
    assertEquals([hub.open.length, stage.honest.receive()], [2, message]);
    assertThrows(() => hub.send(new Uint8Array(65)), RangeError);
    stage.server.addChannel("osc", { byteLength: 64 });
    assertThrows(() => stage.server.channel("osc").send("text" as never), TypeError, "typed array");
  },
});

Deno.test({
  name: "waits end with the error where a channel is broken meanwhile, and later waits are woken as ever",
  ignore: !ownBroker,
  async fn() {
    await using stage = await setStage();
    const midi = 0; // the only thing that has a number
    for (let round = 0; round < 3; round++) {
      await using attack = await stage.attack();
      const { raw, words, theirs } = attack;
      while (theirs.send(new Uint8Array(8)));
      const failing = [
        assertRejects(() => theirs.sendAsync(new Uint8Array(8)), Error, BROKEN),
        assertRejects(() => theirs.messages({ spin: 0 }).next(), Error, BROKEN),
      ];
      await until(() => raw.server.load(serverParkedAt(midi)) === PARKED_BELL);
      words[round % 2 === 0 ? 0 : (SECOND + RING_TAIL_AT) / 8] = 2n ** 40n;
      await raw.request({ op: "committed", index: BigInt(midi) });
      await Promise.all(failing);
      assertEquals(raw.server.load(serverParkedAt(midi)), 0);
      await raw.request({ op: "channel_close", name: "midi" });
      await using next = await openRaw(raw, stage.server);
      const waiting = next.theirs.messages({ spin: 0 }).next();
      await until(() => raw.server.load(serverParkedAt(midi)) === PARKED_BELL);
      next.words[RING_HEADER_BYTES / 8] = 0n;
      next.words[0] = 8n;
      await raw.request({ op: "committed", index: BigInt(midi) });
      assertEquals((await waiting).value, new Uint8Array());
    }
  },
});

Deno.test({
  name: "a client that leaves a ring full of empty messages, or of nonsense, leaves what is whole",
  ignore: !ownBroker,
  async fn() {
    await using stage = await setStage();
    const all = BigInt(BYTES);
    for (const [last, count] of [[0n, 16], [9n, 15], [2n ** 63n, 15]] as const) {
      await using attack = await stage.attack();
      const { words, raw, theirs } = attack;
      words.fill(0n, RING_HEADER_BYTES / 8, SECOND / 8);
      words[SECOND / 8 - 1] = last;
      words[0] = all | BigInt(RING_LEFT);
      await raw.request({ op: "channel_close", name: "midi" });
      words[0] = 0n; // too late: what was there is the server's
      let seen = 0;
      for await (const message of theirs) {
        assertEquals(message.length, 0);
        seen++;
      }
      assertEquals(seen, count);
      assertEquals(await theirs.closed, undefined);
    }
    await using attack = await stage.attack();
    attack.words[0] = 2n ** 50n;
    await attack.raw.request({ op: "channel_close", name: "midi" });
    assertEquals((await attack.theirs.messages().next()).done, true);
    goesOn(stage, 1);
  },
});

Deno.test({
  name: "requests for channels are checked",
  ignore: !ownBroker,
  async fn() {
    const service = brokerName();
    const name = uniqueName("service");
    await using _server = await serve(name, {
      broker: { service },
      channels: { midi: { byteLength: BYTES } },
    });
    await using raw = await RawClient.connect(service, name);
    for (const op of ["channel", "channel_close"]) {
      assertEquals(await raw.refused({ op, name: "midi" }), "hello_first");
    }
    await raw.greet();
    for (const op of ["channel", "channel_close"]) {
      assertEquals(await raw.refused({ op, name: 5n }), "bad_request");
      assertEquals(await raw.refused({ op }), "bad_request");
      assertEquals(await raw.refused({ op, name: "nothing" }), "not_found");
    }
    assertEquals((await raw.request({ op: "channel_close", name: "midi" }))["ok"], true, "it has none");
    const replies = await Promise.all([1, 2, 3].map(() => raw.request({ op: "channel", name: "midi" })));
    assertEquals(replies.map(({ ok }) => ok), [true, false, false]);
  },
});

Deno.test({
  name: "a server whose counters, lengths and answers are wild breaks its client's channel, and nothing else",
  ignore: !ownBroker,
  async fn() {
    const service = brokerName();
    const name = uniqueName("service");
    const broker = { service, embedded: false };
    await using _broker = await Broker.start({ service });
    await using server = await RawServer.serve(service, name);
    using memory = await Mapping.create(2 * SECOND);
    const words = memory.view(BigUint64Array);
    let changed: XpcRecord = {};
    const shared: Disposable[] = [];
    server.answers["channel"] = () => {
      words.fill(0n);
      const part = memory.share();
      shared.push(part);
      return { ok: true, index: 0n, byteLength: BigInt(BYTES), memory: part, ...changed };
    };
    server.answers["channel_close"] = () => ({ ok: true });
    await using client = await connect(name, { broker, reconnect: false });
    let closes = 0;
    const closed = async (): Promise<void> => {
      closes++;
      await until(() => server.operations("channel_close").length === closes);
    };
    for (
      const wrong of [
        { index: 256n },
        { index: -1n },
        { byteLength: 56n },
        { byteLength: 100n },
        { byteLength: 2n ** 31n },
        { byteLength: 2n ** 63n },
        { memory: null },
      ]
    ) {
      changed = wrong as XpcRecord;
      await assertRejects(() => client.channel("midi"), IncompatibleError, "midi");
      await closed();
    }
    changed = { byteLength: 65536n };
    await assertRejects(() => client.channel("midi"), RangeError);
    await closed();
    changed = {};
    for (const value of COUNTERS) {
      const channel = await client.channel("midi");
      words[SECOND / 8] = value;
      assertThrows(() => channel.receive(), Error, BROKEN);
      assertEquals((await channel.closed)?.message.includes(BROKEN), true);
      await closed();
    }
    for (const value of LENGTHS) {
      const channel = await client.channel("midi");
      words[(SECOND + RING_HEADER_BYTES) / 8] = value;
      words[SECOND / 8] = 24n;
      await assertRejects(() => channel.messages().next(), Error, BROKEN);
      await closed();
    }
    const channel = await client.channel("midi");
    words[RING_TAIL_AT / 8] = 2n ** 40n;
    assertThrows(
      () => {
        while (channel.send(new Uint8Array(8)));
      },
      Error,
      BROKEN,
    );
    await closed();
    await using frame = await client.open("frame"); // the link is as good as ever
    assertEquals(frame.byteLength, 10_000);
    for (const part of shared) part[Symbol.dispose]();
  },
});
