/** Streams: loans, frames, leases, their order, and the deaths of either side. */
import { assert, assertEquals } from "@std/assert";
import { C, type Party } from "./parties.ts";
import { hasClients, type Pair, type PairTest, seesParked, Setting } from "./suite.ts";

const BYTES = 20_000;

/** A server with a stream of so many slots, and a client that reads it. */
class Stage implements AsyncDisposable {
  readonly setting: Setting;
  readonly server: Party;
  readonly client: Party;

  private constructor(setting: Setting, server: Party, client: Party) {
    this.setting = setting;
    this.server = server;
    this.client = client;
  }

  static async set(pair: Pair, slots: number, order: "newest" | "every" = "newest"): Promise<Stage> {
    const setting = await Setting.start();
    try {
      const server = await setting.party(pair.server);
      await server.run("serve", setting.service, setting.name, "-", "video", BYTES, `stream:${slots}`);
      const client = await setting.party(pair.client);
      const stage = new Stage(setting, server, client);
      await stage.connect(client);
      assertEquals(await client.run("stream", "video", "r", order), ["1", `${BYTES}`, `${slots}`]);
      return stage;
    } catch (error) {
      await setting[Symbol.asyncDispose]();
      throw error;
    }
  }

  async connect(client: Party): Promise<void> {
    await client.run("connect", this.setting.service, this.setting.name, "-");
  }

  /** Publishes a frame that is filled with a byte; its number. */
  async publish(byte: number, loan?: string, length: number = BYTES): Promise<number> {
    loan ??= (await this.server.run("loan", "video", "now"))[0]!;
    await this.server.run("fill", "video", loan, byte);
    return await this.server.number("publish", "video", loan, length, byte / 2, byte);
  }

  /** Takes a frame; its lease, after a look at all that is told of it. */
  async take(number: number, dropped: number, reader = "r", client = this.client): Promise<string> {
    return await this.taken(await client.run("frame", reader), number, dropped, reader, client);
  }

  /** The same, of an answer that came. */
  async taken(
    [lease = "", ...words]: string[],
    number: number,
    dropped: number,
    reader = "r",
    client = this.client,
  ): Promise<string> {
    const byte = number % 256;
    assertEquals(words, [`${number}`, `${dropped}`, `${BYTES}`, `${byte / 2}`, `${byte}`]);
    assertEquals(await client.run("look", reader, lease), ["valid", `${byte}`, `${byte}`]);
    return lease;
  }

  /** That a loan finds no slot; who keeps them. */
  async noSlot(): Promise<number[]> {
    const [code, ...pids] = (await this.server.refused("loan", "video", "now")).split(" ");
    assertEquals(code, "no_slot");
    return pids.map(Number).toSorted((a, b) => a - b);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.setting[Symbol.asyncDispose]();
  }
}

/** Resolves when the server has so many readers. */
async function hasReaders(server: Party, count: number): Promise<void> {
  while (await server.number("readers", "video") !== count) await Promise.resolve();
}

