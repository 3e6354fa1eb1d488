/** Streams, as one side sees them whose other side says and writes anything. */
import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import {
  generationAt,
  LEASES_BYTES,
  SEQUENCE_UNIT,
  serverRevisionAt,
  TAKING,
} from "../../../src/link/layout.ts";
import { Mapping } from "../../../src/memory/mod.ts";
import { FileDescriptor, Int64, SharedMemory, type XpcRecord } from "../../../src/xpc/mod.ts";
import type { Implementation, Party } from "./parties.ts";
import { RawClient, RawServer, until, Words } from "./raw.ts";
import { hasClients, Setting, type SideTest } from "./suite.ts";

const BYTES = 20_000;
const SLOTS = 3;
/** The least that slots can begin at, and be apart. */
const UNIT = 16_384;

/** Where the number of the frame in a slot is. */
const sequenceAt = (slot: number): number => 128 + 128 * slot;
/** Where the lease of a slot is. */
const leaseAt = (slot: number): number => 128 + 8 * slot;

/** Runs a test with a server that has a stream, and a client that has said hello. */
async function serving(
  implementation: Implementation,
  run: (client: RawClient, server: Party, setting: Setting) => Promise<void>,
): Promise<void> {
  await using setting = await Setting.start();
  const server = await setting.party(implementation);
  await server.run("serve", setting.service, setting.name, "-", "video", BYTES, `stream:${SLOTS}`);
  await using client = await RawClient.connect(setting.service, setting.name);
  await run(client, server, setting);
}

/** Publishes a frame. */
async function publish(server: Party): Promise<number> {
  const loan = (await server.run("loan", "video", "now"))[0]!;
  return await server.number("publish", "video", loan, BYTES, 0, 0);
}

