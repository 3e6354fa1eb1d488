/** `kill -9` of either side, in the middle of what it does. */
import { assertEquals } from "@std/assert";
import { C } from "./parties.ts";
import { hasClients, type PairTest, seesParked, Setting } from "./suite.ts";

/** The tests of deaths. */
export const deathTests: readonly PairTest[] = [
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name:
      `a client that waits by ${how} learns that its server was killed, keeps its memory, and finds the next`,
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("write", "frame", 1, 42);
      await server.run("write", "mask", 1, 43);
      await server.run("commit", "frame");
      const waiting = await client.blocked("wait", "frame", 1, how);
      await server.kill();
      await waiting.answer.then(() => Promise.reject(new Error("it saw a change")), (error) => {
        assertEquals(error.code, "gone");
      });
      assertEquals(await client.refused("wait", "mask", 0, how), "gone");
      assertEquals(await client.refused("commit", "frame"), "gone");
      assertEquals(await client.number("read", "frame", 1), 42);
      assertEquals(await client.number("read", "mask", 1), 43);
      await setting.server(pair.server);
      const next = await setting.client(pair.client);
      assertEquals(await next.number("read", "frame", 1), 0);
      assertEquals(await next.number("revision", "frame"), 0);
    },
  })),
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `a client that is killed while it waits by ${how} costs the server and the others nothing`,
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      const dying = await setting.client(pair.client);
      const last = await dying.blocked("wait", "frame", 0, how);
      await seesParked(server, "frame");
      await dying.kill();
      last.answer.catch(() => {}); // it is dead
      const waiting = await client.blocked("wait", "frame", 0, how);
      await seesParked(server, "frame");
      await server.run("commit", "frame");
      assertEquals(await waiting.answer, ["1", "1"]);
      await hasClients(server, 1);
      const next = await setting.client(pair.client);
      assertEquals(await next.number("revision", "frame"), 1);
    },
  })),
  ...(["bell", "futex"] as const).map((how): PairTest => ({
    name: `what a client committed just before it was killed reaches the only other client, by ${how}`,
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (let revision = 0; revision < 3; revision++) {
        const dying = await setting.client(C);
        await hasClients(server, 2);
        const waiting = await client.blocked("wait", "frame", revision, how);
        await seesParked(server, "frame");
        await dying.run("crash_commit", "frame");
        await dying.kill();
        assertEquals(await waiting.answer, [`${revision + 1}`, "1"]);
      }
    },
  })),
  {
    name: "what the only client committed just before it was killed reaches the server",
    async run(pair): Promise<void> {
      await using setting = await Setting.start();
      const server = await setting.server(pair.server);
      for (let revision = 0; revision < 3; revision++) {
        const dying = await setting.client(C);
        const waiting = await server.blocked("wait", "frame", revision, "bell");
        await seesParked(dying, "frame");
        await dying.run("crash_commit", "frame");
        await dying.kill();
        assertEquals(await waiting.answer, [`${revision + 1}`, "1"]);
      }
    },
  },
  {
    name: "twenty clients that are killed one after the other leave the server as it was",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (let round = 0; round < 20; round++) {
        const dying = await setting.client(C);
        const commands = ["commit frame", "lock frame -1", "wait mask 0 futex", "wait mask 0 bell"];
        await dying.blocked(...commands[round % commands.length]!.split(" "));
        await dying.kill();
      }
      await hasClients(server, 1);
      const result = await client.run("lock", "frame", -1);
      assertEquals(result.length, 1);
      await client.run("unlock", "frame");
      assertEquals(await server.run("lock", "frame", -1), ["locked"]);
      const revision = await server.number("commit", "frame");
      assertEquals(await client.number("revision", "frame"), revision);
    },
  },
];
