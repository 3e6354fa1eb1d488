/** Regions that workers attach to: `region.share()` and `attach()`. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { attach, connect, PeerGoneError, serve, type SharedRegion, type WritableRegion } from "../../mod.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";
import type { Task } from "../support/attached_worker.ts";

/** How long a wait of these tests may take that must end, in milliseconds. */
const LONG = 60_000;

/** What a worker answers. */
interface Answer {
  readonly value?: unknown;
  readonly error?: string;
  readonly message?: string;
}

/** A worker that does what it is told, one thing after the other. Terminated at the end of its scope. */
class Attached implements Disposable {
  readonly #worker = new Worker(new URL("../support/attached_worker.ts", import.meta.url), {
    type: "module",
  });
  readonly #answers: Answer[] = [];
  #next: (() => void) | undefined;

  constructor() {
    this.#worker.onerror = (event) => event.preventDefault(); // it throws since it was told to
    this.#worker.onmessage = ({ data }) => {
      this.#answers.push(data);
      this.#next?.();
    };
  }

  static async to(message: SharedRegion): Promise<Attached> {
    const worker = new Attached();
    await worker.call({ op: "attach", message });
    return worker;
  }

  start(task: Task): void {
    this.#worker.postMessage(task);
  }

  async answer(): Promise<Answer> {
    while (this.#answers.length === 0) {
      await new Promise<void>((resolve) => this.#next = resolve);
    }
    return this.#answers.shift()!;
  }

  async call(task: Task): Promise<unknown> {
    this.start(task);
    const { value, error, message } = await this.answer();
    assertEquals(error, undefined, message);
    return value;
  }

  /** Starts something that waits, and returns when the worker is about to. */
  async wait(task: Task): Promise<void> {
    assertEquals(await this.call(task), "waits");
  }

  terminate(): void {
    this.#worker.terminate();
  }

  [Symbol.dispose](): void {
    this.terminate();
  }
}

/** Whose region is shared. */
type Side = "server" | "client";
const SIDES: readonly Side[] = ["server", "client"];

/** A service, and its region on both sides. */
async function pair(
  use: (shared: WritableRegion, other: WritableRegion) => Promise<void>,
  side: Side,
): Promise<void> {
  const name = uniqueName("attach");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: { frame: { byteLength: 4096 } } });
  await using client = await connect(name, { broker });
  const theirs = await client.open("frame", { write: true });
  const ours = server.region("frame");
  await (side === "server" ? use(ours, theirs) : use(theirs, ours));
}

/** A test for a region of either side. */
function testBoth(what: string, use: (shared: WritableRegion, other: WritableRegion) => Promise<void>): void {
  for (const side of SIDES) Deno.test(`${what}, of a ${side}`, async () => await pair(use, side));
}

testBoth("a worker writes, commits and reads a region that was shared", async (shared, other) => {
  using worker = new Attached();
  const seen = other.changes().next();
  const heard = shared.changes().next(); // parked before it is shared
  const found = await worker.call({ op: "attach", message: shared.share() });
  assertEquals(found, { name: "frame", byteLength: 4096, revision: 0 });
  assertEquals(await worker.call({ op: "write", value: 7 }), 1);
  assertEquals((await seen).value?.revision, 1);
  assertEquals((await heard).value?.revision, 1);
  assertEquals([shared.view(Uint8Array)[4095], other.view(Uint8Array)[4095]], [7, 7]);
  other.view(Uint8Array)[0] = 8;
  assertEquals(await worker.call({ op: "read" }), 8);
});

testBoth("waits in a worker see the commits of all", async (shared, other) => {
  using worker = await Attached.to(shared.share());
  using second = await Attached.to(shared.share());
  const ops = ["waitSync", "waitAny", "change"] as const;
  let revision = 0;
  for (const op of ops) {
    for (
      const commit of [
        () => shared.commit(),
        () => other.commit(),
        () => second.call({ op: "write", value: 1 }),
      ]
    ) {
      await worker.wait({ op, after: revision });
      assertEquals(await commit(), ++revision);
      const { value } = await worker.answer();
      if (op === "waitAny") assertEquals(value, 0);
      else assertEquals(value, revision);
    }
  }
});

