/** The realm's way to a broker: signals, faults of the environment, hostile brokers, and a busy app that is one. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { AgentError } from "../../agent/install/machine.ts";
import { brokerStatus } from "../../agent/install/status.ts";
import { load } from "../../ffi/load.ts";
import { BrokerUnavailableError, connect, serve } from "../../mod.ts";
import { BrokerClient } from "../../src/broker/broker_client.ts";
import { BrokerConnection } from "../../src/broker/broker_connection.ts";
import { InvalidReplyError } from "../../src/broker/replies.ts";
import { Int64, Listener, type XpcRecord, type XpcValue } from "../../src/xpc/mod.ts";
import { BrokerProcess, EMBEDDED, removeTraces, uniqueService } from "../contract/broker/brokers.ts";
import { App, RemoteError, uniqueName } from "../support/process.ts";

await load();

const onLinux = { ignore: Deno.build.os !== "linux" };
const regions = { frame: { byteLength: 4096 } };

/** What comes first: the end of `promise`, or a hello to a broker that does not answer. */
async function beforeHello(service: string, promise: Promise<unknown>): Promise<string> {
  const stop = new AbortController();
  const hello = BrokerConnection.open(service, { name: "a test", signal: stop.signal });
  try {
    return await Promise.race([
      promise.then(() => "done", (error) => (error as Error).name),
      hello.then(() => "hello", () => "hello"),
    ]);
  } finally {
    stop.abort();
    await hello.catch(() => {});
  }
}

Deno.test(
  "connect() rejects at once when its signal aborts, also while no broker answers",
  onLinux,
  async () => {
    await using broker = await BrokerProcess.start(EMBEDDED);
    broker.signal("SIGSTOP");
    const { service } = broker;
    for (const embedded of [false, true]) {
      const signal = AbortSignal.timeout(100);
      const connecting = connect(uniqueName("nobody"), { broker: { service, embedded }, signal });
      assertEquals(await beforeHello(service, connecting), "TimeoutError");
    }
    const signal = AbortSignal.timeout(100);
    const serving = serve(uniqueName("nobody"), { broker: { service, embedded: false }, regions, signal });
    assertEquals(await beforeHello(service, serving), "TimeoutError");
  },
);

Deno.test(
  "BrokerClient.lookup() and release() do not wait for a broker that has stopped",
  onLinux,
  async () => {
    await using broker = await BrokerProcess.start(EMBEDDED);
    const client = BrokerClient.acquire({ service: broker.service, embedded: false });
    assertEquals(await client.list(), []);
    broker.signal("SIGSTOP");
    const signal = AbortSignal.timeout(100);
    const lookup = client.lookup("nobody", 0, signal);
    assertEquals(await beforeHello(broker.service, lookup), "TimeoutError");
    assertEquals(await beforeHello(broker.service, client.release()), "done");
  },
);

Deno.test("BrokerClient.lookup() tells the broker when its signal aborts", onLinux, async () => {
  await using broker = await BrokerProcess.start(EMBEDDED);
  const client = BrokerClient.acquire({ service: broker.service, embedded: false });
  await using observer = await BrokerConnection.open(broker.service, { name: "a test" });
  const stop = new AbortController();
  const lookup = client.lookup("nobody", 0, stop.signal);
  while ((await observer.status()).waiting !== 1) await Promise.resolve();
  stop.abort(new TypeError("enough"));
  await assertRejects(() => lookup, TypeError, "enough");
  while ((await observer.status()).waiting !== 0) await Promise.resolve();
  await client.release();
});

Deno.test(
  "BrokerClient.names() tells what is registered, and nothing where no broker answers",
  onLinux,
  async () => {
    const service = uniqueService();
    const client = BrokerClient.acquire({ service });
    assertEquals(await client.names(), undefined);
    {
      const [one, two] = [uniqueName("one"), uniqueName("two")];
      await using _one = await serve(one, { broker: { service }, regions });
      await using _two = await serve(two, { broker: { service }, regions });
      assertEquals(await client.names(), [one, two].sort());
    }
    assertEquals(await client.names(), []);
    await client.release();
    assertEquals(await client.names(), undefined);
    removeTraces(service);
  },
);

/** Faults of the runtime folder: what makes one in `base`, and what the error says of it. */
const FAULTS: Readonly<Record<string, { make: (base: string) => Promise<string>; says: string }>> = {
  "others can enter it": {
    async make(base) {
      await Deno.mkdir(`${base}/xpc-shmem`);
      await Deno.chmod(`${base}/xpc-shmem`, 0o755);
      return base;
    },
    says: "/xpc-shmem",
  },
  "it is a file": {
    async make(base) {
      await Deno.writeTextFile(`${base}/xpc-shmem`, "");
      return base;
    },
    says: "/xpc-shmem",
  },
  "it is a symbolic link": {
    async make(base) {
      await Deno.mkdir(`${base}/elsewhere`, { mode: 0o700 });
      await Deno.symlink(`${base}/elsewhere`, `${base}/xpc-shmem`);
      return base;
    },
    says: "/xpc-shmem",
  },
  "its path is too long": {
    async make(base) {
      const long = `${base}/${"n".repeat(100)}`;
      await Deno.mkdir(long, { mode: 0o700 });
      return long;
    },
    says: "too long",
  },
};

