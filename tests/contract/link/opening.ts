/** Finding each other, hello, and opening regions. */
import { assertEquals } from "@std/assert";
import { type PairTest, REGIONS, Setting } from "./suite.ts";

/** The tests of what comes before the words. */
export const openingTests: readonly PairTest[] = [
  {
    name: "the client starts after the server, opens its regions, and both see what the other wrote",
    async run(pair): Promise<void> {
      await using setting = await Setting.start();
      const server = await setting.server(pair.server);
      const client = await setting.party(pair.client);
      await client.run("connect", setting.service, setting.name, "-");
      assertEquals(await client.run("open", "frame", "write"), ["1", "10000"]);
      assertEquals(await client.run("open", "mask", "read"), ["1", "20000"]);
      await server.run("write", "frame", 9999, 1);
      await server.run("write", "mask", 19_999, 2);
      await client.run("write", "frame", 0, 3);
      assertEquals(await client.run("read", "frame", 9999), ["1"]);
      assertEquals(await client.run("read", "mask", 19_999), ["2"]);
      assertEquals(await server.run("read", "frame", 0), ["3"]);
    },
  },
  {
    name: "the client starts before the server",
    async run(pair): Promise<void> {
      await using setting = await Setting.start();
      const client = await setting.party(pair.client);
      const connecting = client.run("connect", setting.service, setting.name, "-");
      await setting.server(pair.server);
      assertEquals(await connecting, []);
      assertEquals(await client.run("open", "frame", "write"), ["1", "10000"]);
    },
  },
  {
    name: "a region that there is not, and one that clients only read, are refused",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      assertEquals(await client.refused("open", "none", "read"), "not_found");
      assertEquals(await client.refused("open", "mask", "write"), "read_only");
      assertEquals(await client.refused("commit", "mask"), "read_only");
      assertEquals(await client.refused("trylock", "mask"), "read_only");
      assertEquals(await server.run("trylock", "mask"), ["locked"], "the server has a mutex of its own");
      await server.run("unlock", "mask");
    },
  },
  {
    name: "the same schema is taken, another is incompatible, as is one where the other side has none",
    async run(pair): Promise<void> {
      const cases = [
        ["frames-v3", "frames-v3", true],
        ["frames-v3", "frames-v4", false],
        ["frames-v3", "-", false],
        ["-", "frames-v3", false],
      ] as const;
      await using setting = await Setting.start();
      for (const [index, [ours, theirs, fits]] of cases.entries()) {
        const name = `${setting.name}.${index}`;
        const server = await setting.party(pair.server);
        await server.run("serve", setting.service, name, ours, ...REGIONS);
        const client = await setting.party(pair.client);
        if (fits) await client.run("connect", setting.service, name, theirs);
        else assertEquals(await client.refused("connect", setting.service, name, theirs), "incompatible");
        await client.kill();
        await server.kill();
      }
    },
  },
  {
    needsWhole: true,
    name: "a region that is replaced wakes who waits, who keeps the old memory and opens the new",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("write", "frame", 0, 7);
      await server.run("commit", "frame");
      const waiting = await client.blocked("wait", "frame", 1, "bell");
      await server.run("put", "frame", 30_000, "write");
      const [, generation] = await waiting.answer;
      assertEquals(generation, "2");
      assertEquals(await client.number("revision", "frame"), 2, "the revision goes on");
      assertEquals(await client.run("read", "frame", 0), ["7"]);
      assertEquals(await client.run("open", "frame", "write"), ["2", "30000"]);
      assertEquals(await client.run("read", "frame", 0), ["0"]);
      assertEquals(await client.run("commit", "frame"), ["3"]);
      assertEquals(await server.number("revision", "frame"), 3);
    },
  },
  {
    name: "both end in order when they are told to, and the name is free again",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await client.run("trylock", "frame");
      assertEquals(await client.end(), 0);
      assertEquals(await server.run("lock", "frame", -1), ["locked"], "a client that leaves unlocks");
      assertEquals(await server.end(), 0);
      await setting.server(pair.server);
    },
  },
];
