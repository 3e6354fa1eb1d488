import { delay } from "@std/async/delay";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { App, brokerName, RemoteError, uniqueName } from "../support/process.ts";

const ignore = Deno.build.os !== "linux"; // where a test can have a broker of its own

/** A process that hangs takes longer; the others end by themselves. */
const TIMEOUT = 60_000;

const poor = (descriptors?: number): App => new App("poor_app.ts", ["-A"], {}, descriptors);

/** "works", or what the error says. An app that aborts throws another one. */
async function outcome(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "works";
  } catch (error) {
    if (error instanceof RemoteError) return `${error.name}: ${error.message}`;
    throw error;
  }
}

function assertWorksOrSaysWhy(said: string): void {
  if (said !== "works") assertStringIncludes(said, "ulimit -n");
  assert(!said.startsWith("TimeoutError"), said);
}

for (const descriptors of [24, 28, 32, 36, 40, 64]) {
  Deno.test({
    name: `a process with ${descriptors} descriptors connects and serves, or says what it lacks`,
    ignore,
    async fn() {
      const broker = brokerName();
      const name = uniqueName("service");
      await using rich = poor();
      await rich.call("broker", { broker });
      await rich.call("serve", { name, broker, timeout: TIMEOUT });
      {
        await using client = poor(descriptors);
        const said = await outcome(client.call("open", { name, broker, timeout: TIMEOUT }));
        assertWorksOrSaysWhy(said);
        if (descriptors === 64) assertEquals(said, "works");
      }
      // At the broker of another process, and as the broker.
      for (const service of [broker, brokerName()]) {
        await using server = poor(descriptors);
        const name = uniqueName("poor");
        const said = await outcome(server.call("serve", { name, broker: service, timeout: TIMEOUT }));
        assertWorksOrSaysWhy(said);
        if (descriptors === 64) assertEquals(said, "works");
        if (said !== "works") continue;
        await using client = poor();
        assertWorksOrSaysWhy(await outcome(client.call("open", { name, broker: service, timeout: TIMEOUT })));
      }
    },
  });
}

for (const ownBroker of [false, true]) {
  Deno.test({
    name: `a server without descriptors tells its clients${ownBroker ? ", also as their broker" : ""}`,
    ignore,
    async fn() {
      const broker = brokerName();
      await using agent = poor();
      if (!ownBroker) await agent.call("broker", { broker });
      await Promise.all([0, 1, 2].map(async (leave) => {
        const service = ownBroker ? brokerName() : broker;
        await using server = poor(100);
        const name = uniqueName("service");
        await server.call("serve", { name, broker: service, timeout: TIMEOUT });
        await server.call("fill", { leave });
        const open = async (): Promise<unknown> => {
          await using client = poor();
          return await client.call("open", { name, broker: service, timeout: TIMEOUT });
        };
        assertStringIncludes(await outcome(open()), "ulimit -n", `${leave} left`);
        await server.call("drain");
        assertEquals(await open(), 4096);
      }));
    },
  });
}

Deno.test({
  name: "clients wait for a server that lacks descriptors for a moment",
  ignore,
  async fn() {
    const broker = brokerName();
    await using agent = poor();
    await agent.call("broker", { broker });
    await using server = poor(100);
    const name = uniqueName("service");
    await server.call("serve", { name, broker, timeout: TIMEOUT });
    await server.call("fill", { leave: 0 });
    await using client = poor();
    const opened = client.call("open", { name, broker, timeout: TIMEOUT });
    await delay(500); // it stands at the server's door by now; if not, this test proves less
    await server.call("drain");
    assertEquals(await opened, 4096);
  },
});