/** The tests of streams. */
export const streamTests: readonly PairTest[] = [
  {
    name: "stream: a frame is read in place, with its number, length, time and record",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 4);
      const { server, client } = stage;
      assertEquals(await client.run("frame", "r"), ["none"]);
      assertEquals(await stage.publish(1), 1);
      const first = await stage.take(1, 0);
      assertEquals(await client.run("frame", "r"), ["none"], "it was seen");
      const loan = (await server.run("loan", "video", "now"))[0]!;
      await server.run("fill", "video", loan, 9);
      assertEquals(await client.run("frame", "r"), ["none"], "it is not published");
      await server.run("unloan", "video", loan);
      assertEquals(await stage.publish(2), 2);
      const second = await stage.take(2, 0);
      assertEquals(await client.run("look", "r", first), ["valid", "1", "1"]);
      await client.run("release", "r", first);
      await client.run("release", "r", second);
      const short = (await server.run("loan", "video", "now"))[0]!;
      assertEquals(await stage.publish(3, short, 7), 3);
      assertEquals((await client.run("frame", "r")).slice(1), ["3", "0", "7", "1.5", "3"]);
    },
  },
  {
    name: "stream: the newest frame is seen, those before are counted, and a lease holds its frame",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 4);
      for (let number = 1; number <= 5; number++) await stage.publish(number);
      const held = await stage.take(5, 4);
      for (let number = 6; number <= 30; number++) await stage.publish(number);
      assertEquals(await stage.client.run("look", "r", held), ["valid", "5", "5"]);
      const next = await stage.take(30, 24);
      await stage.client.run("release", "r", next);
      // One that begins sees the newest, and missed none.
      await stage.client.run("stream", "video", "late", "newest");
      await stage.take(30, 0, "late");
      await hasReaders(stage.server, 2);
    },
  },
  {
    name: "stream: every frame comes in its order while the slots last, and a patient writer loses none",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3, "every");
      const { server, client } = stage;
      for (let number = 1; number <= 3; number++) {
        assertEquals(
          await stage.publish(number, (await server.run("loan_wait", "video", 60_000))[0]),
          number,
        );
      }
      assertEquals(await server.refused("loan_wait", "video", 1), "timeout");
      for (let number = 1; number <= 12; number++) {
        const waiting = number > 9 ? undefined : await server.blocked("loan_wait", "video", -1);
        const lease = await stage.take(number, 0);
        await client.run("release", "r", lease);
        if (waiting !== undefined) await stage.publish(number + 3, (await waiting.answer)[0]);
      }
      assertEquals(await client.run("frame", "r"), ["none"]);
      // A writer that is not patient overtakes it.
      for (let number = 13; number <= 20; number++) await stage.publish(number);
      await stage.take(18, 5);
      await stage.take(19, 0);
      await stage.take(20, 0);
    },
  },
  {
    name: "stream: where readers hold all slots a loan tells who, and can take the oldest back",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3);
      const { server, client } = stage;
      const other = await stage.setting.party(C);
      await stage.connect(other);
      await other.run("stream", "video", "o", "newest");
      await stage.publish(1);
      const first = await stage.take(1, 0);
      await stage.publish(2);
      const second = await stage.take(2, 1, "o", other);
      await stage.publish(3);
      assertEquals(await stage.noSlot(), [client.pid, other.pid].toSorted((a, b) => a - b));
      const loan = (await server.run("loan", "video", "revoke"))[0]!;
      await server.run("fill", "video", loan, 4);
      assertEquals((await client.run("look", "r", first))[0], "revoked");
      assertEquals(await other.run("look", "o", second), ["valid", "2", "2"]);
      await stage.publish(4, loan);
      assertEquals(await client.run("look", "r", first), ["revoked", "4", "4"]);
      // The end of the old lease does not end the one that the same slot has got.
      const again = await stage.take(4, 2);
      await client.run("release", "r", first);
      await stage.publish(5);
      assertEquals(await stage.noSlot(), [client.pid, other.pid].toSorted((a, b) => a - b));
      assertEquals(await client.run("look", "r", again), ["valid", "4", "4"]);
      await client.run("release", "r", again);
      await stage.publish(6);
      await other.run("release", "o", second);
      await stage.publish(7);
    },
  },
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `stream: a reader waits by ${how} and a frame wakes it`,
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3);
      for (let number = 1; number <= 5; number++) {
        const waiting = await stage.client.blocked("await", "r", how);
        await seesParked(stage.server, "video");
        await stage.publish(number);
        await stage.client.run("release", "r", await stage.taken(await waiting.answer, number, 0));
      }
    },
  })),
  {
    name:
      "stream: a writer that waits for a slot is woken by a release, by a reader that closes, and by a death",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 2);
      const { server, client } = stage;
      await stage.publish(1);
      const lease = await stage.take(1, 0);
      await stage.publish(2);
      const first = await server.blocked("loan_wait", "video", -1);
      await client.run("release", "r", lease);
      await stage.publish(3, (await first.answer)[0]);
      await stage.take(3, 1);
      await stage.publish(4);
      const second = await server.blocked("loan_wait", "video", -1);
      await client.run("shut", "r");
      await stage.publish(5, (await second.answer)[0]);
      await hasReaders(server, 0);
      await client.run("stream", "video", "again", "every");
      await stage.take(5, 0, "again");
      await stage.publish(6);
      const third = await server.blocked("loan_wait", "video", -1);
      await client.kill();
      await stage.publish(7, (await third.answer)[0]);
      await hasReaders(server, 0);
    },
  },
  {
    needsWhole: true,
    name: "stream: a reader that is killed while it holds frames leaves its slots to the others",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 4);
      const { server, client } = stage;
      for (let round = 0; round < 5; round++) {
        const dying = await stage.setting.party(round % 2 === 0 ? pair.client : C);
        await stage.connect(dying);
        for (const id of ["a", "b", "c"]) {
          await dying.run("stream", "video", id, "newest");
          await stage.publish(3);
          await dying.run("frame", id);
        }
        await dying.run("stream", "video", "d", "every"); // leases nothing, but wants all
        await stage.publish(3);
        assertEquals(await stage.noSlot(), [dying.pid]);
        await dying.kill();
        await hasClients(server, 1);
        assertEquals(await server.number("readers", "video"), 1);
        for (let count = 0; count < 5; count++) await stage.publish(3);
        assertEquals((await client.run("frame", "r"))[1], `${9 * (round + 1)}`);
        await server.run("put", "video", BYTES, "stream:4"); // ends the lease of ours
        await client.run("follow", "r");
      }
    },
  },
  {
    needsWhole: true,
    name: "stream: a stream that is replaced goes on counting, and what is leased stays readable",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3);
      const { server, client } = stage;
      await client.run("stream", "video", "e", "every");
      for (let number = 1; number <= 3; number++) await stage.publish(number);
      const held = await stage.take(3, 2);
      await server.run("put", "video", BYTES + 1, "stream:5");
      assertEquals(await client.refused("frame", "r"), "replaced");
      const loan = (await server.run("loan", "video", "now"))[0]!;
      await server.run("fill", "video", loan, 4);
      assertEquals(await server.number("publish", "video", loan, BYTES, 2, 4), 4);
      assertEquals(await client.run("look", "r", held), ["valid", "3", "3"]);
      // Of every frame, those of the old generation come first.
      for (let number = 1; number <= 3; number++) await stage.take(number, 0, "e");
      assertEquals(await client.refused("frame", "e"), "replaced");
      assertEquals(await client.run("follow", "r"), ["2"]);
      assertEquals(await client.run("follow", "e"), ["2"]);
      assertEquals((await client.run("frame", "r")).slice(1), ["4", "0", `${BYTES}`, "2", "4"]);
      assertEquals((await client.run("frame", "e")).slice(1), ["4", "0", `${BYTES}`, "2", "4"]);
      await hasReaders(server, 2);
    },
  },
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `stream: a reader that waits by ${how} learns that its server was killed, and keeps what it leases`,
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3);
      const { server, client } = stage;
      await stage.publish(1);
      const lease = await stage.take(1, 0);
      const waiting = await client.blocked("await", "r", how);
      await seesParked(server, "video");
      await server.kill();
      await waiting.answer.then(() => Promise.reject(new Error("there is a frame")), (error) => {
        assertEquals(error.code, "gone");
      });
      assertEquals(await client.run("look", "r", lease), ["valid", "1", "1"]);
      await client.run("release", "r", lease);
    },
  })),
  {
    needsWhole: true,
    name: "stream: there is none of that name, a region is none, and a client opens one at most 64 times",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair, 3);
      const { server, client } = stage;
      await server.run("put", "frame", 100, "write");
      assertEquals(await client.refused("stream", "none", "x", "newest"), "not_found");
      assertEquals(await client.refused("stream", "frame", "x", "newest"), "not_found");
      assertEquals(await client.refused("open", "video", "read"), "not_found");
      for (let count = 1; count < 64; count++) await client.run("stream", "video", `x${count}`, "newest");
      assert((await client.refused("stream", "video", "more", "newest")) !== "not_found");
      await hasReaders(server, 64);
      await client.run("shut", "x1");
      await hasReaders(server, 63);
      await client.run("stream", "video", "more", "newest");
      const other = await stage.setting.party(pair.client);
      await stage.connect(other);
      await other.run("stream", "video", "first", "newest"); // its own share
      await stage.publish(1);
      await stage.take(1, 0, "x63");
      await stage.take(1, 0, "first", other);
    },
  },
];
