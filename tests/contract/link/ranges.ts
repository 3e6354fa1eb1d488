/** Commits that name their ranges, and copies of what changed. Tiles have 1024 bytes here. */
import { assertEquals } from "@std/assert";
import { C, type Party } from "./parties.ts";
import { hasClients, type PairTest, Setting } from "./suite.ts";

const LENGTHS = { frame: 10_000, mask: 20_000 } as const;
type Region = keyof typeof LENGTHS;

/** Writes one byte under the mutex and commits it. */
async function change(party: Party, region: Region, at: number, value: number): Promise<number> {
  await party.run("lock", region, -1);
  await party.run("write", region, at, value);
  const revision = await party.number("commit_range", region, at, 1);
  await party.run("unlock", region);
  return revision;
}

/** Who writes a region and who copies it, in all ways. */
const WAYS: readonly (readonly ["server" | "client", "server" | "client", Region])[] = [
  ["server", "client", "frame"],
  ["client", "server", "frame"],
  ["server", "client", "mask"],
  ["server", "server", "frame"],
];

/** Runs a test in each way. */
function inAllWays(
  name: string,
  run: (writer: Party, reader: Party, region: Region) => Promise<void>,
): PairTest[] {
  return WAYS.map(([writer, reader, region]) => ({
    name: `${name}: the ${writer} writes, the ${reader} copies the ${region}`,
    async run(pair): Promise<void> {
      const { setting, ...parties } = await Setting.pair(pair);
      await using _ = setting;
      await run(parties[writer], parties[reader], region);
    },
  }));
}

