/** Requests and messages, both ways. */
import { assertEquals } from "@std/assert";
import { type PairTest, Setting } from "./suite.ts";

/** More than a sender may have under way at once. */
const MANY = 8192;

/** The tests of requests and messages. */
export const messageTests: readonly PairTest[] = [
  {
    name: "requests are answered both ways, also many at once, and a handler that fails says so",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (const party of [server, client]) {
        assertEquals(await party.run("request", "hello"), ["hello"]);
        assertEquals(await party.refused("request", "fail"), "handler");
        const texts = Array.from({ length: 100 }, (_, index) => `text${index}`);
        assertEquals(
          (await Promise.all(texts.map((text) => party.run("request", text)))).flat(),
          texts,
        );
      }
    },
  },
  {
    name: "messages come both ways, as many as one likes, and the sender learns that they were taken",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (const [from, to] of [[server, client], [client, server]] as const) {
        await from.run("send", "first", 1);
        assertEquals(await to.run("taken"), ["1", "first"]);
        await from.run("send", "many", MANY);
        assertEquals(await to.run("taken"), [`${MANY + 1}`, "many"]);
      }
    },
  },
  {
    name: "a request ends with the other side",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      assertEquals(await client.run("request", "alive"), ["alive"]);
      await server.kill();
      assertEquals(await client.refused("request", "gone"), "gone");
    },
  },
];
