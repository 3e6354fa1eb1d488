/** What every client does, seen by a server that answers anything. */
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertStringIncludes,
} from "@std/assert";
import {
  CLIENT_BYTES,
  clientParkedAt,
  LAYOUT_VERSION,
  LOCK_BYTES,
  MUTEX_ABANDONED,
  MUTEX_CONTENDED,
  MUTEX_OWNER,
  mutexAt,
  PARKED_BELL,
  SERVER_BYTES,
  SERVER_OWNER,
  serverParkedAt,
  sharedRevisionAt,
} from "../../../src/link/layout.ts";
import { Mapping } from "../../../src/memory/mod.ts";
import { FileDescriptor, SharedMemory, type XpcRecord } from "../../../src/xpc/mod.ts";
import type { Implementation, Party } from "./parties.ts";
import { Bell, RawServer, until, Words } from "./raw.ts";
import { Setting, type SideTest } from "./suite.ts";

/** Runs a test with a client of this implementation that has not connected, and a server of the test's. */
async function asking(
  implementation: Implementation,
  run: (
    server: RawServer,
    client: Party,
    connect: () => Promise<string[]>,
    setting: Setting,
  ) => Promise<void>,
): Promise<void> {
  await using setting = await Setting.start();
  await using server = await RawServer.serve(setting.service, setting.name);
  const client = await setting.party(implementation);
  await run(server, client, () => client.run("connect", setting.service, setting.name, "-"), setting);
}