for (const [fault, { make, says }] of Object.entries(FAULTS)) {
  Deno.test(
    `serve() and connect() say what is wrong with the runtime folder: ${fault}`,
    onLinux,
    async () => {
      const base = await Deno.makeTempDir({ prefix: "xpc-shmem-folder-" });
      try {
        const XDG_RUNTIME_DIR = await make(base);
        await using app = new App("app.ts", ["-A"], { XDG_RUNTIME_DIR });
        const common = { name: "fault", broker: uniqueService(), regions };
        for (const call of ["serve", "connect"]) {
          const error = await assertRejects(() => app.call(call, common), RemoteError, says);
          assertEquals(error.name, "BrokerUnavailableError");
          assertStringIncludes(error.message, "doctor");
          assert(!error.message.includes("agent:install"), error.message);
        }
      } finally {
        await Deno.remove(base, { recursive: true });
      }
    },
  );
}

Deno.test("serve() and connect() go on when a fault of the runtime folder passes", onLinux, async () => {
  const base = await Deno.makeTempDir({ prefix: "xpc-shmem-folder-" });
  try {
    await Deno.writeTextFile(`${base}/xpc-shmem`, "");
    await using app = new App("app.ts", ["-A"], { XDG_RUNTIME_DIR: base });
    const common = { name: "fault", broker: uniqueService(), regions };
    await assertRejects(() => app.call("serve", common), RemoteError);
    await Deno.remove(`${base}/xpc-shmem`);
    await app.call("serve", common);
    assertEquals(await app.call("connect", common), app.pid);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
});

/** A reply of a broker that follows the protocol. */
function honest(op: XpcValue | undefined, service: string): XpcRecord {
  const pid = new Int64(BigInt(Deno.pid));
  const identity = { version: 1n, broker: "embedded", release: "0", pid, service };
  switch (op) {
    case "hello":
      return { ok: true, ...identity };
    case "status":
      return { ok: true, ...identity, uptime: 1n, peers: 1n, services: 0n, waiting: 0n, watchers: 0n };
    case "register":
      return { ok: true, registered: true, generation: 1n, pid };
    case "lookup":
      return { ok: true, generation: 1n, pid };
    case "list":
    case "watch":
      return { ok: true, services: [{ name: "a", generation: 1n, pid, since: new Date() }] };
    default:
      return { ok: true };
  }
}

/** Values that no field of the protocol has where it is not expected. */
const WRONG: readonly (XpcValue | undefined)[] = [
  undefined,
  null,
  1.5,
  -1n,
  2n ** 64n - 1n,
  [],
  {},
  { a: [{}] },
  new Uint8Array(3),
];

/** A broker that lies in one field of one reply. */
class Liar implements AsyncDisposable {
  readonly service = uniqueService();
  lie: { op: string; field: string; value: XpcValue | undefined } | undefined;
  /** Called with an operation before the reply is sent. */
  before: ((op: XpcValue | undefined) => void) | undefined;
  #listener: Listener | undefined;

  static async start(): Promise<Liar> {
    const liar = new Liar();
    liar.#listener = await Listener.service(liar.service, () => ({
      message: (message) => {
        using _ = message;
        liar.before?.(message.values["op"]);
        if (message.expectsReply) message.reply(liar.#answer(message.values["op"]));
      },
    }));
    return liar;
  }

  /** Sends a message to all who are connected. */
  send(record: XpcRecord): void {
    for (const connection of this.#listener?.connections ?? []) connection.send(record);
  }

  #answer(op: XpcValue | undefined): XpcRecord {
    const reply = honest(op, this.service);
    if (this.lie?.op !== op) return reply;
    const { field, value } = this.lie!;
    if (!field.startsWith("services.")) return { ...reply, [field]: value };
    const [service] = reply["services"] as XpcRecord[];
    return { ...reply, services: [{ ...service, [field.slice("services.".length)]: value }] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener?.close();
    removeTraces(this.service);
  }
}

const IDENTITY = ["ok", "version", "broker", "release", "pid", "service"];
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  hello: IDENTITY,
  status: [...IDENTITY, "uptime", "peers", "services", "waiting", "watchers"],
  register: ["ok", "registered", "generation", "pid"],
  lookup: ["ok", "generation", "pid", "endpoint"],
  list: ["ok", "services", "services.name", "services.generation", "services.pid", "services.since"],
  watch: ["ok", "services", "services.name", "services.generation", "services.pid", "services.since"],
};

