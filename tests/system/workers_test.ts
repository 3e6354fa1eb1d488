/** Workers that die in any way beside an app that lives on. */
import { assert, assertEquals } from "@std/assert";
import { connect, PeerGoneError, serve } from "../../mod.ts";
import { brokerName, ownBroker, uniqueName } from "../support/process.ts";
import type { Death, Order } from "../support/dying_worker.ts";

const DEATHS: readonly Death[] = ["terminate", "close", "throw", "reject"];

/** Starts the worker and waits until it holds the mutex; the result makes it die. */
async function start(order: Order): Promise<() => void> {
  const script = new URL("../support/dying_worker.ts", import.meta.url);
  const worker = new Worker(script, { type: "module" });
  worker.onerror = (event) => event.preventDefault(); // it throws since it was told to
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = () => resolve();
  worker.onmessageerror = () => reject(new Error("the worker's message cannot be read"));
  worker.postMessage(order);
  await promise;
  return () => {
    if (order.death === "terminate") worker.terminate();
    else worker.postMessage("die");
  };
}

for (const death of DEATHS) {
  Deno.test(`a client in a worker that ends by ${death} gives back what it held`, async () => {
    const name = uniqueName("service");
    const broker = brokerName();
    await using server = await serve(name, {
      broker: { service: broker },
      regions: { frame: { byteLength: 4096 } },
    });
    const frame = server.region("frame");
    const die = await start({ role: "client", name, broker, death });
    assertEquals(frame.mutex.tryLock(), undefined, "the worker holds the mutex");
    die();
    {
      using guard = await frame.mutex.lock({ timeout: 30_000 });
      assert(guard.abandoned);
    }
    // The server goes on: with what the dead worker waited for, and with a new client.
    frame.commit();
    await using client = await connect(name, { broker: { service: broker } });
    const again = await client.open("frame");
    assertEquals((await again.changes().next()).value?.revision, frame.revision);
  });

  Deno.test(`a server in a worker that ends by ${death} is gone for its clients`, {
    ignore: !ownBroker,
  }, async () => {
    const name = uniqueName("service");
    const broker = brokerName();
    // The process must keep a broker when the worker dies.
    await using _keeper = await serve(uniqueName("service"), { broker: { service: broker }, regions: {} });
    const die = await start({ role: "server", name, broker, death });
    await using client = await connect(name, { broker: { service: broker } });
    const frame = await client.open("frame", { write: true });
    assertEquals(frame.mutex.tryLock(), undefined, "the worker holds the mutex");
    die();
    assert(await frame.closed instanceof PeerGoneError);
    using guard = await frame.mutex.lock({ timeout: 30_000 });
    assert(guard.abandoned);
  });
}
