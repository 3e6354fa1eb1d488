/** Revisions, and waits for them. */
import { assertEquals } from "@std/assert";
import { C } from "./parties.ts";
import { hasClients, type PairTest, seesParked, Setting } from "./suite.ts";

/** Rounds of each wait: a doorbell may be made during the first and ring from the second on. */
const ROUNDS = 4;

function waitTests(how: "bell" | "futex"): PairTest[] {
  return [
    {
      name: `the client waits by ${how} and the server's commit wakes it`,
      async run(pair): Promise<void> {
        const { setting, server, client } = await Setting.pair(pair);
        await using _ = setting;
        for (const region of ["frame", "mask"]) {
          for (let revision = 0; revision < ROUNDS; revision++) {
            const waiting = await client.blocked("wait", region, revision, how);
            await seesParked(server, region);
            await server.run("write", region, 5, revision);
            assertEquals(await server.number("commit", region), revision + 1);
            assertEquals(await waiting.answer, [`${revision + 1}`, "1"]);
            assertEquals(await client.number("read", region, 5), revision);
          }
        }
      },
    },
    {
      name: `the server waits by ${how} and the client's commit wakes it`,
      async run(pair): Promise<void> {
        const { setting, server, client } = await Setting.pair(pair);
        await using _ = setting;
        for (let revision = 0; revision < ROUNDS; revision++) {
          const waiting = await server.blocked("wait", "frame", revision, how);
          await seesParked(client, "frame");
          await client.run("write", "frame", 5, revision);
          assertEquals(await client.number("commit", "frame"), revision + 1);
          assertEquals(await waiting.answer, [`${revision + 1}`, "1"]);
          assertEquals(await server.number("read", "frame", 5), revision);
        }
      },
    },
    {
      name: `a client waits by ${how} and another client's commit wakes it`,
      async run(pair): Promise<void> {
        const { setting, server, client } = await Setting.pair(pair);
        await using _ = setting;
        for (const implementation of [pair.client, C]) {
          const other = await setting.client(implementation);
          await hasClients(server, 2);
          const start = await client.number("revision", "frame");
          for (let revision = start; revision < start + ROUNDS; revision++) {
            const waiting = await client.blocked("wait", "frame", revision, how);
            await seesParked(server, "frame");
            assertEquals(await other.number("commit", "frame"), revision + 1);
            assertEquals(await waiting.answer, [`${revision + 1}`, "1"]);
          }
          await other.kill();
          await hasClients(server, 1);
        }
      },
    },
  ];
}

/** The tests of revisions. */
export const waitingTests: readonly PairTest[] = [
  {
    name: "revisions of both sides count up together, and each sees the other's",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (let revision = 1; revision < 7; revision += 2) {
        assertEquals(await server.number("commit", "frame"), revision);
        assertEquals(await client.number("revision", "frame"), revision);
        assertEquals(await client.number("commit", "frame"), revision + 1);
        assertEquals(await server.number("revision", "frame"), revision + 1);
      }
      assertEquals(await server.number("commit", "mask"), 1);
      assertEquals(await client.number("revision", "mask"), 1);
      assertEquals(await server.number("revision", "mask"), 1);
    },
  },
  {
    name: "commits that came before the wait end it at once",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (let count = 0; count < 3; count++) await server.run("commit", "frame");
      assertEquals(await client.run("wait", "frame", 0, "bell"), ["3", "1"]);
      assertEquals(await client.run("wait", "frame", 2, "futex"), ["3", "1"]);
      await client.run("commit", "frame");
      assertEquals(await server.run("wait", "frame", 3, "bell"), ["4", "1"]);
      assertEquals(await server.run("wait", "frame", 3, "futex"), ["4", "1"]);
    },
  },
  ...waitTests("bell"),
  ...waitTests("futex"),
  {
    name: "a thousand round trips, each side waking the other, lose no wake",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      // Each commits as soon as it has seen the other's: the wait may begin before or after that.
      const play = async (party: typeof server, first: number): Promise<void> => {
        for (let revision = first; revision < 1000; revision += 2) {
          assertEquals(await party.run("wait", "frame", revision - 1, "bell"), [`${revision}`, "1"]);
          assertEquals(await party.number("commit", "frame"), revision + 1);
        }
      };
      await Promise.all([play(client, 1), server.number("commit", "frame").then(() => play(server, 2))]);
      assertEquals(await client.number("revision", "frame"), 1000);
    },
  },
];
