/** Locks of every kind between processes: exclusion, deaths, timeouts, and waits for several. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  connect,
  type LockSpec,
  PeerGoneError,
  serve,
  type Server,
  waitAny,
  waitAnySync,
} from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, RemoteError, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

const LOCKS = {
  device: "mutex",
  catalog: "rwlock",
  budget: { semaphore: 2 },
  one: { semaphore: 1 },
  ready: { event: "manual" },
  tick: { event: "auto" },
  turn: { event: "auto", set: true },
} as const satisfies Record<string, LockSpec>;

class Setting implements AsyncDisposable {
  readonly #apps = new AsyncDisposableStack();
  readonly common = { name: uniqueName("locks"), broker: brokerName(), locks: LOCKS };

  app(): App {
    return this.#apps.use(new App("locks_app.ts"));
  }

  async server(): Promise<App> {
    const app = this.app();
    await app.call("serve", this.common);
    return app;
  }

  async client(): Promise<App> {
    const app = this.app();
    await app.call("connect", this.common);
    return app;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#apps.disposeAsync();
  }
}

/** How each kind is taken; in all of them the second taker has to wait. */
const TAKEN = [
  { lock: "device" },
  { lock: "catalog", mode: "write" },
  { lock: "one" },
] as const;

for (const sync of [false, true]) {
  const how = sync ? "sync" : "async";
  for (const taken of TAKEN) {
    Deno.test(`${taken.lock}, ${how}: excludes, times out, and is passed on between server and clients`, async () => {
      await using setting = new Setting();
      const server = await setting.server();
      const first = await setting.client();
      const second = await setting.client();
      for (const [holder, waiter] of [[server, first], [first, server], [first, second]] as const) {
        assertEquals(await holder.call("take", taken), false);
        assertEquals(await waiter.call("tryTake", taken), false);
        const error = await assertRejects(
          () => waiter.call("take", { ...taken, sync, timeout: 30 }),
          RemoteError,
          `process ${holder.pid} holds it`,
        );
        assertEquals(error.name, "TimeoutError");
        const waiting = waiter.call("take", { ...taken, sync });
        await holder.call("give", taken);
        assertEquals(await waiting, false);
        await waiter.call("give", taken);
      }
    });

    Deno.test(`${taken.lock}, ${how}: what a client held that was killed is released`, async () => {
      await using setting = new Setting();
      const server = await setting.server();
      const other = await setting.client();
      for (const survivor of [server, other]) {
        const holder = await setting.client();
        await holder.call("take", taken);
        const waiting = survivor.call("take", { ...taken, sync });
        await holder.kill();
        assertEquals(await waiting, taken.lock !== "one", "abandoned, where there is such a thing");
        await survivor.call("give", taken);
        assertEquals(await survivor.call("take", taken), false, "told once");
        await survivor.call("give", taken);
      }
    });

    Deno.test(`${taken.lock}, ${how}: a waiter that is killed leaves it to the next`, async () => {
      await using setting = new Setting();
      const server = await setting.server();
      const dying = await setting.client();
      const next = await setting.client();
      await server.call("take", taken);
      await dying.call("open", taken); // so that the call below waits when it is sent
      dying.call("take", { ...taken, sync }).catch(() => {});
      const waiting = next.call("take", { ...taken, sync });
      await dying.kill();
      await server.call("give", taken);
      assertEquals(await waiting, false);
    });

    Deno.test(`${taken.lock}, ${how}: waits end when the server is killed`, async () => {
      await using setting = new Setting();
      const server = await setting.server();
      const holder = await setting.client();
      const waiter = await setting.client();
      await holder.call("take", taken);
      await waiter.call("open", taken);
      const waiting = assertRejects(() => waiter.call("take", { ...taken, sync }), RemoteError);
      const gone = waiter.call("closed", taken);
      gone.catch(() => {});
      await server.kill();
      assertEquals((await waiting).name, "PeerGoneError");
      assertEquals(await gone, "PeerGoneError");
      const again = await assertRejects(() => waiter.call("tryTake", taken), RemoteError);
      assertEquals(again.name, "PeerGoneError");
    });
  }

  Deno.test(`8 processes count under each lock, ${how} and mixed, and lose nothing`, async () => {
    await using setting = new Setting();
    const server = await setting.server();
    const clients = await Promise.all(Array.from({ length: 7 }, () => setting.client()));
    let sum = 0;
    for (const taken of [...TAKEN, { lock: "turn" }]) {
      const turns = 40;
      await Promise.all([server, ...clients].map((app) => {
        return app.call("count_up", { ...taken, turns, sync: sync ? "both" : false });
      }));
      sum += 8 * turns;
      assertEquals(await server.call("word"), sum);
    }
  });

  Deno.test(`a reader lets readers in, and a writer that waits keeps them out, ${how}`, async () => {
    await using setting = new Setting();
    const server = await setting.server();
    const [a, b, writer] = [await setting.client(), await setting.client(), await setting.client()];
    const read = { lock: "catalog", mode: "read" };
    const write = { lock: "catalog", mode: "write" };
    await a.call("take", read);
    assertEquals(await b.call("tryTake", read), true);
    assertEquals(await server.call("count", read), 2);
    const writing = writer.call("take", { ...write, sync });
    await until(async () => {
      const isIn = await server.call("tryTake", read);
      if (isIn) await server.call("give", read);
      return !isIn;
    });
    const reading = server.call("take", read); // async: the server must answer other calls
    await a.call("give", read);
    await b.call("give", read);
    assertEquals(await writing, false);
    assertEquals(await b.call("tryTake", read), false);
    await writer.call("give", write);
    assertEquals(await reading, false);
  });

  Deno.test(`a waiting writer that is killed lets the readers in, ${how}`, async () => {
    await using setting = new Setting();
    await setting.server();
    const [a, b, writer] = [await setting.client(), await setting.client(), await setting.client()];
    const read = { lock: "catalog", mode: "read" };
    await a.call("take", read);
    await writer.call("open", read);
    writer.call("take", { lock: "catalog", mode: "write", sync }).catch(() => {});
    await until(async () => {
      const isIn = await b.call("tryTake", read);
      if (isIn) await b.call("give", read);
      return !isIn;
    });
    const reading = b.call("take", { ...read, sync });
    await writer.kill();
    assertEquals(await reading, false, "nothing was abandoned: it had not written");
  });

  Deno.test(`events, ${how}: manual lets all through until it is reset, auto one each time`, async () => {
    await using setting = new Setting();
    const server = await setting.server();
    const clients = [await setting.client(), await setting.client()];
    for (const lock of ["ready", "tick"]) for (const app of clients) await app.call("open", { lock });
    const ready = clients.map((app) => app.call("take", { lock: "ready", sync }));
    await server.call("set", { lock: "ready" });
    await Promise.all(ready);
    assertEquals(await clients[0]!.call("tryTake", { lock: "ready" }), true);
    await clients[1]!.call("reset", { lock: "ready" });
    assertEquals(await clients[0]!.call("tryTake", { lock: "ready" }), false);
    let passed = 0;
    const ticks = clients.map((app) => app.call("take", { lock: "tick", sync }).then(() => passed++));
    await server.call("set", { lock: "tick" });
    await Promise.race(ticks);
    assertEquals([passed, await server.call("tryTake", { lock: "tick" })], [1, false]);
    await server.call("set", { lock: "tick" });
    await Promise.all(ticks);
  });

  Deno.test(`waitAny(), ${how}: the first that is ready, of every kind, and no other is taken`, async () => {
    await using setting = new Setting();
    const server = await setting.server();
    const client = await setting.client();
    const items = ["ready", "tick", "device", "catalog:write", "one", "region:frame"];
    for (const lock of ["device", "one"]) await server.call("take", { lock });
    await server.call("take", { lock: "catalog", mode: "read" });
    const makeReady = [
      () => server.call("set", { lock: "tick" }),
      () => server.call("give", { lock: "device" }),
      () => server.call("give", { lock: "catalog" }),
      () => server.call("give", { lock: "one" }),
      () => server.call("commit", { region: "frame" }),
    ];
    await assertRejects(
      () => client.call("any", { items, sync, timeout: 20 }),
      RemoteError,
      "one of 6 things",
    );
    for (const [index, make] of makeReady.entries()) {
      const waiting = client.call("any", { items, sync });
      await make();
      assertEquals(await waiting, index + 1);
      const lock = items[index + 1]!;
      if (index === 1 || index === 2 || index === 3) {
        assertEquals(await client.call("adopt", { lock }), false);
      }
      // Held by the client from now on, so that it is not ready again.
    }
    assertEquals(await server.call("tryTake", { lock: "catalog", mode: "read" }), false, "the client writes");
    await client.kill();
    assertEquals(await server.call("take", { lock: "catalog", mode: "write" }), true);
    assertEquals(await server.call("take", { lock: "device" }), true);
  });

  Deno.test(`waitAny(), ${how}: ends when a holder is killed, and when the server is`, async () => {
    await using setting = new Setting();
    const server = await setting.server();
    const [holder, waiter] = [await setting.client(), await setting.client()];
    await holder.call("take", { lock: "device" });
    await holder.call("take", { lock: "one" });
    await waiter.call("open", { lock: "device" });
    const waiting = waiter.call("any", { items: ["ready", "device", "region:frame"], sync });
    await holder.kill();
    assertEquals(await waiting, 1);
    assertEquals(await waiter.call("adopt", { lock: "device" }), true);
    await waiter.call("give", { lock: "device" });
    await server.call("take", { lock: "one" });
    await waiter.call("open", { lock: "one" });
    const held = await setting.client();
    await held.call("take", { lock: "device" }); // it lives on, and holds on to it
    const failing = assertRejects(
      () => waiter.call("any", { items: ["ready", "one", "device", "region:frame"], sync }),
      RemoteError,
    );
    await server.kill();
    assertEquals((await failing).name, "PeerGoneError");
  });
}