testBoth("realms exclude each other by the mutex", async (shared, other) => {
  using worker = await Attached.to(shared.share());
  using second = await Attached.to(shared.share());
  for (const op of ["lock", "lockSync"] as const) {
    if (op === "lock") assertEquals(await worker.call({ op }), false);
    else {
      await worker.wait({ op });
      assertEquals(await worker.answer(), { value: false });
    }
    assertEquals([shared.mutex.tryLock(), other.mutex.tryLock()], [undefined, undefined]);
    const error = assertThrows(() => shared.mutex.lockSync({ timeout: 1 }), DOMException);
    assert(error.message.includes(`process ${Deno.pid} holds it`), error.message);
    await second.wait({ op: "lockLater" });
    await worker.call({ op: "unlock" });
    assertEquals(await second.answer(), { value: false });
    const locked = shared.mutex.lock({ timeout: LONG });
    await second.call({ op: "unlock" });
    (await locked).unlock();
  }
  {
    using _ = other.mutex.tryLock();
    await worker.wait({ op: "lockSync" });
  }
  assertEquals(await worker.answer(), { value: false });
  await worker.call({ op: "unlock" });
});

testBoth("copyChanges() waits for another realm that holds the mutex", async (shared) => {
  using worker = await Attached.to(shared.share());
  await worker.call({ op: "write", value: 3 });
  await worker.call({ op: "lock" });
  const target = new Uint8Array(shared.byteLength);
  assertThrows(() => shared.copyChanges(target, 0, { timeout: 20 }), DOMException);
  assertEquals(await worker.call({ op: "copy", timeout: 20 }), 3, "its own lock does not hold it up");
  await worker.call({ op: "unlock" });
  shared.copyChanges(target);
  assertEquals(target[0], 3);
  {
    using _ = shared.mutex.tryLock();
    worker.start({ op: "copy", timeout: 20 });
    assertEquals((await worker.answer()).error, "TimeoutError");
  }
});

for (const death of ["terminate", "close", "throw", "reject"] as const) {
  testBoth(`a worker that ends by ${death} gives back what it holds`, async (shared, other) => {
    for (const locker of [shared, other]) {
      using worker = await Attached.to(shared.share());
      using waiter = await Attached.to(shared.share());
      assertEquals(await worker.call({ op: "lock" }), false);
      const waits = locker.mutex.lock({ timeout: LONG });
      if (death === "terminate") worker.terminate();
      else worker.start({ op: "die", death });
      {
        using guard = await waits;
        assert(guard.abandoned);
        await waiter.wait({ op: "lockSync" });
      }
      assertEquals(await waiter.answer(), { value: false });
      await waiter.call({ op: "unlock" });
    }
    // The realms that live are as they were.
    assertEquals([shared.commit(), other.commit()], [1, 2]);
  });
}

testBoth("a worker that dies while it waits leaves the mutex as it is", async (shared, other) => {
  const locked = await other.mutex.lock();
  {
    using worker = await Attached.to(shared.share());
    await worker.wait({ op: "lockLater" });
    using survivor = await Attached.to(shared.share());
    await survivor.wait({ op: "lockSync" });
    worker.terminate();
    locked.unlock();
    // The dead one may have got the mutex first.
    assertEquals(typeof (await survivor.answer()).value, "boolean");
  }
  using _ = await shared.mutex.lock({ timeout: LONG });
});