/** What every server does. */
export const streamServerTests: readonly SideTest[] = [
  {
    name:
      "stream and stream_close are refused before hello, and where a key is missing, wrong or out of range",
    run: (implementation) =>
      serving(implementation, async (client, server) => {
        using mapping = await Mapping.create(LEASES_BYTES);
        using leases = mapping.share();
        using output = await FileDescriptor.from(1);
        const right = { op: "stream", name: "video", leases };
        assertEquals(await client.refused(right), "hello_first");
        assertEquals(await client.refused({ op: "stream_close" }), "hello_first");
        await client.greet();
        const close = { op: "stream_close", name: "video", generation: 1n, reader: 1n };
        const cases: [XpcRecord, string][] = [
          [{ ...right, name: undefined }, "bad_request"],
          [{ ...right, name: 7n }, "bad_request"],
          [{ ...right, leases: undefined }, "bad_request"],
          [{ ...right, leases: null }, "bad_request"],
          [{ ...right, leases: output }, "bad_request"],
          [{ ...right, leases: 640n }, "bad_request"],
          [{ ...right, name: "none" }, "not_found"],
          [{ ...right, name: "" }, "not_found"],
          [{ ...right, name: "x".repeat(10_000) }, "not_found"],
          [{ ...close, name: 1n }, "bad_request"],
          [{ ...close, generation: undefined }, "bad_request"],
          [{ ...close, generation: new Int64(-1n) }, "bad_request"],
          [{ ...close, reader: "1" }, "bad_request"],
          [{ ...close, reader: 2n ** 60n }, "bad_request"],
        ];
        for (const [request, code] of cases) {
          assertEquals(await client.refused(request), code, Deno.inspect(request));
        }
        assertEquals(await server.number("readers", "video"), 0);
        assertEquals((await client.request(close))["ok"], true, "there is no such reader, which is no error");
        assertEquals((await client.request({ ...right, name: "video" }))["ok"], true);
        assertEquals(await server.number("readers", "video"), 1);
      }),
  },
  {
    name: "stream gives a reader, whose number is its own; stream_close ends that one of that client only",
    run: (implementation) =>
      serving(implementation, async (client, server, setting) => {
        await client.greet();
        await using other = await RawClient.connect(setting.service, setting.name);
        await other.greet();
        using mapping = await Mapping.create(LEASES_BYTES);
        using leases = mapping.share();
        const open = { op: "stream", name: "video", leases };
        const { memory, reader, index, ...rest } = await client.request(open);
        assertEquals(rest, {
          ok: true,
          generation: 1n,
          byteLength: BigInt(BYTES),
          slots: BigInt(SLOTS),
          offset: BigInt(UNIT),
          stride: BigInt(2 * UNIT),
        });
        assertInstanceOf(memory, FileDescriptor);
        const second = await client.request(open);
        const others = await other.request(open);
        assertEquals(new Set([reader, second["reader"], others["reader"]]).size, 3);
        assertEquals(others["index"], index);
        const close = { op: "stream_close", name: "video", generation: 1n, reader: reader! };
        await other.request(close); // not its own
        assertEquals(await server.number("readers", "video"), 3);
        await client.request(close);
        await client.request(close);
        assertEquals(await server.number("readers", "video"), 2);
        const { streams } = await client.request({ op: "describe" });
        assertEquals(streams, [{
          name: "video",
          byteLength: BigInt(BYTES),
          slots: BigInt(SLOTS),
          generation: 1n,
          sequence: 0n,
          readers: 2n,
        }]);
        for (let count = 1; count < 64; count++) await client.request(open);
        assertEquals(await client.refused(open), "failed");
        assertEquals((await other.request(open))["ok"], true);
        await other.connection.close();
        await hasClients(server, 1);
        assertEquals(await server.number("readers", "video"), 64);
      }),
  },
  {
    name: "leases that are too short are refused, and nothing is left of them",
    run: (implementation) =>
      serving(implementation, async (client, server) => {
        await client.greet();
        // A page is longer than the leases: what is shorter is no memory of the right kind.
        using words = await Mapping.create(4096, { readOnlyForOthers: true });
        using descriptor = words.share();
        assertEquals(
          await client.refused({ op: "stream", name: "video", leases: descriptor }),
          "bad_request",
        );
        assertEquals(await server.number("readers", "video"), 0);
      }),
  },
  {
    name: "the words of a stream are those of the page, from a loan to a frame",
    run: (implementation) =>
      serving(implementation, async (client, server) => {
        await client.greet();
        using mapping = await Mapping.create(LEASES_BYTES);
        using leases = mapping.share();
        const { memory, index } = await client.request({ op: "stream", name: "video", leases });
        assertInstanceOf(memory, FileDescriptor);
        using stream = Mapping.open(memory, UNIT + SLOTS * 2 * UNIT);
        const words = new Words(stream);
        const ours = new Words(mapping);
        const number = (slot: number): number => Number(words.load64(sequenceAt(slot)));
        const numbers = (): number[] => [0, 1, 2].map(number);
        assertEquals([words.load64(0), numbers()], [0n, [0, 0, 0]]);
        assertEquals(client.server.load64(generationAt(Number(index))), 1n);
        const loan = (await server.run("loan", "video", "now"))[0]!;
        assertEquals(numbers(), [0, 0, 0]);
        await server.run("fill", "video", loan, 77);
        await server.run("publish", "video", loan, 1234, 2.5, 9);
        const slot = Number(words.load64(0)) % SEQUENCE_UNIT;
        assertEquals(words.load64(0), BigInt(SEQUENCE_UNIT + slot));
        assertEquals(number(slot), 1);
        assertEquals(words.load64(sequenceAt(slot) + 8), 1234n);
        assertEquals(stream.view(Float64Array, sequenceAt(slot) + 16, 1)[0], 2.5);
        assertEquals(stream.view(Uint8Array, sequenceAt(slot) + 64, 64), new Uint8Array(64).fill(9));
        const data = stream.view(Uint8Array, UNIT + slot * 2 * UNIT, BYTES);
        assertEquals([data[0], data[BYTES - 1]], [77, 77]);
        assertEquals(client.server.load64(serverRevisionAt(Number(index))), 1n);
        // A lease of that frame keeps its slot; one of another number does not.
        ours.add64(leaseAt(slot)); // 1
        for (let count = 2; count <= 7; count++) await publish(server);
        assertEquals(number(slot), 1);
        const other = numbers().findIndex((each) => each === 6);
        ours.add64(leaseAt(other)); // a frame that is not there
        assertEquals(await publish(server), 8);
        assertEquals([number(slot), number(other)], [1, 8]);
        for (let count = 0; count < 6; count++) ours.add64(leaseAt(3 - slot - other)); // 6 is not there either
        assertEquals(await publish(server), 9);
        const held = 3 - slot - other;
        for (let count = 0; count < 3; count++) ours.add64(leaseAt(held)); // 9
        assertEquals(await publish(server), 10);
        const refused = await server.refused("loan", "video", "now");
        assertEquals(refused, `no_slot ${Deno.pid}`);
        assertEquals(numbers().every((each) => each < TAKING), true, "no mark is left");
        // What is taken back has no number while it is written.
        await server.run("loan", "video", "revoke");
        assertEquals(number(slot), 0);
        await client.connection.close();
        await hasClients(server, 0);
        await server.run("loan", "video", "now");
      }),
  },
];