Deno.test("a client may start before its server", async () => {
  await using setting = new Setting();
  const client = setting.app();
  const connecting = client.call("connect", setting.common);
  const server = await setting.server();
  await connecting;
  await server.call("take", { lock: "budget" });
  assertEquals(await client.call("tryTake", { lock: "budget" }), true);
  assertEquals(await client.call("tryTake", { lock: "budget" }), false);
  assertEquals(await server.call("count", { lock: "budget" }), 0);
});

Deno.test("a client and a lock that close give back what they hold, and nothing is abandoned", async () => {
  await using setting = new Setting();
  const server = await setting.server();
  const client = await setting.client();
  for (const taken of TAKEN) {
    await client.call("take", taken);
    await client.call("closeLock", taken);
    assertEquals(await server.call("take", taken), false);
    await server.call("give", taken);
    await client.call("take", taken);
  }
  await client.end();
  for (const taken of TAKEN) assertEquals(await server.call("take", taken), false);
});

Deno.test("a synchronous wait of the server sees the death of a client while it blocks the event loop", async () => {
  await using setting = new Setting();
  const server = await setting.server();
  for (const taken of TAKEN) {
    const client = await setting.client();
    await client.call("take", taken);
    const waiting = server.call("take", { ...taken, sync: true });
    await client.kill();
    await waiting;
    await server.call("give", taken);
  }
});

