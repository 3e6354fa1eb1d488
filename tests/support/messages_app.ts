/**
 * An app for the tests of messages: a server or a client that does what its parent tells it, and what messages ask of it.
 *
 * @module
 */
import {
  BacklogError,
  type Client,
  connect,
  join,
  type MessageRecord,
  type MessageValue,
  RegionHandle,
  serve,
  type Server,
  WritableRegion,
} from "../../mod.ts";
import { answer, type Calls } from "./calls.ts";

let server: Server | undefined;
let client: Client | undefined;
const received: MessageValue[] = [];
let opened = Promise.withResolvers<void>();

/** Answers what a request asks for. */
async function respond(value: MessageValue): Promise<MessageValue | void> {
  const { ask, ...rest } = value as MessageRecord;
  switch (ask) {
    case "echo":
      return rest["value"]!;
    case "throw":
      throw new RangeError("Cannot do that: 3 is too many");
    case "throw nothing":
      throw undefined;
    case "function":
      return (() => {}) as never;
    case "nothing":
      return;
    case "much":
      return new Uint8Array(Number(rest["bytes"]));
    case "never":
      return await new Promise<never>(() => {});
    case "later":
      await opened.promise;
      return "at last";
    case "open":
      opened.resolve();
      opened = Promise.withResolvers();
      return "opened";
    case "region":
      return server!.region("frame");
    case "fill": {
      const { region } = rest;
      if (!(region instanceof RegionHandle)) return "no handle";
      const frame = await region.open();
      if (frame instanceof WritableRegion) frame.view(Uint8Array).fill(7);
      return frame.name;
    }
    default:
      throw new TypeError("Cannot understand the request");
  }
}

const calls: Calls = {
  async serve(p) {
    const { handlers = "all" } = p;
    server = await serve(String(p["name"]), {
      regions: { frame: { byteLength: 4096 } },
      broker: { service: String(p["broker"]) },
      ...(handlers === "none" ? {} : {
        request: (value, from) => {
          if ((value as MessageRecord)?.["ask"] === "who") return `${from.name} ${from.pid}`;
          return respond(value);
        },
        message: async (value) => {
          if (handlers === "stuck") await new Promise<never>(() => {});
          if (value === "throw") throw new Error("Cannot take that");
          received.push(value);
        },
      }),
    });
  },
  async connect(p) {
    client = await connect(String(p["name"]), {
      broker: { service: String(p["broker"]) },
      label: p["label"] as string | undefined,
      request: (value) => respond(value),
    });
    return client.pid;
  },
  async join(p) {
    const joined = await join(String(p["name"]), {
      regions: {},
      broker: { service: String(p["broker"]) },
      request: (value, from) => `${from === undefined ? "client" : "server"} ${value}`,
    });
    if (joined.role === "server") server = joined;
    else client = joined;
    return joined.role;
  },
  request: (p) => client!.request(p["value"] as MessageValue) as Promise<unknown>,
  /** Asks all clients, and tells how many answered and how many are gone. */
  async askAll(p) {
    const asked = [...server!.peers].map((peer) => peer.request(p["value"] as MessageValue));
    const results = await Promise.allSettled(asked);
    return results.map((result) => {
      return result.status === "fulfilled" ? result.value : (result.reason as Error).name;
    }) as unknown;
  },
  peers: () => [...server!.peers].map(({ name }) => name).toSorted(),
  sendAll: (p) => {
    for (const peer of server!.peers) peer.send(`${p["value"]} ${peer.name}`);
  },
  /** Sends until that is refused; tells how many were sent, and the resident memory after. */
  flood(p) {
    const bytes = new Uint8Array(Number(p["bytes"]));
    const sender = client ?? [...server!.peers][0]!;
    for (let sent = 0;; sent++) {
      try {
        sender.send({ sent, bytes });
      } catch (error) {
        if (error instanceof BacklogError) return { sent, rss: Deno.memoryUsage().rss };
        throw error;
      }
    }
  },
  /** Sends so many, and waits for room. */
  async sendMany(p) {
    const bytes = new Uint8Array(Number(p["bytes"]));
    const sender = client ?? [...server!.peers][0]!;
    for (let sent = 0; sent < Number(p["count"]); sent++) await sender.sendAsync({ sent, bytes });
  },
  /** Takes messages, and checks their order; tells how many. */
  async take(p) {
    let taken = Number(p["from"] ?? 0);
    for await (const value of client!.messages()) {
      if ((value as MessageRecord)["sent"] !== taken) throw new Error(`Cannot go on: ${taken} is missing`);
      if (++taken === Number(p["count"])) break;
    }
    return taken;
  },
  async next() {
    const messages = client!.messages();
    const { value } = await messages.next();
    return value as unknown;
  },
  send: (p) => (client ?? [...server!.peers][0]!).send(p["value"] as MessageValue),
  received: () => received.map((value) => (value as MessageRecord)?.["sent"] ?? value) as unknown,
  rss: () => Deno.memoryUsage().rss,
  async open() {
    return (await client!.open("frame")).byteLength;
  },
  async leave() {
    await client?.close();
    await server?.close();
    client = server = undefined;
  },
};

await answer(calls);
await client?.close();
await server?.close();
