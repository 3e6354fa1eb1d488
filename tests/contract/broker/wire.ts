import { assertEquals } from "@std/assert";
import { BAD_REQUESTS } from "./bad_requests.ts";
import { type BrokerKind, BrokerProcess } from "./brokers.ts";
import recorded from "./recorded.json" with { type: "json" };
import { type Line, Recorder } from "./recorder.ts";
import type { ContractTest } from "./suite.ts";

type Script = (exchange: Recorder, broker: BrokerProcess) => Promise<void>;

const register = (name: string, policy = "reject") => ({
  op: "register",
  name,
  endpoint: "endpoint",
  policy,
});

/** What is recorded, by name. */
const SCRIPTS: Readonly<Record<string, Script>> = {
  async "hello"(exchange): Promise<void> {
    await exchange.ask("A", { op: "status" }, 2);
    await exchange.ask("A", { op: "none" });
    await exchange.ask("A", { op: "hello", min: 2n, max: 3n });
    await exchange.ask("A", { op: "hello", min: 3n, max: 2n });
    await exchange.ask("A", { op: "hello", min: 1n, max: 1n, name: "a peer" });
    await exchange.ask("A", { op: "hello", min: 0n, max: 7n });
    await exchange.ask("A", { op: "none" });
  },

  async "bad requests"(exchange): Promise<void> {
    await exchange.hello("A");
    for (const { request } of BAD_REQUESTS) await exchange.ask("A", request);
    await exchange.ask("A", Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`${index}`, true])));
    await exchange.ask("A", { op: "list" });
  },

  async "register, replace, join, unregister"(exchange): Promise<void> {
    for (const who of ["A", "B", "C"]) await exchange.hello(who);
    await exchange.ask("A", register("a"));
    await exchange.ask("A", register("a", "join"));
    await exchange.ask("B", register("a"));
    await exchange.ask("B", register("a", "join"));
    await exchange.ask("B", register("a", "replace"));
    await exchange.receive("A"); // replaced
    await exchange.ask("A", { op: "unregister", name: "a", generation: exchange.generation(3) });
    await exchange.ask("A", { op: "unregister", name: "b", generation: 1n });
    await exchange.ask("B", { op: "unregister", name: "a", generation: 1n });
    await exchange.ask("C", { ...register("far"), after: 2n ** 53n - 2n });
    await exchange.ask("C", register("far"));
    await exchange.ask("B", { op: "unregister", name: "a", generation: exchange.generation(3) });
    await exchange.ask("C", { op: "list" });
  },

  async "lookup, wait, cancel"(exchange): Promise<void> {
    await exchange.hello("A");
    await exchange.hello("B");
    await exchange.ask("A", { op: "lookup", name: "a" });
    exchange.send("A", { op: "lookup", name: "a", wait: true });
    exchange.send("A", { op: "lookup", name: "a", wait: true, id: 1n });
    exchange.send("A", { op: "lookup", name: "z", wait: true, id: 2n, after: 5n });
    await exchange.ask("A", { op: "lookup", name: "y", wait: true, id: 2n });
    await exchange.ask("A", { op: "cancel", id: 3n });
    await exchange.ask("B", register("a"));
    await exchange.receive("A", 2);
    await exchange.ask("A", { op: "cancel", id: 1n });
    await exchange.ask("A", { op: "cancel", id: 2n }, 2);
    await exchange.ask("A", { op: "lookup", name: "a" });
    await exchange.ask("A", { op: "lookup", name: "a", after: exchange.generation(1) });
    await exchange.ask("A", { op: "status" });
  },

  async "watch: the events of registrations"(exchange): Promise<void> {
    await exchange.hello("A");
    await exchange.hello("B");
    await exchange.ask("A", register("a"));
    await exchange.ask("A", { op: "watch" });
    await exchange.ask("A", register("b"), 2);
    await exchange.ask("A", register("b"), 3);
    await exchange.ask("B", register("a", "replace"));
    await exchange.receive("A", 3); // unregistered, replaced, registered
    exchange.send("A", { op: "lookup", name: "c", wait: true });
    await exchange.ask("A", register("c"), 3); // registered, the lookup's reply, the reply
    await exchange.ask("A", { op: "list" });
    await exchange.ask("A", { op: "unregister", name: "c", generation: exchange.generation(5) }, 2);
    await exchange.ask("A", { op: "unwatch" });
    await exchange.ask("A", register("d"));
    await exchange.ask("A", { op: "status" });
  },

  async "the death of a peer"(exchange): Promise<void> {
    await exchange.hello("A");
    await exchange.hello("B");
    for (const name of ["c", "a", "b", "c"]) await exchange.ask("B", register(name));
    await exchange.ask("A", { op: "watch" });
    exchange.leave("B");
    await exchange.receive("A", 3);
    await exchange.ask("A", { op: "list" });
  },

  async "junk"(exchange): Promise<void> {
    await exchange.hello("A");
    exchange.send("A", register("dropped"), false);
    exchange.send("A", { op: "watch", deep: [{ a: [null] }] }, false);
    await exchange.ask("A", { op: "list", what: new Uint8Array([1, 2, 3]), when: new Date(7) });
    exchange.sendJunk("A", new Uint8Array(40));
    await exchange.receive("A"); // the end: what is no packet costs the connection
    await exchange.hello("B");
    exchange.sendJunk("B", new Uint8Array([0x58, 0x50, 0x43, 0x4c, 1, 99]));
    await exchange.receive("B");
    await exchange.hello("C");
  },

  async "the broker is told to end"(exchange, broker): Promise<void> {
    for (const who of ["A", "B", "C"]) await exchange.hello(who);
    await exchange.ask("A", register("a"));
    for (const id of [0n, 5n]) exchange.send("B", { op: "lookup", name: "b", wait: true, id });
    await exchange.ask("B", { op: "watch" });
    await exchange.ask("D", { op: "list" }, 2); // no hello: it is not told
    broker.signal("SIGTERM");
    await exchange.receive("A", 2);
    await exchange.receive("B", 4);
    await exchange.receive("C", 2);
    await exchange.receive("D", 1);
    await broker.status;
  },
};

const RECORDED = recorded as unknown as Readonly<Record<string, readonly Line[]>>;
const FILE = new URL("./recorded.json", import.meta.url);

async function record(kind: BrokerKind, name: string): Promise<readonly Line[]> {
  await using broker = await BrokerProcess.start(kind);
  using exchange = new Recorder(broker);
  await SCRIPTS[name]!(exchange, broker);
  return exchange.lines;
}

/** The same to the byte: each exchange as it was recorded. `XPC_SHMEM_RECORD=1` records the embedded broker's anew. */
export const wireTests: readonly ContractTest[] = Object.keys(SCRIPTS).map((name) => ({
  name: `the same to the byte as recorded: ${name}`,
  async run(kind): Promise<void> {
    const lines = await record(kind, name);
    if (Deno.env.get("XPC_SHMEM_RECORD") === "1" && kind.name === "embedded") {
      const all = JSON.parse(Deno.readTextFileSync(FILE));
      Deno.writeTextFileSync(FILE, `${JSON.stringify({ ...all, [name]: lines }, undefined, 2)}\n`);
    } else {
      assertEquals(lines, RECORDED[name]);
    }
  },
}));