Deno.test("a lock passes between clients while the server's event loop stands still", async () => {
  await using setting = new Setting();
  const server = await setting.server();
  const [a, b] = [await setting.client(), await setting.client()];
  for (const taken of TAKEN) await b.call("open", taken);
  await server.call("open", { lock: "ready" });
  await a.call("open", { lock: "ready" });
  for (const taken of TAKEN) await a.call("take", taken);
  const blocked = server.call("take", { lock: "ready", sync: true });
  for (const taken of TAKEN) {
    const waiting = b.call("take", taken);
    await a.call("give", taken);
    assertEquals(await waiting, false);
  }
  await a.call("set", { lock: "ready" });
  await blocked;
});

/** Resolves when `is` says so: nothing tells when a word in another process changes. */
async function until(is: () => Promise<boolean>): Promise<void> {
  while (!await is()) await Promise.resolve();
}

/* ------------------------------------------------------------------------------------ in one process ---- */

async function open(): Promise<
  AsyncDisposable & { server: Server; client: Awaited<ReturnType<typeof connect>> }
> {
  await using stack = new AsyncDisposableStack();
  const name = uniqueName("locks");
  const broker = { service: brokerName() };
  const server = stack.use(
    await serve(name, { locks: LOCKS, regions: { frame: { byteLength: 64 } }, broker }),
  );
  const client = stack.use(await connect(name, { broker }));
  const held = stack.move();
  return { server, client, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

Deno.test("what a worker held that was terminated is released, and it takes nothing any more", async () => {
  const name = uniqueName("locks");
  const broker = brokerName();
  await using server = await serve(name, { locks: LOCKS, broker: { service: broker } });
  using device = await server.lock("device", "mutex").lock();
  const worker = new Worker(new URL("../support/locks_worker.ts", import.meta.url), { type: "module" });
  await new Promise((resolve) => {
    worker.onmessage = resolve;
    worker.postMessage({ name, broker });
  });
  const catalog = server.lock("catalog", "rwlock");
  assertEquals(catalog.tryRead(), undefined);
  worker.terminate();
  {
    using guard = await catalog.write();
    assert(guard.abandoned);
  }
  (await server.lock("one", "semaphore").acquire()).unlock();
  device.unlock();
  const tick = server.lock("tick", "auto");
  tick.set();
  assert(tick.tryWait() && server.lock("device", "mutex").tryLock() !== undefined);
});

Deno.test("waits end with their signal and with close(), and take nothing any more", async () => {
  await using pair = await open();
  const { server, client } = pair;
  const catalog = await client.lock("catalog", "rwlock");
  const budget = await client.lock("budget", "semaphore");
  const reader = await server.lock("catalog", "rwlock").read();
  const abort = new AbortController();
  const options = { signal: abort.signal };
  const waits = [catalog.write(options), waitAny([catalog.writing], options)];
  assertEquals(server.lock("catalog", "rwlock").tryRead(), undefined, "a writer waits");
  abort.abort(new Error("changed my mind"));
  for (const wait of waits) await assertRejects(() => wait, Error, "changed my mind");
  await assertRejects(() => catalog.write(options), Error, "changed my mind");
  server.lock("catalog", "rwlock").tryRead()!.unlock();
  const closing = [catalog.write(), waitAny([catalog.writing])];
  const failed = closing.map((wait) => assertRejects(() => wait, TypeError, "it is closed"));
  await catalog.close();
  await Promise.all(failed);
  assertThrows(() => catalog.tryRead(), TypeError, "it is closed");
  assert(!catalog.orphaned && await catalog.closed === undefined);
  server.lock("catalog", "rwlock").tryRead()!.unlock();
  reader.unlock();
  reader.unlock(); // idempotent
  assertEquals(server.lock("catalog", "rwlock").readers, 0);
  assertEquals(budget.available, 2);
});

Deno.test("acquire() in one realm is in order, and an abort takes out its own place only", async () => {
  await using pair = await open();
  const one = await pair.client.lock("one", "semaphore");
  const first = await one.acquire();
  const order: number[] = [];
  const abort = new AbortController();
  const waits = [1, 2, 3].map(async (number) => {
    using _ = await one.acquire(number === 2 ? { signal: abort.signal } : {});
    order.push(number);
  });
  abort.abort(new Error("changed my mind"));
  await assertRejects(() => waits[1]!, Error, "changed my mind");
  first.unlock();
  await Promise.all([waits[0], waits[2]]);
  assertEquals(order, [1, 3]);
});

Deno.test("a synchronous wait that would block itself is refused", async () => {
  await using pair = await open();
  const { client } = pair;
  const catalog = await client.lock("catalog", "rwlock");
  const again = await client.lock("catalog", "rwlock");
  const one = await client.lock("one", "semaphore");
  {
    using _ = await catalog.read();
    assertThrows(() => again.writeSync(), TypeError, "would block itself");
    again.readSync().unlock();
  }
  {
    using _ = await catalog.write();
    assertThrows(() => again.readSync(), TypeError, "would block itself");
  }
  using _ = await one.acquire();
  assertThrows(() => one.acquireSync(), TypeError, "would block itself");
});

Deno.test("what waitAny() took and nobody adopted is given back by close(); adopt() is for that alone", async () => {
  await using pair = await open();
  const { server, client } = pair;
  const one = await client.lock("one", "semaphore");
  const device = await client.lock("device", "mutex");
  assertThrows(() => one.adopt(), TypeError, "no waitAny() has taken it");
  assertThrows(() => device.adopt(), TypeError, "no waitAny() has taken it");
  assertEquals(await waitAny([one, device]), 0);
  assertEquals(waitAnySync([one, device]), 1);
  assertEquals([one.available, device.held], [0, true]);
  await one.close();
  await device.close();
  server.lock("one", "semaphore").tryAcquire()!.unlock();
  server.lock("device", "mutex").tryLock()!.unlock();
});

Deno.test("waitAny() with regions: what was told is not told again, and `after` says what is known", async () => {
  await using pair = await open();
  const { server, client } = pair;
  const frame = await client.open("frame");
  const ready = await client.lock("ready", "manual");
  server.region("frame").commit();
  assertEquals(await waitAny([ready, frame]), 1);
  await assertRejects(() => waitAny([ready, frame], { timeout: 5 }), DOMException, "within 5 ms");
  assertEquals(await waitAny([ready, { region: frame, after: 0 }]), 1);
  assertThrows(() => waitAnySync([{ region: frame, after: 1 }], { timeout: 5 }), DOMException, "within 5 ms");
  const waiting = waitAny([{ region: frame, after: 1 }]);
  server.region("frame").commit();
  assertEquals(await waiting, 0);
  const closing = assertRejects(
    () => waitAny([ready, { region: frame, after: 2 }]),
    TypeError,
    "it is closed",
  );
  await frame.close();
  await closing;
});

Deno.test("locks that are none, and things that nobody can wait for, are refused with words", async () => {
  await using pair = await open();
  const { server, client } = pair;
  const name = uniqueName("locks");
  // deno-lint-ignore no-explicit-any -- wrong on purpose
  const wrong = (spec: any) => serve(name, { locks: { wrong: spec } });
  await assertRejects(() => wrong("futex"), TypeError, 'Cannot make the lock "wrong"');
  await assertRejects(() => wrong({ semaphore: 0 }), RangeError, "from 1 to 1024");
  await assertRejects(() => wrong({ semaphore: 1025 }), RangeError, "from 1 to 1024");
  await assertRejects(() => wrong({ event: "manual", set: 1 }), TypeError, "`set`");
  await assertRejects(
    () => wrong({ event: "manual", semaphore: 1 }),
    TypeError,
    'Cannot make the lock "wrong"',
  );
  await assertRejects(() => client.lock("nowhere"), Deno.errors.NotFound, 'the server has "device"');
  await assertRejects(() => client.lock("device", "rwlock"), TypeError, "its server has made it");
  assertThrows(() => server.lock("nowhere"), Deno.errors.NotFound);
  assertThrows(() => server.lock("device", "auto"), TypeError, "its server has made it");
  await assertRejects(() => server.addLock("device", "mutex"), TypeError, "there is one of that name");
  await assertRejects(() => waitAny([]), RangeError, "1 to 64");
  await assertRejects(() => waitAny([{} as never]), TypeError, "item 0");
  assertEquals(server.lock("device"), server.lock("device"));
  assert((await server.addLock("later", { event: "auto", set: true })).kind === "auto");
  assert(server.locks.includes("later") && (await client.lock("later", "auto")).tryWait());
});

Deno.test("a lock of a server that closes fails with PeerGoneError, and its successor has another", async () => {
  const name = uniqueName("locks");
  const broker = { service: brokerName() };
  await using keeper = await serve(uniqueName("keeper"), { locks: {}, broker });
  assertEquals(keeper.locks, []);
  const server = await serve(name, { locks: LOCKS, broker });
  await using client = await connect(name, { broker });
  const ready = await client.lock("ready", "manual");
  const waits = [ready.wait(), waitAny([ready])].map((wait) => assertRejects(() => wait, PeerGoneError));
  await server.close();
  await Promise.all(waits);
  assert(ready.orphaned && await ready.closed instanceof PeerGoneError);
  assertThrows(() => ready.set(), PeerGoneError);
  await using _ = await serve(name, { locks: { ready: { event: "manual", set: true } }, broker });
  await (await client.lock("ready", "manual")).wait();
});