/** Runs a test with a client that is connected to a server of the test's. */
async function asking(
  implementation: Implementation,
  run: (server: RawServer, client: Party) => Promise<void>,
): Promise<void> {
  await using setting = await Setting.start();
  await using server = await RawServer.serve(setting.service, setting.name);
  server.answers["stream_close"] = () => ({ ok: true });
  const client = await setting.party(implementation);
  await client.run("connect", setting.service, setting.name, "-");
  await run(server, client);
}

/** What every client does. */
export const streamClientTests: readonly SideTest[] = [
  {
    name: "an answer to stream that is not right is refused, and the link goes on",
    run: (implementation) =>
      asking(implementation, async (server, client) => {
        using memory = await Mapping.create(UNIT + 2 * UNIT, { readOnlyForOthers: true });
        using shared = memory.share();
        using writable = await Mapping.create(3 * UNIT);
        using other = writable.share();
        const right = {
          ok: true,
          index: 0n,
          generation: 1n,
          byteLength: 100n,
          slots: 2n,
          offset: BigInt(UNIT),
          stride: BigInt(UNIT),
          memory: shared,
          reader: 1n,
        };
        const wrong: XpcRecord[] = [
          { index: 256n },
          { index: undefined },
          { generation: "1" },
          { byteLength: 0n },
          { byteLength: BigInt(UNIT) + 1n },
          { byteLength: 2n ** 60n },
          { slots: 1n },
          { slots: 0n },
          { slots: 64n }, // the memory is shorter
          { slots: 65n },
          { slots: undefined },
          { offset: 0n },
          { offset: 8320n },
          { offset: BigInt(2 * UNIT) },
          { offset: 2n ** 53n - 16_384n },
          { stride: 0n },
          { stride: 128n },
          { stride: BigInt(2 * UNIT) },
          { stride: 2n ** 52n, slots: 64n },
          { memory: 1n },
          { memory: other },
          { reader: undefined },
          { reader: new Int64(-1n) },
        ];
        for (const fields of wrong) {
          server.answers["stream"] = () => ({ ...right, ...fields });
          const code = await client.refused("stream", "video", "r", "newest");
          assertStringIncludes(code, "unusable", Deno.inspect(fields));
        }
        server.answers["stream"] = () => right;
        assertEquals(await client.run("stream", "video", "r", "newest"), ["1", "100", "2"]);
        const { op, name, leases } = server.operations("stream").at(-1)!;
        assertEquals([op, name], ["stream", "video"]);
        assertInstanceOf(leases, SharedMemory);
        assertEquals(await client.run("frame", "r"), ["none"]);
        await client.run("shut", "r");
        await until(() => server.operations("stream_close").some(({ reader }) => reader === 1n));
      }),
  },
  {
    name: "its lease is in the words while it reads, its cursor only where it reads every frame",
    run: (implementation) =>
      asking(implementation, async (server, client) => {
        using memory = await Mapping.create(4 * UNIT, { readOnlyForOthers: true });
        using shared = memory.share();
        server.answers["stream"] = () => ({
          ok: true,
          index: 0n,
          generation: 1n,
          byteLength: 100n,
          slots: 3n,
          offset: BigInt(UNIT),
          stride: BigInt(UNIT),
          memory: shared,
          reader: BigInt(server.operations("stream").length),
        });
        const words = memory.view(BigUint64Array, 0, 1024);
        const put = (slot: number, number: bigint): void => {
          Atomics.store(words, sequenceAt(slot) / 8 + 1, 100n);
          Atomics.store(words, sequenceAt(slot) / 8, number);
        };
        const announce = (slot: number, number: bigint): void => {
          put(slot, number);
          Atomics.store(words, 0, number * BigInt(SEQUENCE_UNIT) + BigInt(slot));
        };
        announce(1, 5n);
        await client.run("stream", "video", "n", "newest");
        await client.run("stream", "video", "e", "every");
        const [newest, every] = server.operations("stream").map(({ leases }) => {
          return Mapping.open(leases as SharedMemory, LEASES_BYTES);
        }) as [Mapping, Mapping];
        using _newest = newest;
        using _every = every;
        const n = new Words(newest);
        const e = new Words(every);
        assertEquals([n.load64(0), e.load64(0)], [0n, 5n]);
        const [lease = "", ...told] = await client.run("frame", "n");
        assertEquals(told.slice(0, 3), ["5", "0", "100"]);
        assertEquals([n.load64(leaseAt(1)), e.load64(leaseAt(1))], [5n, 0n]);
        // A frame that is marked is as it was to those who lease it, and no other leases it.
        put(1, 5n | 1n << 63n);
        assertEquals((await client.run("look", "n", lease))[0], "valid");
        assertEquals(await client.run("frame", "e"), ["none"]);
        assertEquals(e.load64(leaseAt(1)), 0n);
        put(1, 5n);
        assertEquals((await client.run("frame", "e"))[1], "5");
        assertEquals([e.load64(0), e.load64(leaseAt(1))], [6n, 5n]);
        announce(0, 7n);
        put(2, 6n);
        assertEquals((await client.run("frame", "e"))[1], "6");
        assertEquals((await client.run("frame", "n")).slice(1, 3), ["7", "1"]);
        await client.run("release", "n", lease);
        assertEquals([n.load64(leaseAt(1)), n.load64(leaseAt(0))], [0n, 7n]);
        // Whatever else stands there is no frame.
        const wild = [255n, 2n ** 60n * 256n, 2n ** 64n - 1n, 9n * 256n + 3n, 9n * 256n + 255n, 8n * 256n];
        for (const value of wild) {
          Atomics.store(words, 0, value);
          assertEquals(await client.run("frame", "n"), ["none"], `${value}`);
        }
        for (const value of [2n ** 53n, 2n ** 60n, 2n ** 64n - 1n, 1n << 63n]) {
          for (const slot of [0, 1, 2]) put(slot, value);
          assertEquals(await client.run("frame", "e"), ["none"], `${value}`);
        }
        // A length beyond the slot's is the slot's.
        announce(2, 10n);
        Atomics.store(words, sequenceAt(2) / 8 + 1, 2n ** 60n);
        const answer = await client.run("frame", "n");
        assertEquals(answer.slice(1, 3), ["10", "2"]);
        assertEquals((await client.run("look", "n", answer[0]!))[0], "valid");
        await client.kill();
      }),
  },
];
