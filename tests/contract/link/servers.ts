/** What every server does, seen by a client that says anything. */
import { assert, assertEquals, assertInstanceOf, assertNotEquals } from "@std/assert";
import {
  clientParkedAt,
  generationAt,
  LAYOUT_VERSION,
  MUTEX_ABANDONED,
  mutexAt,
  PARKED_BELL,
  SERVER_OWNER,
  serverMutexAt,
  serverParkedAt,
  serverRevisionAt,
  sharedRevisionAt,
} from "../../../src/link/layout.ts";
import { FileDescriptor, Int64, SharedMemory, type XpcRecord } from "../../../src/xpc/mod.ts";
import type { Implementation, Party } from "./parties.ts";
import { Bell, codeOf, RawClient, Ringer, until, Words } from "./raw.ts";
import { hasClients, Setting, type SideTest } from "./suite.ts";

const LAYOUT = BigInt(LAYOUT_VERSION);

/** Runs a test with a server of this implementation and a client that has not said hello. */
async function serving(
  implementation: Implementation,
  run: (client: RawClient, server: Party, setting: Setting) => Promise<void>,
): Promise<void> {
  await using setting = await Setting.start();
  const server = await setting.server(implementation);
  await using client = await RawClient.connect(setting.service, setting.name);
  await run(client, server, setting);
}