Deno.test("BrokerConnection refuses every value that a field of a reply cannot have", onLinux, async () => {
  await using liar = await Liar.start();
  await using listener = await Listener.anonymous(() => undefined);
  using endpoint = listener.endpoint();
  const register = { name: "a", endpoint, policy: "reject" as const, after: 0 };
  for (const [op, fields] of Object.entries(FIELDS)) {
    for (const field of fields) {
      for (const value of WRONG) {
        if (field === "services" && Array.isArray(value)) continue; // an empty list
        if (field === "version" && typeof value === "bigint") continue; // another version: below
        liar.lie = { op, field, value };
        const error = await assertRejects(async () => {
          await using broker = await BrokerConnection.open(liar.service, { name: "a test" });
          if (op === "register") await broker.register(register);
          else if (op === "lookup") await broker.lookup({ name: "a" });
          else if (op === "status") await broker.status();
          else if (op === "list") await broker.list();
          else if (op === "watch") await broker.watch();
        }, InvalidReplyError);
        const last = field.split(".").at(-1)!;
        // Without an endpoint, the reply to `lookup` has a second fault.
        assertStringIncludes(error.message, `its reply to "${op}" is not valid: "${last}"`);
      }
    }
  }
});

Deno.test(
  "serve(), connect() and the agent's status say that a broker's reply is not valid",
  onLinux,
  async () => {
    await using liar = await Liar.start();
    const broker = { service: liar.service, embedded: false };
    liar.lie = { op: "hello", field: "pid", value: {} };
    await assertRejects(() => serve("a", { regions, broker }), BrokerUnavailableError, `"pid"`);
    await assertRejects(() => brokerStatus(liar.service), AgentError, `"pid"`);
    liar.lie = { op: "register", field: "generation", value: "1" };
    await assertRejects(() => serve("a", { regions, broker }), BrokerUnavailableError, `"generation"`);
    liar.lie = { op: "lookup", field: "generation", value: {} };
    await assertRejects(() => connect("a", { broker }), BrokerUnavailableError, `"generation"`);
    liar.lie = { op: "status", field: "uptime", value: [] };
    await assertRejects(() => brokerStatus(liar.service), AgentError, `"uptime"`);
    liar.lie = { op: "list", field: "services.since", value: {} };
    await assertRejects(() => brokerStatus(liar.service), AgentError, `"since"`);
  },
);

Deno.test("a server ignores events that are not valid", onLinux, async () => {
  await using liar = await Liar.start();
  await using server = await serve("a", { regions, broker: { service: liar.service, embedded: false } });
  const replaced = { event: "replaced", name: "a", generation: 1n, by: 2n, pid: 7n };
  for (const field of ["event", "name", "generation", "by", "pid"]) {
    for (const value of WRONG) liar.send({ ...replaced, [field]: value });
  }
  liar.send({});
  liar.send({ event: "another" });
  liar.send(replaced);
  const reason = await server.closed;
  assertEquals([reason?.name, (reason as { pid?: number } | undefined)?.pid], ["NameTakenError", 7]);
});

Deno.test(
  "a server that was replaced hears of it, also before the reply to its registration",
  onLinux,
  async () => {
    await using liar = await Liar.start();
    liar.before = (op) => {
      if (op !== "register") return;
      liar.send({ event: "replaced", name: "a", generation: 1n, by: 2n, pid: 7n });
    };
    await using server = await serve("a", { regions, broker: { service: liar.service, embedded: false } });
    const reason = await server.closed;
    assertEquals([reason?.name, (reason as { pid?: number } | undefined)?.pid], ["NameTakenError", 7]);
  },
);

Deno.test("strangers find each other while the app that runs their broker is busy", onLinux, async () => {
  const folder = await Deno.makeTempDir({ prefix: "xpc-shmem-busy-" });
  const broker = uniqueService();
  try {
    const pipe = `${folder}/pipe`;
    assertEquals((await new Deno.Command("mkfifo", { args: [pipe] }).output()).code, 0);
    await using busy = new App("busy_app.ts");
    await busy.call("serve", { name: "busy", broker });
    const blocked = busy.call("block", { pipe });
    const writer = await Deno.open(pipe, { write: true }); // opens once the app reads: its event loop stands
    await using server = new App();
    await using client = new App();
    const common = { name: "strangers", broker, embedded: false, regions, timeout: 30_000 };
    await server.call("serve", common);
    assertEquals(await client.call("connect", common), server.pid);
    writer.close();
    await blocked;
  } finally {
    await Deno.remove(folder, { recursive: true });
    removeTraces(broker);
  }
});

for (const flags of [["--allow-ffi"], ["-A"]]) {
  Deno.test(`an app that ran the broker ends by itself and prints nothing: ${flags}`, onLinux, async () => {
    const service = uniqueService();
    const program = `
      import { connect, serve } from "${new URL("../../mod.ts", import.meta.url)}";
      const broker = { service: "${service}" };
      {
        await using _server = await serve("a", { broker, regions: { frame: { byteLength: 4096 } } });
        await using _client = await connect("a", { broker });
      }
      console.log("closed");`;
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    try {
      await Deno.writeTextFile(file, program);
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "--quiet", "--no-prompt", "--no-check", "--no-config", "--no-lock", ...flags, file],
      }).output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assertEquals([code, out, err], [0, "closed\n", ""]);
    } finally {
      await Deno.remove(file);
      removeTraces(service);
    }
  });
}
