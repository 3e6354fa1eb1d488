/** Locks of every kind, and what becomes of them when who holds them, or waits for them, dies. */
import { assertEquals } from "@std/assert";
import { C, type Implementation, type Party } from "./parties.ts";
import { hasClients, type Pair, type PairTest, Setting } from "./suite.ts";

const LOCKS = [
  ["device", "mutex", 0],
  ["catalog", "rwlock", 0],
  ["budget", "semaphore", 2],
  ["one", "semaphore", 1],
  ["ready", "manual", 0],
  ["tick", "auto", 0],
] as const;

/** What one alone has at a time: the lock and the mode. */
const EXCLUSIVE = [["device", "-"], ["catalog", "write"], ["one", "-"]] as const;

async function open(party: Party): Promise<Party> {
  for (const [name, kind, limit] of LOCKS) {
    assertEquals(await party.run("openlock", name), [kind, `${limit}`]);
  }
  return party;
}

/** A server with locks, and a client that has opened them. */
async function start({ server, client }: Pair): Promise<{
  setting: Setting;
  server: Party;
  client: Party;
  another(implementation: Implementation): Promise<Party>;
}> {
  const pair = await Setting.pair({ server, client });
  for (const lock of LOCKS) await pair.server.run("putlock", ...lock);
  await open(pair.client);
  return {
    ...pair,
    another: async (implementation) => await open(await pair.setting.client(implementation)),
  };
}

/** Waits until a writer keeps new readers out: a party says that it is blocked just before it begins to wait. */
async function claimed(party: Party): Promise<void> {
  while ((await party.run("try", "catalog", "read"))[0] !== "busy") await party.run("give", "catalog");
}