testBoth("close() detaches the views of a worker, and ends its waits", async (shared, other) => {
  const message = shared.share();
  using viewer = await Attached.to(message);
  assertEquals(await viewer.call({ op: "view" }), 4096);
  viewer.start({ op: "closed" });
  const waits: readonly Task[] = [
    { op: "waitSync", after: 0 },
    { op: "waitAny", after: 0 },
    { op: "change", after: 0 },
    { op: "lockSync" },
    { op: "lockLater" },
  ];
  const _held = await other.mutex.lock();
  using stack = new DisposableStack();
  const waiters: Attached[] = [];
  for (const wait of waits) {
    const worker = stack.use(await Attached.to(message));
    await worker.wait(wait);
    waiters.push(worker);
  }
  await shared.close();
  assertEquals(await viewer.answer(), { value: 0 });
  for (const [index, worker] of waiters.entries()) {
    const { value, error } = await worker.answer();
    if (waits[index]!.op === "change") assertEquals(value, "done");
    else assertEquals(error, "TypeError", waits[index]!.op);
  }
  for (const worker of [viewer, ...waiters]) {
    worker.start({ op: "read" });
    assertEquals((await worker.answer()).error, "TypeError");
  }
  await assertRejects(() => attach(message), TypeError, "closed");
});

testBoth("close() waits for a worker that is busy, whose views stay until then", async (shared, other) => {
  using worker = await Attached.to(shared.share());
  await worker.wait({ op: "spin" });
  let isClosed = false;
  const closing = shared.close().then(() => isClosed = true);
  // A close that does not wait would be over: the waits of this realm end at once.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
  assertEquals(isClosed, false);
  Atomics.store(other.view(Uint8Array), 0, 1);
  await closing;
  assertEquals(await worker.answer(), { value: 4096 });
});

Deno.test("a killed server ends the waits in a worker of a client, which keeps the memory", async () => {
  const broker = brokerName();
  const name = uniqueName("attach");
  await using app = new App();
  await app.call("serve", { name, broker, regions: { frame: { byteLength: 4096 } } });
  await using client = await connect(name, { broker: { service: broker } });
  const frame = await client.open("frame", { write: true });
  const message = frame.share();
  using sleeper = await Attached.to(message);
  using listener = await Attached.to(message);
  using locker = await Attached.to(message);
  frame.view(Uint8Array)[0] = 9;
  await sleeper.wait({ op: "waitSync", after: 0 });
  await listener.wait({ op: "changes" });
  assertEquals(await locker.call({ op: "lock" }), false);
  await app.kill();
  assertEquals((await sleeper.answer()).error, "PeerGoneError");
  assertEquals((await listener.answer()).error, "PeerGoneError");
  assertEquals(await sleeper.call({ op: "read" }), 9);
  await locker.call({ op: "unlock" });
  await assertRejects(() => attach(message), TypeError, "its server is gone");
  await frame.close();
  sleeper.start({ op: "read" });
  assertEquals((await sleeper.answer()).error, "TypeError");
});

Deno.test("a realm that dies has shared nothing any more: others are orphaned", async () => {
  const broker = brokerName();
  const name = uniqueName("attach");
  await using server = await serve(name, {
    broker: { service: broker },
    regions: { frame: { byteLength: 4096 } },
  });
  using owner = new Attached();
  const message = await owner.call({ op: "connect", name, broker }) as SharedRegion<"write">;
  await using frame = await attach(message);
  frame.view(Uint8Array)[0] = 4;
  const waits = assertRejects(() => frame.changes().next(), PeerGoneError);
  owner.terminate();
  await waits;
  assert(frame.orphaned);
  assertEquals(frame.view(Uint8Array)[0], 4);
  using guard = await server.region("frame").mutex.lock({ timeout: LONG });
  assert(guard.abandoned);
  await assertRejects(() => attach(message), TypeError);
});

testBoth("a worker may close the region for itself, and attach again", async (shared) => {
  const message = shared.share();
  using worker = await Attached.to(message);
  assertEquals(await worker.call({ op: "lock" }), false);
  await worker.call({ op: "close" });
  using _ = await shared.mutex.lock({ timeout: LONG });
  assertEquals(shared.view(Uint8Array).length, 4096);
  const again = await worker.call({ op: "attach", message });
  assertEquals((again as { name: string }).name, "frame");
  using third = await Attached.to(await worker.call({ op: "share" }) as SharedRegion);
  assertEquals(await third.call({ op: "read" }), 0);
});