/** The tests of tiles. */
export const rangeTests: readonly PairTest[] = [
  ...inAllWays("only the tiles that changed are copied", async (writer, reader, region) => {
    const length = LENGTHS[region];
    assertEquals(await writer.number("commit", region), 1);
    assertEquals(await reader.run("copy", region, 0), ["1", `${length}`, "consistent"]);
    assertEquals(await reader.run("copy", region, 1), ["1", "0", "consistent"]);
    assertEquals(await change(writer, region, 2048, 7), 2);
    assertEquals(await change(writer, region, length - 1, 8), 3);
    const last = length % 1024;
    assertEquals(await reader.run("copy", region, 1), ["3", `${1024 + last}`, "consistent"]);
    assertEquals(await reader.run("copied", region, 2048), ["7"]);
    assertEquals(await reader.run("copied", region, length - 1), ["8"]);
    assertEquals(await reader.run("copy", region, 2), ["3", `${last}`, "consistent"]);
    assertEquals(await writer.number("commit_range", region, 1000, 25), 4); // two tiles
    assertEquals(await writer.number("commit_range", region, 0, 0), 5); // none
    assertEquals(await reader.run("copy", region, 3), ["5", "2048", "consistent"]);
  }),

  ...inAllWays("a commit of everything between others is not missed", async (writer, reader, region) => {
    const length = `${LENGTHS[region]}`;
    await writer.run("commit", region);
    await reader.run("copy", region, 0);
    await writer.run("write", region, 5000, 9);
    await writer.run("commit", region);
    assertEquals(await reader.run("copy", region, 1), ["2", length, "consistent"]);
    await writer.run("write", region, 6000, 9);
    await writer.run("commit", region);
    await change(writer, region, 0, 1);
    assertEquals(await reader.run("copy", region, 2), ["4", length, "consistent"]);
    assertEquals(await reader.run("copied", region, 6000), ["9"]);
    assertEquals(await reader.run("copy", region, 3), ["4", "1024", "consistent"]);
    assertEquals(
      await reader.run("copy", region, 9),
      ["4", length, "consistent"],
      "a revision of the future",
    );
  }),

  {
    name: "both sides commit ranges, and each copies what the other changed",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("commit", "frame");
      await server.run("copy", "frame", 0);
      await client.run("copy", "frame", 0);
      for (let round = 0; round < 8; round++) {
        const revision = 1 + 2 * round;
        await change(server, "frame", round * 1024, round + 1);
        await change(client, "frame", (9 - round) * 1024, round + 101);
        for (const party of [server, client]) {
          const [now, bytes] = await party.run("copy", "frame", revision);
          assertEquals(Number(now), revision + 2);
          assertEquals(Number(bytes), round === 0 ? 1024 + 10_000 % 1024 : 2048);
          assertEquals(await party.run("copied", "frame", round * 1024), [`${round + 1}`]);
          assertEquals(await party.run("copied", "frame", (9 - round) * 1024), [`${round + 101}`]);
        }
      }
    },
  },
  {
    name: "a commit of ranges wakes who waits",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (const [from, to, region] of [[server, client, "mask"], [client, server, "frame"]] as const) {
        const waiting = await to.blocked("wait", region, 0, "bell");
        await from.run("commit_range", region, 0, 1);
        assertEquals(await waiting.answer, ["1", "1"]);
      }
    },
  },
  {
    name: "nothing is copied while another holds the mutex",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      for (const [holder, reader, region] of [[server, client, "mask"], [client, server, "frame"]] as const) {
        await holder.run("lock", region, -1);
        assertEquals(await reader.refused("copy", region, 0), "timeout");
        assertEquals((await holder.run("copy", region, 0))[2], "consistent", "its holder copies");
        await holder.run("unlock", region);
        assertEquals((await reader.run("copy", region, 0))[2], "consistent");
      }
    },
  },
  {
    name:
      "a client that is killed while it writes leaves nothing to copy until the next holder has learned it",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      const dying = await setting.client(pair.client);
      await dying.run("lock", "frame", -1);
      await dying.run("write", "frame", 1, 1);
      await dying.kill();
      await hasClients(server, 1);
      assertEquals(await client.refused("copy", "frame", 0), "timeout");
      assertEquals(await server.run("lock", "frame", -1), ["abandoned"], "a copy does not take that");
      await server.run("unlock", "frame");
      assertEquals(await client.run("copy", "frame", 0), ["0", "10000", "consistent"]);
    },
  },
  {
    name: "a commit of ranges that ended half-way counts as one of everything",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("commit", "frame");
      for (const crash of [["crash_commit", "frame"], ["crash_range", "frame", 0, 1]] as const) {
        const dying = await setting.client(C);
        const before = await server.number("revision", "frame");
        await dying.run("write", "frame", 3000, before);
        await dying.run(...crash);
        await dying.kill();
        await hasClients(server, 1);
        for (const party of [server, client]) {
          assertEquals(await party.run("copy", "frame", before), [`${before + 1}`, "10000", "consistent"]);
          assertEquals(await party.run("copied", "frame", 3000), [`${before}`]);
        }
        await change(client, "frame", 0, 1);
        assertEquals(await server.run("copy", "frame", before), [`${before + 2}`, "10000", "consistent"]);
        assertEquals(await server.run("copy", "frame", before + 1), [`${before + 2}`, "1024", "consistent"]);
      }
    },
  },
  {
    name: "a region that is replaced is copied as a whole, whatever was copied of the one before",
    async run(pair): Promise<void> {
      const { setting, server, client } = await Setting.pair(pair);
      await using _ = setting;
      await server.run("commit", "mask");
      await client.run("copy", "mask", 0);
      await server.run("put", "mask", 30_000, "read");
      await client.run("open", "mask", "read");
      const [revision, bytes] = await client.run("copy", "mask", 1);
      assertEquals([revision, bytes], ["2", "30000"]);
      await change(server, "mask", 29_999, 3);
      assertEquals(await client.run("copy", "mask", 1), ["3", "30000", "consistent"]);
      assertEquals(await client.run("copy", "mask", 2), ["3", `${30_000 % 1024}`, "consistent"]);
      assertEquals(await client.run("copied", "mask", 29_999), ["3"]);
    },
  },
];
