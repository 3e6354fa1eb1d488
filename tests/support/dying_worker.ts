/**
 * A worker that holds a mutex and waits for changes, as a client of `name` or as its server, and then dies in the way
 * that it is told to.
 *
 * @module
 */
import { type Client, connect, serve, type Server } from "../../mod.ts";

/** How a worker ends. `terminate` is the other side's to do. */
export type Death = "terminate" | "close" | "throw" | "reject";

/** What the worker is told. */
export interface Order {
  readonly role: "client" | "server";
  readonly name: string;
  readonly broker: string;
  readonly death: Death;
}

const scope = self as unknown as {
  onmessage: ((event: MessageEvent<Order | "die">) => void) | null;
  postMessage(message: string): void;
  close(): void;
};

let order: Order;

scope.onmessage = async ({ data }) => {
  if (data === "die") {
    if (order.death === "close") scope.close();
    else if (order.death === "throw") setTimeout(() => fail(), 0);
    else if (order.death === "reject") void Promise.reject(new Error("as told"));
    return;
  }
  order = data;
  const broker = { service: order.broker };
  let app: Client | Server;
  if (order.role === "server") {
    app = await serve(order.name, { broker, regions: { frame: { byteLength: 4096 } } });
  } else {
    app = await connect(order.name, { broker, signal: AbortSignal.timeout(30_000) });
  }
  const frame = app instanceof Object && app.role === "server"
    ? app.region("frame")
    : await (app as Client).open("frame", { write: true });
  await frame.mutex.lock();
  void (async () => {
    for await (const _ of frame.changes({ spin: 0 })) frame.commit();
  })();
  scope.postMessage("ready");
};

function fail(): never {
  throw new Error("as told");
}
