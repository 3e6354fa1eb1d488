import { delay } from "@std/async/delay";
import { assertEquals } from "@std/assert";
import { connect, serve } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { Connection, Listener } from "../../src/xpc/mod.ts";
import { brokerName, uniqueName } from "../support/process.ts";

await load();

/** What this process has of what a leak would show in. */
function usage(): { descriptors: number; mappings: number; threads: number } {
  const count = (path: string): number => [...Deno.readDirSync(path)].length;
  const maps = Deno.readTextFileSync("/proc/self/maps").split("\n");
  return {
    descriptors: count("/proc/self/fd"),
    mappings: maps.filter((line) => line.includes("memfd:")).length,
    threads: count("/proc/self/task"),
  };
}

const ignore = Deno.build.os !== "linux"; // what it counts is in /proc

Deno.test({
  name: "2,000 connections, regions and doorbells leave no descriptor, mapping or thread",
  ignore,
  async fn() {
    const broker = { service: brokerName() };
    const name = uniqueName("service");
    await using server = await serve(name, { regions: { frame: { byteLength: 65536 } }, broker });
    await using anchor = await connect(name, { broker }); // keeps the broker's connection as it is
    const round = async (): Promise<void> => {
      await using client = await connect(name, { broker });
      const frame = await client.open("frame");
      const changes = frame.changes({ spin: 0 });
      server.region("frame").commit();
      await changes.next();
      assertEquals(frame.view(Uint8Array)[0], 0);
      using _ = frame.mutex.lockSync();
    };
    for (let warm = 0; warm < 20; warm++) await round();
    await settled(() => server.clients === 1);
    const before = usage();
    for (let index = 0; index < 2000; index++) await round();
    await settled(() => server.clients === 1);
    assertEquals(await steady(before), before);
    assertEquals(anchor.connected, true);
  },
});

Deno.test({
  name: "500 listeners and their peers leave no descriptor or thread",
  ignore,
  async fn() {
    const round = async (): Promise<void> => {
      await using listener = await Listener.anonymous(() => ({ message: (message) => message.reply({}) }));
      using endpoint = listener.endpoint();
      await using connection = await Connection.toEndpoint(endpoint);
      await connection.request({});
    };
    await using _ = await Listener.anonymous(() => undefined); // keeps the queue of events
    for (let warm = 0; warm < 20; warm++) await round();
    const before = usage();
    for (let index = 0; index < 500; index++) await round();
    assertEquals(await steady(before), before);
  },
});

/** Lets the event loop run until something is so. */
async function settled(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(1);
}

/** The usage once it is no more than before: idle threads leave after some seconds. After ten, as it is. */
async function steady(before: ReturnType<typeof usage>): Promise<ReturnType<typeof usage>> {
  const end = performance.now() + 10_000;
  for (;;) {
    const now = usage();
    const isSteady = now.descriptors <= before.descriptors && now.mappings <= before.mappings &&
      now.threads <= before.threads;
    if (isSteady) return before;
    if (performance.now() > end) return now;
    await delay(50);
  }
}