/** The tests of clients. */
export const clientTests: readonly SideTest[] = [
  {
    name: "its first message is a hello with all that the page lists",
    run: (implementation) =>
      asking(implementation, async (server, _, connect) => {
        await connect();
        const { op, min, max, layout, schema, words } = server.received[0]!;
        assertEquals([op, min, max, layout], ["hello", 1n, 1n, BigInt(LAYOUT_VERSION)]);
        assert(schema === null || schema === undefined, "no schema");
        assertInstanceOf(words, SharedMemory);
        using mapping = Mapping.open(words, CLIENT_BYTES);
        const view = new Words(mapping);
        for (let at = 0; at < CLIENT_BYTES; at += 4) assertEquals(view.load(at), 0);
        assertEquals(server.received.length, 1);
      }),
  },
  {
    name: "a schema travels as its SHA-256",
    run: (implementation) =>
      asking(implementation, async (server, client, _, setting) => {
        await client.run("connect", setting.service, setting.name, "Bücher-v3");
        const text = new TextEncoder().encode("Bücher-v3");
        const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
        assertEquals(server.received[0]!["schema"], digest);
      }),
  },
  {
    name: "an answer to hello that is not right is refused",
    run: (implementation) =>
      asking(implementation, async (server, client, _, setting) => {
        using small = await Mapping.create(4096, { readOnlyForOthers: true });
        using short = small.share();
        using less = await Mapping.create(4096);
        using shortLocks = less.share();
        using output = await FileDescriptor.from(1);
        const answers: (() => XpcRecord)[] = [
          () => ({}),
          () => ({ ok: 1n }),
          () => server.hello({ version: undefined }),
          () => server.hello({ version: 2n }),
          () => server.hello({ version: "1" }),
          () => server.hello({ owner: undefined }),
          () => server.hello({ owner: 0n }),
          () => server.hello({ owner: BigInt(SERVER_OWNER) }),
          () => server.hello({ owner: BigInt(MUTEX_OWNER) + 1n }),
          () => server.hello({ server: 1n }),
          () => server.hello({ server: short }),
          () => server.hello({ server: output }),
          () => server.hello({ locks: 1n }),
          () => server.hello({ locks: shortLocks }),
        ];
        assert(SERVER_BYTES > 4096 && LOCK_BYTES > 4096);
        for (const [index, answer] of answers.entries()) {
          server.answers["hello"] = answer;
          const code = await client.refused("connect", setting.service, setting.name, "-");
          assertStringIncludes(code, "unusable", `answer ${index}`);
        }
        server.answers["hello"] = () => ({
          ok: false,
          code: "incompatible",
          message: "Cannot connect: a test",
        });
        assertEquals(await client.refused("connect", setting.service, setting.name, "-"), "incompatible");
        server.answers["hello"] = () => server.hello({ unknown: "key", features: undefined });
        await client.run("connect", setting.service, setting.name, "-");
      }),
  },
  {
    name: "features and wishes that the client does not know, or did not offer, are ignored",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        server.answers["hello"] = () =>
          server.hello({ features: ["none", "adopt", 7n], adopt: ["frame", 7n, null] });
        await connect();
        server.connections[0]!.send({ event: "regions" });
        await client.run("open", "frame", "write");
        assertEquals(
          server.received.map(({ op }) => op),
          ["hello", "open"],
          "it gives what it does not have",
        );
      }),
  },
  {
    name: "an answer to open that is not right is refused, and the link goes on",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        await connect();
        const right = server.open();
        const answers: XpcRecord[] = [
          {},
          { ok: true },
          { ...right, index: 256n },
          { ...right, index: undefined },
          { ...right, generation: "1" },
          { ...right, byteLength: 0n },
          { ...right, byteLength: 20_000n }, // longer than the memory
          { ...right, byteLength: 2n ** 60n },
          { ...right, memory: 1n },
          { ...right, tileBytes: "1024" },
          { ...right, tileBytes: 0n },
          { ...right, tileBytes: 100n },
          { ...right, tileBytes: 2n ** 31n },
          { ...right, byteLength: 12_000n, tileBytes: 64n }, // which the memory has no room for
        ];
        for (const [index, answer] of answers.entries()) {
          server.answers["open"] = () => answer;
          assertStringIncludes(await client.refused("open", "frame", "write"), "unusable", `answer ${index}`);
        }
        server.answers["open"] = () => server.open();
        assertEquals(await client.run("open", "frame", "write"), ["1", "10000"]);
        assertEquals(server.operations("open").at(-1), { op: "open", name: "frame" });
      }),
  },
  {
    name:
      "a doorbell that comes before the answer to hello is rung at once, and at each commit; a second is not",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        await using bell = new Bell();
        using descriptor = await bell.descriptor();
        await using second = new Bell();
        using other = await second.descriptor();
        server.answers["hello"] = async () => {
          const connection = server.connections.at(-1)!;
          connection.send({ event: "bell", bell: descriptor });
          await bell.rings();
          connection.send({ event: "bell", bell: other });
          connection.send({ event: "none" });
          return server.hello();
        };
        await connect();
        await client.run("open", "frame", "write");
        await client.run("commit", "frame");
        assertEquals(bell.taken().length, 0, "the server is not parked");
        server.server.store(serverParkedAt(0), PARKED_BELL);
        await client.run("commit", "frame");
        assertEquals((await bell.rings()).length, 1);
        assertEquals(second.taken().length, 0);
        assertEquals(server.locks.load64(sharedRevisionAt(0)), 2n);
        assertEquals(server.operations("committed"), []);
      }),
  },
  {
    name: "without a doorbell it sends a note for each commit that a parked server is to see",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        await connect();
        await client.run("open", "frame", "write");
        await client.run("commit", "frame");
        server.server.store(serverParkedAt(1), PARKED_BELL); // another region
        await client.run("commit", "frame");
        server.server.store(serverParkedAt(0), PARKED_BELL);
        await client.run("commit", "frame");
        await client.run("commit", "frame");
        // A client may wait for the answer to one note before it sends the next.
        await until(() => server.operations("committed").length === 2);
        const committed = { op: "committed", index: 0n };
        assertEquals(server.operations("committed"), [committed, committed]);
      }),
  },
  {
    needsWhole: true, // a descriptor for poll stays parked
    name: "it is parked while it waits, and is not parked by doorbell before the server has its doorbell",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        const allowed = Promise.withResolvers<void>();
        server.answers["bell"] = async () => {
          await allowed.promise;
          return { ok: true };
        };
        await connect();
        await client.run("open", "frame", "write");
        using mapping = Mapping.open(server.received[0]!["words"] as SharedMemory, CLIENT_BYTES);
        const words = new Words(mapping);
        const parked = (): number => words.load(clientParkedAt(0));
        const waiting = client.begin("wait", "frame", 0, "bell");
        await until(() => server.operations("bell").length === 1);
        assertInstanceOf(server.operations("bell")[0]!["bell"], FileDescriptor);
        assertEquals(parked() & PARKED_BELL, 0, "the server cannot ring it yet");
        server.locks.add64(sharedRevisionAt(0));
        allowed.resolve();
        await waiting.answer;
        assertEquals(await client.run("wait", "frame", 0, "bell"), ["1", "1"]);
        await until(() => parked() === 0);
        const futex = await client.blocked("wait", "frame", 1, "futex");
        await until(() => parked() >= 2);
        await server.connections.at(-1)!.close();
        assertEquals(await futex.answer.then(() => "", (error) => error.code), "gone");
        await until(() => parked() === 0);
      }),
  },
  {
    name:
      "its mutex word is its owner's while it holds it, contended while it waits, and abandoned by a dead server",
    run: (implementation) =>
      asking(implementation, async (server, client, connect) => {
        await connect();
        await client.run("open", "frame", "write");
        const word = (): number => server.locks.load(mutexAt(0));
        await client.run("lock", "frame", -1);
        assertEquals(word(), 77);
        await client.run("unlock", "frame");
        assertEquals(word(), 0);
        server.locks.store(mutexAt(0), MUTEX_ABANDONED);
        assertEquals(await client.run("lock", "frame", -1), ["abandoned"]);
        assertEquals(word(), 77);
        await client.run("unlock", "frame");
        server.locks.store(mutexAt(0), SERVER_OWNER);
        server.locks.store(mutexAt(9), SERVER_OWNER);
        server.locks.store(mutexAt(10), 78);
        const waiting = await client.blocked("lock", "frame", -1);
        await until(() => word() === (MUTEX_CONTENDED | SERVER_OWNER) >>> 0);
        await server.connections.at(-1)!.close();
        await waiting.answer.catch((error) => assertEquals(error.code, "gone"));
        await until(() => server.locks.load(mutexAt(9)) === MUTEX_ABANDONED);
        assertEquals(server.locks.load(mutexAt(10)), 78, "another client's");
        assertGreaterOrEqual(server.received.length, 2);
      }),
  },
];
