import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connect, type Mutex, serve } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, uniqueName } from "../support/process.ts";

await load(); // before the tests: the library stays open, which the resource sanitizer would take for a leak

/** The mutex of one region, of the server and of a client in this process. */
async function mutexes(): Promise<AsyncDisposable & { ours: Mutex; theirs: Mutex; close(): Promise<void> }> {
  await using stack = new AsyncDisposableStack();
  const broker = { service: brokerName() };
  const regions = { frame: { byteLength: 4096 } };
  const server = stack.use(await serve(uniqueName("with"), { regions, broker }));
  const client = stack.use(await connect(server.name, { broker }));
  const ours = server.region("frame");
  const theirs = await client.open("frame", { write: true });
  const held = stack.move();
  return {
    ours: ours.mutex,
    theirs: theirs.mutex,
    close: () => ours.close(),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

function isFree(mutex: Mutex): boolean {
  const guard = mutex.tryLock();
  guard?.unlock();
  return guard !== undefined;
}

Deno.test("Mutex.with() runs a function at once, and unlocks after it", async () => {
  await using both = await mutexes();
  const { ours, theirs } = both;
  for (const run of ["with", "withSync"] as const) {
    const result = ours[run](({ abandoned }) => {
      assert(ours.held && !isFree(theirs));
      return [abandoned, 7];
    });
    assertEquals(result, [false, 7]);
    assert(!ours.held && isFree(theirs));
    assertThrows(() => ours[run](() => assert(false, "of the test")), Error, "of the test");
    assert(isFree(theirs));
  }
});

Deno.test("Mutex.with() holds the mutex until a promise of the function is settled", async () => {
  await using both = await mutexes();
  const { ours, theirs } = both;
  for (const run of ["with", "withSync"] as const) {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const result = ours[run](() => promise);
    assert(result instanceof Promise && !isFree(theirs));
    resolve(3);
    assertEquals(await result, 3);
    assert(isFree(theirs));
    const failing = Promise.withResolvers<number>();
    const failed = assertRejects(async () => await ours[run](() => failing.promise), Error, "of the test");
    assert(!isFree(theirs));
    failing.reject(new Error("of the test"));
    await failed;
    assert(isFree(theirs));
    reject(); // settled already
  }
  const thenable = { then: (resolve: (value: number) => void) => resolve(5) };
  assertEquals(await ours.with(() => thenable as PromiseLike<number>), 5);
  assert(isFree(theirs));
});

Deno.test("Mutex.with() waits where another holds the mutex, and calls get their turns", async () => {
  await using both = await mutexes();
  const { ours, theirs } = both;
  const guard = theirs.lockSync();
  const order: number[] = [];
  const runs = [1, 2, 3].map((number) => ours.with(() => order.push(number)));
  assert(runs.every((run) => run instanceof Promise) && order.length === 0);
  await assertRejects(
    async () => await ours.with(() => assert(false), { timeout: 1 }),
    DOMException,
    "within 1 ms",
  );
  const abort = new AbortController();
  const aborted = assertRejects(
    async () => await ours.with(() => assert(false), { signal: abort.signal }),
    Error,
    "no",
  );
  abort.abort(new Error("no"));
  await aborted;
  assertThrows(() => theirs.withSync(() => assert(false)), TypeError, "would block itself");
  guard.unlock();
  assertEquals(await Promise.all(runs), [1, 2, 3]);
  assertEquals(order, [1, 2, 3]);
  await assertRejects(
    async () => await ours.with(async () => await Promise.reject(new Error("of the test"))),
    Error,
    "of the test",
  );
  assert(isFree(theirs));
});

Deno.test("Mutex.with() is not recursive: the inner call waits for the outer", async () => {
  await using both = await mutexes();
  const { ours, theirs } = both;
  let inner: unknown;
  ours.with(() => {
    inner = ours.with(() => 2);
    assertThrows(() => ours.withSync(() => 3), TypeError, "would block itself");
  });
  assert(inner instanceof Promise);
  assertEquals(await inner, 2);
  assert(isFree(theirs));
});

Deno.test("Mutex.with() checks its arguments before it locks", async () => {
  await using both = await mutexes();
  const { ours, theirs, close } = both;
  assertThrows(() => ours.with(1 as never), TypeError, "not a function");
  assertThrows(() => ours.withSync(undefined as never), TypeError, "not a function");
  assertThrows(() => ours.with(() => 1, { timeout: -1 }), RangeError, "`timeout`");
  assertThrows(() => ours.with(() => 1, { spin: -1 }), RangeError, "`spin`");
  assertThrows(() => ours.withSync(() => 1, { timeout: -1 }), RangeError, "`timeout`");
  assertThrows(() => ours.with(() => 1, { signal: AbortSignal.abort(new Error("no")) }), Error, "no");
  assert(isFree(theirs));
  await ours.with(close); // closing unlocks; nothing is unlocked twice
  assertThrows(() => ours.with(() => 1), TypeError, "the region is closed");
  assert(isFree(theirs));
});

Deno.test("Mutex.with() tells that the last holder died", async () => {
  await using server = new App();
  const name = uniqueName("with");
  const broker = brokerName();
  await server.call("serve", { name, broker, regions: { frame: { byteLength: 4096 } } });
  await using client = await connect(name, { broker: { service: broker } });
  await using dying = new App();
  await dying.call("connect", { name, broker });
  await dying.call("open", { region: "frame", write: true });
  await dying.call("lock", { region: "frame" });
  const frame = await client.open("frame", { write: true });
  const waiting = frame.mutex.with(({ abandoned }) => abandoned);
  await dying.kill();
  assertEquals(await waiting, true);
  assertEquals(frame.mutex.with(({ abandoned }) => abandoned), false);
  assertEquals(frame.mutex.withSync(({ abandoned }) => abandoned), false);
});
