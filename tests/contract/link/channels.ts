/** Channels: messages both ways, waits for messages and for room, and the ends of either side. */
import { assertEquals } from "@std/assert";
import { type Party, refusalOf } from "./parties.ts";
import { hasClients, type Pair, type PairTest, Setting } from "./suite.ts";

/** The bytes of a ring: no multiple of 128, so that the second one has to begin where the page says. */
const BYTES = 1000;

/** A server with a channel, and a client that has opened it. */
class Stage implements AsyncDisposable {
  readonly setting: Setting;
  readonly server: Party;
  readonly client: Party;

  private constructor(setting: Setting, server: Party, client: Party) {
    this.setting = setting;
    this.server = server;
    this.client = client;
  }

  static async set(pair: Pair): Promise<Stage> {
    const setting = await Setting.start();
    try {
      const server = await setting.party(pair.server);
      await server.run("serve", setting.service, setting.name, "-", "midi", BYTES, "channel");
      const client = await setting.party(pair.client);
      await client.run("connect", setting.service, setting.name, "-");
      assertEquals(await client.run("channel", "midi"), [`${BYTES}`]);
      return new Stage(setting, server, client);
    } catch (error) {
      await setting[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Both directions, one after the other. */
  get ways(): readonly (readonly [from: Party, to: Party])[] {
    return [[this.client, this.server], [this.server, this.client]];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.setting[Symbol.asyncDispose]();
  }
}

async function post(party: Party, length: number, byte: number): Promise<void> {
  assertEquals(await party.run("post", "midi", length, byte), ["sent"]);
}

/** What `pull` answers for a message. */
function message(length: number, byte: number): string[] {
  return [length, length === 0 ? 0 : byte, length === 0 ? 0 : byte].map(String);
}

/** The tests of channels. */
export const channelTests: readonly PairTest[] = [
  {
    name: "channel: messages come whole and in their order, around the end of the ring, both ways at once",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      const { server, client } = stage;
      assertEquals(await client.refused("channel", "midi"), "failed", "once");
      assertEquals(await client.refused("channel", "nothing"), "not_found");
      for (const [, to] of stage.ways) assertEquals(await to.run("pull", "midi"), ["none"]);
      for (let round = 0; round < 12; round++) {
        const lengths = [round * 37 % 500, 0, 1, 7, 8, 9, 300];
        for (const [index, length] of lengths.entries()) {
          await post(client, length, 1 + index);
          await post(server, length, 101 + index);
        }
        for (const [index, length] of lengths.entries()) {
          assertEquals(await server.run("pull", "midi"), message(length, 1 + index));
          assertEquals(await client.run("pull", "midi"), message(length, 101 + index));
        }
      }
      for (const [, to] of stage.ways) assertEquals(await to.run("pull", "midi"), ["none"]);
    },
  },
  {
    name: "channel: a ring holds what the page says, and no byte more",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      for (const [from, to] of stage.ways) {
        await post(from, 500, 1); // half of it: 512 bytes with its length
        await post(from, 480, 2); // all that is left
        assertEquals(await from.run("post", "midi", 0, 3), ["full"]);
        assertEquals(await to.run("pull", "midi"), message(500, 1));
        await post(from, 497, 4); // 512 bytes too
        assertEquals(await from.run("post", "midi", 0, 3), ["full"]);
        assertEquals(await to.run("pull", "midi"), message(480, 2));
        assertEquals(await to.run("pull", "midi"), message(497, 4));
      }
    },
  },
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `channel: who waits by ${how} is woken by a message, and by room`,
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      for (const [from, to] of stage.ways) {
        for (let round = 1; round <= 5; round++) {
          const waiting = await to.blocked("pull_wait", "midi", how);
          await post(from, round * 10, round);
          assertEquals(await waiting.answer, message(round * 10, round));
        }
        await post(from, 500, 1);
        for (let round = 1; round <= 5; round++) {
          const sending = await from.blocked("post_wait", "midi", 500, round + 1, how);
          assertEquals(await to.run("pull", "midi"), message(500, round));
          assertEquals(await sending.answer, ["sent"]);
        }
        assertEquals(await to.run("pull", "midi"), message(500, 6));
      }
    },
  })),
  {
    name:
      "channel: what was sent before a side closes it is received, then its end is told; a client opens it again",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      for (const [from, to] of stage.ways) {
        await post(from, 5, 1);
        await from.run("hangup", "midi");
        assertEquals(await to.run("pull", "midi"), message(5, 1));
        assertEquals(await to.refused("pull", "midi"), "closed");
        assertEquals(await to.refused("post", "midi", 1, 1), "closed");
        if (from !== stage.client) await stage.client.run("hangup", "midi");
        await stage.client.run("channel", "midi");
        await post(to, 6, 2);
        assertEquals(await from.run("pull", "midi"), message(6, 2));
      }
    },
  },
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `channel: who waits by ${how} learns that the other side has closed it`,
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      for (const [from, to] of stage.ways) {
        const waiting = await to.blocked("pull_wait", "midi", how);
        await from.run("hangup", "midi");
        assertEquals(await refusalOf(waiting), "closed");
        if (from !== stage.client) await stage.client.run("hangup", "midi");
        await stage.client.run("channel", "midi");
      }
    },
  })),
  {
    name: "channel: a client that is killed leaves its messages, and the others theirs",
    async run(pair): Promise<void> {
      await using stage = await Stage.set(pair);
      const { server, client } = stage;
      await post(client, 5, 1);
      await client.kill();
      await hasClients(server, 0);
      assertEquals(await server.run("pull", "midi"), message(5, 1));
      assertEquals(await server.refused("pull", "midi"), "closed");
      const next = await stage.setting.party(pair.client);
      await next.run("connect", stage.setting.service, stage.setting.name, "-");
      await next.run("channel", "midi");
      const waiting = await server.blocked("pull_wait", "midi", "bell");
      await next.kill();
      assertEquals(await refusalOf(waiting), "closed");
    },
  },
  {
    name: "channel: a server that is killed leaves its messages to who waits and who does not",
    async run(pair): Promise<void> {
      for (const how of ["bell", "futex"]) {
        await using stage = await Stage.set(pair);
        await post(stage.server, 5, 1);
        assertEquals(await stage.client.run("pull_wait", "midi", how), message(5, 1));
        const waiting = await stage.client.blocked("pull_wait", "midi", how);
        await stage.server.kill();
        assertEquals(await refusalOf(waiting), "gone");
      }
    },
  },
];