/** The tests of locks. */
export const lockTests: readonly PairTest[] = [
  {
    name: "locks exclude, time out, and pass on to who waits",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      assertEquals(await client.refused("openlock", "nowhere"), "not_found");
      const third = await another(C);
      for (const [lock, mode] of EXCLUSIVE) {
        for (
          const [holder, waiter] of [[server, client], [client, server], [client, third], [third, client]]
        ) {
          assertEquals(await holder!.run("try", lock, mode), ["locked"]);
          assertEquals(await waiter!.run("try", lock, mode), ["busy"]);
          assertEquals(await waiter!.refused("take", lock, mode, 20), "timeout");
          const waiting = await waiter!.blocked("take", lock, mode, -1);
          await holder!.run("give", lock);
          assertEquals(await waiting.answer, ["locked"]);
          await waiter!.run("give", lock);
        }
      }
    },
  },
  {
    name: "readers share, a waiting writer keeps them out, and they come in when it gives up",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      const third = await another(C);
      for (const [reader, writer] of [[server, client], [client, server]] as const) {
        assertEquals(await reader.run("take", "catalog", "read", -1), ["locked"]);
        assertEquals(await third.run("try", "catalog", "read"), ["locked"]);
        const writing = await writer.blocked("take", "catalog", "write", -1);
        await claimed(third);
        const reading = await reader.blocked("take", "catalog", "read", -1);
        await third.run("give", "catalog");
        assertEquals(await third.run("try", "catalog", "read"), ["busy"]);
        await reader.run("give", "catalog");
        assertEquals(await writing.answer, ["locked"]);
        await writer.run("give", "catalog");
        assertEquals(await reading.answer, ["locked"]);
        assertEquals(await writer.refused("take", "catalog", "write", 20), "timeout");
        assertEquals(await third.run("try", "catalog", "read"), ["locked"]);
        await third.run("give", "catalog");
        await reader.run("give", "catalog");
      }
    },
  },
  {
    name: "events let through, all or one",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      const third = await another(C);
      for (const [setter, waiter] of [[server, client], [client, server]] as const) {
        const all = [
          await waiter.blocked("take", "ready", "-", -1),
          await third.blocked("take", "ready", "-", -1),
        ];
        await setter.run("set", "ready");
        for (const { answer } of all) assertEquals(await answer, ["locked"]);
        await waiter.run("reset", "ready");
        assertEquals(await setter.run("try", "ready", "-"), ["busy"]);
        let passed = 0;
        const ones = [
          await waiter.blocked("take", "tick", "-", -1),
          await third.blocked("take", "tick", "-", -1),
        ]
          .map(async ({ answer }) => {
            await answer;
            passed++;
          });
        await setter.run("set", "tick");
        await Promise.race(ones);
        assertEquals([passed, await setter.run("try", "tick", "-")], [1, ["busy"]]);
        await setter.run("set", "tick");
        await Promise.all(ones);
      }
    },
  },
  {
    name: "what a killed client held is released, and the next holder learns of a writer",
    async run(pair): Promise<void> {
      const { setting, server, another } = await start(pair);
      await using _ = setting;
      for (const survivor of [server, await another(pair.client), await another(C)]) {
        const dying = await another(pair.client);
        for (const [lock, mode] of EXCLUSIVE) {
          assertEquals(await dying.run("take", lock, mode, -1), ["locked"]);
        }
        const waiting = await Promise.all(
          EXCLUSIVE.map(([lock, mode]) => survivor.blocked("take", lock, mode, -1)),
        );
        await dying.kill();
        const told = await Promise.all(waiting.map(({ answer }) => answer));
        assertEquals(told, [["abandoned"], ["abandoned"], ["locked"]]);
        for (const [lock, mode] of EXCLUSIVE) {
          await survivor.run("give", lock);
          assertEquals(await survivor.run("try", lock, mode), ["locked"]);
          await survivor.run("give", lock);
        }
      }
    },
  },
  {
    name: "a client that is killed while it waits, as a writer too, keeps nobody out",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      const dying = await another(pair.client);
      await server.run("take", "catalog", "read", -1);
      await server.run("take", "one", "-", -1);
      await dying.blocked("take", "one", "-", -1);
      await dying.blocked("take", "catalog", "write", -1);
      const reading = await client.blocked("take", "catalog", "read", -1);
      await dying.kill();
      assertEquals(await reading.answer, ["locked"]);
      await server.run("give", "one");
      assertEquals(await client.run("take", "one", "-", -1), ["locked"]);
    },
  },
  {
    name: "a client that is killed between giving back and waking leaves nobody asleep",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      for (const waiter of [server, client]) {
        for (const [lock, mode] of EXCLUSIVE) {
          const dying = await another(C);
          await dying.run("take", lock, mode, -1);
          const waiting = await waiter.blocked("take", lock, mode, -1);
          await dying.run("leave", lock);
          await dying.kill();
          assertEquals(await waiting.answer, ["locked"]);
          await waiter.run("give", lock);
        }
      }
    },
  },
  {
    name: "three count in the region under each lock, and no count is lost",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      const parties = [server, client, await another(C)];
      for (const [number, [lock, mode]] of EXCLUSIVE.entries()) {
        await Promise.all(parties.map(async (party) => {
          for (let count = 0; count < 25; count++) {
            assertEquals(await party.run("take", lock, mode, -1), ["locked"]);
            const value = await party.number("read", "frame", number);
            await party.run("write", "frame", number, value + 1);
            await party.run("give", lock);
          }
        }));
        for (const party of parties) assertEquals(await party.number("read", "frame", number), 75);
      }
    },
  },
  {
    name: "who ends in order gives back what it holds, and nothing is abandoned",
    async run(pair): Promise<void> {
      const { setting, server, client } = await start(pair);
      await using _ = setting;
      for (const [lock, mode] of EXCLUSIVE) await client.run("take", lock, mode, -1);
      assertEquals(await client.end(), 0);
      await hasClients(server, 0);
      for (const [lock, mode] of EXCLUSIVE) assertEquals(await server.run("try", lock, mode), ["locked"]);
    },
  },
  {
    name: "waits end when the server is killed",
    async run(pair): Promise<void> {
      const { setting, server, client, another } = await start(pair);
      await using _ = setting;
      const holder = await another(C);
      await holder.run("take", "catalog", "write", -1);
      await holder.run("take", "one", "-", -1);
      const waiting = [
        client.refused("take", "catalog", "read", -1),
        client.refused("take", "one", "-", -1),
        client.refused("take", "ready", "-", -1),
      ];
      await server.kill();
      assertEquals(await Promise.all(waiting), ["gone", "gone", "gone"]);
    },
  },
];
