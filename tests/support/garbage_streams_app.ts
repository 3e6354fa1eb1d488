/**
 * A reader, and a server, of streams that write whatever they like over their words, again and again, as no honest one
 * does.
 *
 * @module
 */
import { Broker } from "../../src/broker/broker.ts";
import { Mapping } from "../../src/memory/mod.ts";
import {
  generationAt,
  LEASES_BYTES,
  LOCK_BYTES,
  MAXIMUM_SLOTS,
  SERVER_BYTES,
} from "../../src/link/layout.ts";
import { Connection, type FileDescriptor, Listener } from "../../src/xpc/mod.ts";
import { RawClient } from "../contract/link/raw.ts";
import { answer, type Calls } from "./calls.ts";

const UNIT = 16_384;

let state = 1n;

/** A number that is often one which somebody might believe. */
function wild(): bigint {
  state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n); // Knuth's generator
  const word = state >> 8n;
  switch (word % 8n) {
    case 0n:
      return word % 9n;
    case 1n:
      return (word % 9n) * 256n + word % 5n;
    case 2n:
      return 2n ** 64n - 1n - word % 4n;
    case 3n:
      return 2n ** 53n - word % 3n;
    case 4n:
      return 2n ** 60n + 255n;
    case 5n:
      return 1n << 63n | word % 9n;
    default:
      return state;
  }
}

/** Writes again and again, for some milliseconds each, so that calls are answered in between. */
function keepOn(write: () => void): void {
  setInterval(() => {
    for (const end = performance.now() + 5; performance.now() < end;) write();
  }, 0);
}

const calls: Record<string, Calls[string]> = {
  /** Opens a stream, and keeps all of its slots (`hold`) or writes anything. */
  async read(p) {
    const client = await RawClient.connect(String(p["broker"]), String(p["name"]));
    await client.greet();
    const mapping = await Mapping.create(LEASES_BYTES);
    using leases = mapping.share();
    const { memory } = await client.request({ op: "stream", name: "video", leases });
    const header = Mapping.open(memory as FileDescriptor, UNIT).view(BigUint64Array);
    const words = mapping.view(BigUint64Array);
    keepOn(() => {
      if (p["how"] === "hold") {
        words[0] = 1n;
        for (let slot = 0; slot < MAXIMUM_SLOTS; slot++) words[16 + slot] = header[16 + 16 * slot]!;
      } else {
        for (let index = 0; index < words.length; index++) words[index] = wild();
      }
    });
  },
  /** Serves a stream of three slots. */
  async serve(p) {
    const words = await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true });
    const locks = await Mapping.create(LOCK_BYTES);
    const stream = await Mapping.create(4 * UNIT, { readOnlyForOthers: true });
    await Broker.start({ service: String(p["broker"]) });
    const listener = await Listener.anonymous(() => ({
      message: (message) => {
        using _ = message;
        using server = words.share();
        using mutexes = locks.share();
        using memory = stream.share();
        const { op } = message.values;
        if (!message.expectsReply) return;
        if (op === "hello") message.reply({ ok: true, version: 1n, owner: 2n, server, locks: mutexes });
        else if (op !== "stream") message.reply({ ok: true });
        else {
          const shape = { byteLength: 4096n, slots: 3n, offset: BigInt(UNIT), stride: BigInt(UNIT) };
          message.reply({ ok: true, index: 0n, generation: 1n, ...shape, memory, reader: 1n });
        }
      },
    }));
    const connection = await Connection.toService(String(p["broker"]));
    await connection.request({ op: "hello", min: 1n, max: 1n });
    using endpoint = listener.endpoint();
    await connection.request({ op: "register", name: String(p["name"]), endpoint, policy: "reject" });
    const header = stream.view(BigUint64Array, 0, 1040);
    const shared = words.view(BigUint64Array);
    shared[generationAt(0) / 8] = 1n;
    calls["replace"] = () => {
      shared[generationAt(0) / 8] = 5n;
    };
    let round = 0;
    keepOn(() => {
      header[0] = wild();
      for (let index = 16; index < 16 + 3 * 16; index++) header[index] = wild();
      // Now and then it fits together, for a while.
      const slot = round++ % 3;
      if (round % 2 === 0) header[0] = header[16 + 16 * slot]! * 256n + BigInt(slot);
      shared[0] = wild();
      for (const end = performance.now() + 0.05; performance.now() < end;) continue;
    });
  },
};

await answer(calls);
Deno.exit(0);
