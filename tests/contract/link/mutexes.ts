/** The mutex of a region, and what becomes of it when its holder dies. */
import { assert, assertEquals } from "@std/assert";
import { C, type Party } from "./parties.ts";
import { hasClients, type Pair, type PairTest, Setting } from "./suite.ts";

/** Runs a test with the server as the first and the client as the second, and the other way round. */
async function bothWays(
  pair: Pair,
  run: (first: Party, second: Party) => Promise<void>,
): Promise<void> {
  const { setting, server, client } = await Setting.pair(pair);
  await using _ = setting;
  await run(server, client);
  await run(client, server);
}

/** The tests of mutexes. */
export const mutexTests: readonly PairTest[] = [
  {
    name: "the mutex excludes the other side, and waiting for it has a timeout",
    run: (pair) =>
      bothWays(pair, async (first, second) => {
        assertEquals(await first.run("trylock", "frame"), ["locked"]);
        assertEquals(await second.run("trylock", "frame"), ["busy"]);
        assertEquals(await second.refused("lock", "frame", 20), "timeout");
        await first.run("unlock", "frame");
        assertEquals(await second.run("trylock", "frame"), ["locked"]);
        await second.run("unlock", "frame");
      }),
  },
  {
    name: "who waits for the mutex gets it when the other side unlocks",
    run: (pair) =>
      bothWays(pair, async (first, second) => {
        for (let round = 0; round < 5; round++) {
          assertEquals(await first.run("lock", "frame", -1), ["locked"]);
          const waiting = await second.blocked("lock", "frame", -1);
          await first.run("unlock", "frame");
          assertEquals(await waiting.answer, ["locked"]);
          await second.run("unlock", "frame");
        }
      }),
  },
  {
    name: "three wait for the mutex, and all of them get it",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      const others = [await setting.client(pair.client), await setting.client(C)];
      for (let round = 0; round < 5; round++) {
        await server.run("lock", "frame", -1);
        const waiting = await Promise.all(
          [client, ...others].map(async (party) =>
            [party, await party.blocked("lock", "frame", -1)] as const
          ),
        );
        await server.run("unlock", "frame");
        await Promise.all(waiting.map(async ([party, { answer }]) => {
          assertEquals(await answer, ["locked"]);
          await party.run("unlock", "frame");
        }));
      }
    },
  },
  {
    name: "three count in the region under its mutex, and no count is lost",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      const parties = [server, client, await setting.client(C)];
      await Promise.all(parties.map(async (party) => {
        for (let count = 0; count < 80; count++) {
          assertEquals(await party.run("lock", "frame", -1), ["locked"]);
          const value = await party.number("read", "frame", 0);
          await party.run("write", "frame", 0, value + 1);
          await party.run("unlock", "frame");
        }
      }));
      for (const party of parties) assertEquals(await party.number("read", "frame", 0), 240);
      assertEquals(await server.run("trylock", "frame"), ["locked"]);
    },
  },
  {
    name: "a client that is killed while it holds the mutex leaves it abandoned, which one learns",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      const other = await setting.client(pair.client);
      assertEquals(await client.run("lock", "frame", -1), ["locked"]);
      const waiting = await server.blocked("lock", "frame", -1);
      await client.kill();
      assertEquals(await waiting.answer, ["abandoned"]);
      await server.run("unlock", "frame");
      assertEquals(await other.run("lock", "frame", -1), ["locked"]);
      const next = await server.blocked("lock", "frame", -1);
      await other.kill();
      assertEquals(await next.answer, ["abandoned"]);
      await server.run("unlock", "frame");
      assertEquals(await server.run("trylock", "frame"), ["locked"]);
    },
  },
  {
    name: "another client waits for the mutex of a client that is killed",
    async run(pair): Promise<void> {
      const { setting, client } = await Setting.pair(pair);
      await using _ = setting;
      const holder = await setting.client(C);
      await holder.run("lock", "frame", -1);
      const waiting = await client.blocked("lock", "frame", -1);
      await holder.kill();
      assertEquals(await waiting.answer, ["abandoned"]);
    },
  },
  {
    name: "a client that is killed while it waits for the mutex does not get it",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("lock", "frame", -1);
      await client.blocked("lock", "frame", -1);
      await client.kill();
      await hasClients(server, 0);
      await server.run("unlock", "frame");
      assertEquals(await server.run("trylock", "frame"), ["locked"]);
    },
  },
  {
    name: "a client that is killed in the middle of its unlock leaves nobody asleep",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (const waiter of [server, client]) {
        const dying = await setting.client(C);
        await dying.run("lock", "frame", -1);
        const waiting = await waiter.blocked("lock", "frame", -1);
        await dying.run("drop", "frame");
        await dying.kill();
        assertEquals(await waiting.answer, ["locked"]);
        await waiter.run("unlock", "frame");
      }
    },
  },
  {
    name: "who waits for the mutex of a server that is killed does not wait on",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("lock", "frame", -1);
      const waiting = await client.blocked("lock", "frame", -1);
      await server.kill();
      const outcome = await waiting.answer.then(([word]) => word, (error) => error.code);
      assert(
        ["abandoned", "gone"].includes(outcome),
        `the mutex is abandoned, or its server gone: ${outcome}`,
      );
    },
  },
];