testBoth("workers, their app and the other side count under the mutex", async (shared, other) => {
  const rounds = 300;
  using stack = new DisposableStack();
  const workers: Attached[] = [];
  for (let each = 0; each < 3; each++) workers.push(stack.use(await Attached.to(shared.share())));
  for (const [index, worker] of workers.entries()) {
    worker.start({ op: "count", rounds, how: index % 2 === 0 ? "sync" : "async" });
  }
  const count = async (region: WritableRegion): Promise<void> => {
    const numbers = region.view(Float64Array);
    for (let round = 0; round < rounds; round++) {
      await region.mutex.with(() => {
        numbers[1] = numbers[0]! + 1;
        numbers[0] = numbers[1];
        region.commit();
      });
    }
  };
  await Promise.all([count(shared), count(other), ...workers.map((worker) => worker.answer())]);
  assertEquals(shared.view(Float64Array)[0], rounds * 5);
  assertEquals(shared.revision, rounds * 5);
});

testBoth("workers that come and go leave no mapping behind", async (shared) => {
  const mappings = async (): Promise<number> => {
    const maps = await Deno.readTextFile("/proc/self/maps");
    return maps.split("\n").filter((line) => line.includes("memfd:")).length;
  };
  if (Deno.build.os !== "linux") return;
  const message = shared.share();
  const before = await mappings();
  for (let round = 0; round < 6; round++) {
    using worker = await Attached.to(message);
    assertEquals(await worker.call({ op: "view" }), 4096);
    assert(await mappings() > before);
    if (round % 2 === 0) await worker.call({ op: "close" });
    worker.terminate();
  }
  await shared.close(); // has waited for all of them
  assert(await mappings() < before);
});

Deno.test("a message that share() has not given is refused", async () => {
  await pair(async (shared) => {
    const message = shared.share();
    const { secret: [first, second] } = message;
    const forged: readonly unknown[] = [
      undefined,
      "frame",
      {},
      { ...message, secret: undefined },
      { ...message, id: -1 },
      { ...message, id: message.id + 0.5 },
      { ...message, secret: [first, second ^ 1n] },
      { ...message, secret: [first ^ 1n, second] },
      { ...message, id: message.id + 1_000_000 },
      { ...message, process: Deno.pid + 1 },
    ];
    for (const each of forged) {
      await assertRejects(() => attach(each as SharedRegion), TypeError, "Cannot attach");
    }
    await using same = await attach(message);
    assertEquals(same.name, "frame");
  }, "server");
});

Deno.test("what was shared to be read is read in a worker, whatever the message says", async () => {
  const name = uniqueName("attach");
  const broker = { service: brokerName() };
  await using server = await serve(name, {
    broker,
    regions: { frame: { byteLength: 4096, clients: "read" } },
  });
  await using client = await connect(name, { broker });
  const frame = await client.open("frame");
  const message = { ...frame.share(), access: "write" } as const;
  using worker = await Attached.to(message);
  worker.start({ op: "write", value: 1 });
  assertEquals((await worker.answer()).error, "NotCapable");
  await worker.wait({ op: "waitSync", after: 0 });
  server.region("frame").view(Uint8Array)[0] = 5;
  server.region("frame").commit();
  assertEquals(await worker.answer(), { value: 1 });
  assertEquals(await worker.call({ op: "read" }), 5);
  // The server's own worker writes what clients only read.
  using writer = await Attached.to(server.region("frame").share());
  await worker.wait({ op: "change", after: 1 });
  assertEquals(await writer.call({ op: "write", value: 6 }), 2);
  assertEquals(await worker.answer(), { value: 2 });
  assertEquals(await worker.call({ op: "read" }), 6);
});
