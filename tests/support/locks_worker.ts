/**
 * A worker that takes a write lock and a unit as a client of the service that it is told, waits for several things, and
 * says so: whoever started it terminates it then.
 *
 * @module
 */
import { connect, waitAny } from "../../mod.ts";

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<{ name: string; broker: string }>) => void) | null;
  postMessage(message: string): void;
};

scope.onmessage = async ({ data: { name, broker } }) => {
  const client = await connect(name, { broker: { service: broker } });
  const catalog = await client.lock("catalog", "rwlock");
  await catalog.write();
  const one = await client.lock("one", "semaphore");
  await one.acquire();
  void waitAny([await client.lock("tick", "auto"), await client.lock("device", "mutex")]);
  scope.postMessage("holds");
};