/** The tests of servers. */
export const serverTests: readonly SideTest[] = [
  {
    name:
      "open and bell before hello are hello_first, anything unknown is a bad_request, describe is answered",
    run: (implementation) =>
      serving(implementation, async (client) => {
        assertEquals(await client.refused({ op: "open", name: "frame" }), "hello_first");
        using output = await FileDescriptor.from(1);
        assertEquals(await client.refused({ op: "bell", bell: output }), "hello_first");
        for (const record of [{ op: "none" }, { op: "" }, { op: 1n }, { op: "toString" }, {}]) {
          assertEquals(await client.refused(record), "bad_request");
        }
        const { ok, regions } = await client.request({ op: "describe" });
        assertEquals(ok, true);
        assertEquals(regions, [
          { name: "frame", clients: "write", byteLength: 10_000n, generation: 1n, revision: 0n },
          { name: "mask", clients: "read", byteLength: 20_000n, generation: 1n, revision: 0n },
        ]);
        await client.greet();
        assertEquals(await client.refused({ op: "none" }), "bad_request");
      }),
  },
  {
    name: "a hello with a wrong version, layout, type or schema is refused, and changes nothing",
    run: (implementation) =>
      serving(implementation, async (client, server) => {
        using output = await FileDescriptor.from(1);
        const cases: [XpcRecord, string][] = [
          [{ min: undefined }, "bad_request"],
          [{ max: undefined }, "bad_request"],
          [{ min: "1" }, "bad_request"],
          [{ max: 1 }, "bad_request"],
          [{ min: new Int64(-1n) }, "bad_request"],
          [{ min: 2n, max: 1n }, "bad_request"],
          [{ min: 2n, max: 3n }, "incompatible"],
          [{ min: 0n, max: 0n }, "incompatible"],
          [{ min: 2n, max: 2n, layout: "two", words: 1n }, "incompatible"], // the version comes first
          [{ layout: undefined }, "bad_request"],
          [{ layout: "two" }, "bad_request"],
          [{ layout: LAYOUT - 1n }, "incompatible"],
          [{ layout: LAYOUT + 1n, words: 1n }, "incompatible"], // then the layout
          [{ words: undefined }, "bad_request"],
          [{ words: 1n }, "bad_request"],
          [{ words: output }, "bad_request"],
          [{ schema: "text" }, "bad_request"],
          [{ schema: 7n }, "bad_request"],
          [{ features: "text" }, "bad_request"],
          [{ features: [1n] }, "bad_request"],
          [{ features: "text", schema: new Uint8Array(32) }, "bad_request"], // last, the schema
          [{ schema: new Uint8Array(32) }, "incompatible"],
          [{ schema: new Uint8Array(3) }, "incompatible"],
        ];
        for (const [fields, code] of cases) {
          const given = JSON.stringify(fields, (_, value) => typeof value === "bigint" ? `${value}` : value);
          assertEquals(codeOf(await client.hello(fields)), code, given);
          assertEquals(await client.refused({ op: "open", name: "frame" }), "hello_first", given);
        }
        assertEquals(await server.number("clients"), 0);
        await client.greet();
        assertEquals(await server.number("clients"), 1);
        assertEquals(codeOf(await client.hello()), "bad_request", "hello was said before");
        assertEquals((await client.request({ op: "open", name: "frame" }))["ok"], true);
      }),
  },
  {
    name: "hello picks the version, takes int64 and unknown keys, and gives each client an owner of its own",
    run: (implementation) =>
      serving(implementation, async (client, _, setting) => {
        const right = { min: new Int64(0n), max: 2n ** 64n - 1n, layout: new Int64(LAYOUT) };
        const reply = await client.hello({ ...right, schema: undefined, features: ["none"], unknown: "key" });
        const { ok, version, owner, server, locks, features } = reply;
        assertEquals([ok, version, features], [true, 1n, []]);
        assertInstanceOf(server, FileDescriptor);
        assertInstanceOf(locks, SharedMemory);
        const owners = new Set([Number(owner)]);
        for (let count = 0; count < 5; count++) {
          await using other = await RawClient.connect(setting.service, setting.name);
          owners.add(await other.greet());
        }
        assertEquals(owners.size, 6);
        for (const each of owners) assert(each > SERVER_OWNER && each < 2 ** 30, `${each}`);
      }),
  },
  {
    name:
      "the reply to hello has no feature that the client did not name, and an estate that nobody wants is ignored",
    run: (implementation) =>
      serving(implementation, async (client) => {
        const abandoned = false;
        const legacy = {
          name: "frame",
          clients: "write",
          byteLength: 10_000n,
          generation: 1n,
          revision: 5n,
          abandoned,
        };
        const { ok, features, adopt } = await client.hello({
          features: ["regions", "adopt", "none"],
          estate: [legacy],
        });
        assertEquals([ok, adopt], [true, undefined]);
        // Neither of these servers adopts.
        for (const feature of (features ?? []) as string[]) assertEquals(feature, "regions");
        const frame = await client.request({ op: "open", name: "frame" });
        assertEquals([frame["ok"], frame["generation"]], [true, 1n]);
        assertEquals(
          (await client.request({ op: "give", name: "frame", memory: frame["memory"] }))["ok"],
          false,
        );
      }),
  },
  {
    name: "open gives the index, the generation, the length and the memory, whose type tells who may write",
    run: (implementation) =>
      serving(implementation, async (client) => {
        await client.greet();
        for (const record of [{ op: "open" }, { op: "open", name: 1n }, { op: "open", name: null }]) {
          assertEquals(await client.refused(record), "bad_request");
        }
        assertEquals(await client.refused({ op: "open", name: "none" }), "not_found");
        const frame = await client.request({ op: "open", name: "frame" });
        assertInstanceOf(frame["memory"], SharedMemory);
        const mask = await client.request({ op: "open", name: "mask" });
        assertInstanceOf(mask["memory"], FileDescriptor);
        assertNotEquals(mask["index"], frame["index"]);
        assertEquals([frame["generation"], frame["byteLength"]], [1n, 10_000n]);
        assertEquals([mask["generation"], mask["byteLength"]], [1n, 20_000n]);
      }),
  },
  {
    name: "notes that mean nothing are ignored",
    run: (implementation) =>
      serving(implementation, async (client) => {
        for (const op of ["committed", "hello", "open", "none", 1n]) client.connection.send({ op });
        client.connection.send({});
        await client.greet();
        client.connection.send({ op: "committed", index: "none" });
        client.connection.send({ op: "committed" });
        assertEquals((await client.request({ op: "open", name: "frame" }))["ok"], true);
      }),
  },
  {
    needsWhole: true,
    name: "the server's words lie where the layout says, and so does its own mutex",
    run: (implementation) =>
      serving(implementation, async (client, party) => {
        await client.greet();
        const { server, locks } = client;
        const frame = Number((await client.request({ op: "open", name: "frame" }))["index"]);
        const mask = Number((await client.request({ op: "open", name: "mask" }))["index"]);
        await party.run("commit", "frame");
        await party.run("commit", "mask");
        await party.run("commit", "mask");
        assertEquals(locks.load64(sharedRevisionAt(frame)), 1n);
        assertEquals(server.load64(serverRevisionAt(frame)), 0n);
        assertEquals(server.load64(serverRevisionAt(mask)), 2n);
        assertEquals(locks.load64(sharedRevisionAt(mask)), 0n);
        assertEquals(server.load64(generationAt(frame)), 1n);
        assertEquals(server.load64(generationAt(255)), 0n);
        await party.run("put", "frame", 5, "write");
        assertEquals([server.load64(generationAt(frame)), locks.load64(sharedRevisionAt(frame))], [2n, 2n]);
        await party.run("lock", "frame", -1);
        await party.run("lock", "mask", -1);
        assertEquals([locks.load(mutexAt(frame)), server.load(serverMutexAt(frame))], [SERVER_OWNER, 0]);
        assertEquals([locks.load(mutexAt(mask)), server.load(serverMutexAt(mask))], [0, SERVER_OWNER]);
        await party.run("unlock", "frame");
        await party.run("unlock", "mask");
        assertEquals([locks.load(mutexAt(frame)), server.load(serverMutexAt(mask))], [0, 0]);
      }),
  },
  {
    name: "a commit rings the doorbell of a client that is parked, and of none that is not",
    run: (implementation) =>
      serving(implementation, async (client, party) => {
        await client.greet();
        await using bell = new Bell();
        using descriptor = await bell.descriptor();
        assertEquals(await client.refused({ op: "bell", bell: 1n }), "bad_request");
        assertEquals(await client.refused({ op: "bell" }), "bad_request");
        assertEquals((await client.request({ op: "bell", bell: descriptor }))["ok"], true);
        assertEquals(await client.refused({ op: "bell", bell: descriptor }), "failed");
        const index = Number((await client.request({ op: "open", name: "mask" }))["index"]);
        await party.run("commit", "mask");
        assertEquals(bell.taken().length, 0, "nobody is parked");
        client.words.store(clientParkedAt(index), PARKED_BELL);
        await party.run("commit", "frame");
        assertEquals(bell.taken().length, 0, "nobody is parked on the other region");
        await party.run("commit", "mask");
        assertEquals((await bell.rings()).length, 1);
      }),
  },
  {
    name: "with the feature bells, hello takes the client's doorbell and gives the server's",
    run: (implementation) =>
      serving(implementation, async (client, party) => {
        await using bell = new Bell();
        using descriptor = await bell.descriptor();
        const reply = await client.hello({ features: ["bells"], bell: descriptor });
        assertEquals(reply["ok"], true);
        if (Array.isArray(reply["features"]) && reply["features"].length === 0) return; // it is optional
        assertEquals(reply["features"], ["bells"]);
        assertInstanceOf(reply["bell"], FileDescriptor);
        new Words(client.mapping).store(clientParkedAt(0), PARKED_BELL);
        await party.run("commit", "frame");
        assertEquals((await bell.rings()).length, 1);
        assertEquals(await client.refused({ op: "bell", bell: descriptor }), "failed");
      }),
  },
  {
    name: "a doorbell that nobody reads, or that is no socket, does not keep the server",
    run: (implementation) =>
      serving(implementation, async (client, party, setting) => {
        await client.greet();
        await using bell = new Bell();
        using full = await bell.descriptor();
        await client.request({ op: "bell", bell: full });
        client.words.store(clientParkedAt(0), PARKED_BELL);
        await using other = await RawClient.connect(setting.service, setting.name);
        await other.greet();
        using output = await FileDescriptor.from(1);
        await other.request({ op: "bell", bell: output });
        other.words.store(clientParkedAt(0), PARKED_BELL);
        for (let revision = 1; revision <= 1000; revision++) {
          assertEquals(await party.number("commit", "frame"), revision);
        }
        assert(bell.taken().length > 0);
      }),
  },
  {
    name:
      "with two clients the server is parked, gives both a doorbell and relays; with one it is not parked",
    run: (implementation) =>
      serving(implementation, async (client, party, setting) => {
        await client.greet();
        assertEquals(client.server.load(serverParkedAt(0)), 0);
        await using bell = new Bell();
        using descriptor = await bell.descriptor();
        await client.request({ op: "bell", bell: descriptor });
        {
          await using other = await RawClient.connect(setting.service, setting.name);
          await other.greet();
          assertEquals(client.server.load(serverParkedAt(0)) & PARKED_BELL, PARKED_BELL);
          using rings = new Ringer((await client.bell()).dup(), (await other.bell()).dup());
          client.words.store(clientParkedAt(0), PARKED_BELL);
          other.locks.add64(sharedRevisionAt(0));
          rings.ring(1);
          assertEquals((await bell.rings()).length, 1, "the server relays a ring");
          other.locks.add64(sharedRevisionAt(0));
          other.connection.send({ op: "committed", index: 0n });
          assertEquals((await bell.rings()).length, 1, "and a note");
          rings.ring(0);
          rings.ring(1);
          assertEquals((await other.request({ op: "open", name: "frame" }))["ok"], true);
        }
        await hasClients(party, 1);
        await until(() => client.server.load(serverParkedAt(0)) === 0);
        assertEquals(client.notes.length, 1, "one doorbell for each link");
      }),
  },
  {
    needsWhole: true, // a descriptor for poll stays parked
    name: "a server that waits for a commit is woken by its doorbell, or by a note",
    run: (implementation) =>
      serving(implementation, async (client, party) => {
        await client.greet();
        const waiting = await party.blocked("wait", "frame", 0, "bell");
        await until(() => client.server.load(serverParkedAt(0)) !== 0);
        client.locks.add64(sharedRevisionAt(0));
        client.connection.send({ op: "committed", index: 0n });
        assertEquals(await waiting.answer, ["1", "1"]);
        await until(() => client.server.load(serverParkedAt(0)) === 0);
        const again = await party.blocked("wait", "frame", 1, "bell");
        await until(() => client.server.load(serverParkedAt(0)) !== 0);
        using rings = new Ringer((await client.bell()).dup());
        client.locks.add64(sharedRevisionAt(0));
        rings.ring(0);
        assertEquals(await again.answer, ["2", "1"]);
      }),
  },
  {
    name: "what a client holds when its link ends is abandoned, in all mutexes, and nothing else is",
    run: (implementation) =>
      serving(implementation, async (client, party, setting) => {
        await client.greet();
        await using holder = await RawClient.connect(setting.service, setting.name);
        const owner = await holder.greet();
        for (const index of [0, 3, 255]) holder.locks.store(mutexAt(index), owner);
        holder.locks.store(mutexAt(4), owner + 1);
        holder.locks.store(mutexAt(5), SERVER_OWNER);
        await holder.connection.close();
        await hasClients(party, 1);
        const { locks } = client;
        await until(() => locks.load(mutexAt(255)) !== owner);
        assertEquals([0, 3, 4, 5, 255].map((index) => locks.load(mutexAt(index))), [
          MUTEX_ABANDONED,
          MUTEX_ABANDONED,
          owner + 1,
          SERVER_OWNER,
          MUTEX_ABANDONED,
        ]);
        assertEquals(await party.run("trylock", "frame"), ["abandoned"]);
      }),
  },
];
