/** Streams: what writers and readers of frames may rely on, within a process and across processes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Client,
  connect,
  type FrameLease,
  NoSlotError,
  PeerGoneError,
  serve,
  type Server,
  type StreamWriter,
} from "../../mod.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

const byteLength = 4096;
const streams = { video: { byteLength } };

/** A server and a client in this process. */
interface Both extends AsyncDisposable {
  readonly server: Server;
  readonly client: Client;
}

async function startBoth(slots = 4): Promise<Both> {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const server = await serve(name, { broker, streams: { video: { byteLength, slots } } });
  const client = await connect(name, { broker });
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

/** Publishes a frame whose bytes are all `value`. */
function publish(writer: StreamWriter, value: number): number {
  using frame = writer.loan();
  frame.view(Uint8Array).fill(value);
  return frame.publish();
}

/** A writer and a reader, each a process of its own. */
interface Apps extends AsyncDisposable {
  readonly writer: App;
  readonly reader: App;
}

async function startApps(order: "newest" | "every", options: { slots?: number } = {}): Promise<Apps> {
  const name = uniqueName("service");
  const broker = brokerName();
  const writer = new App("stream_app.ts");
  const reader = new App("stream_app.ts");
  const streams = { video: { byteLength: 65536, slots: options.slots ?? 4 } };
  await writer.call("serve", { name, broker, streams });
  await reader.call("connect", { name, broker, order });
  return {
    writer,
    reader,
    async [Symbol.asyncDispose]() {
      await reader[Symbol.asyncDispose]();
      await writer[Symbol.asyncDispose]();
    },
  };
}

Deno.test("a frame arrives with its number, timestamp, record and length, in place", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  assertEquals(video.latest(), undefined);
  {
    using frame = writer.loan();
    frame.view(Uint8Array).fill(9);
    assertEquals(
      frame.publish({ timestamp: 12.5, record: new Float32Array([1, 2, 3]), byteLength: 1000 }),
      1,
    );
  }
  using frame = video.latest();
  assert(frame !== undefined);
  assertEquals([frame.sequence, frame.dropped, frame.timestamp, frame.byteLength], [1, 0, 12.5, 1000]);
  assertEquals(frame.view(Uint8Array).length, 1000);
  assert(frame.view(Uint8Array).every((byte) => byte === 9));
  assertEquals(new Float32Array(frame.record.buffer, 0, 4), new Float32Array([1, 2, 3, 0]));
  assert(frame.valid);
});

Deno.test("what was loaned and not published is never seen", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  {
    using frame = writer.loan();
    frame.view(Uint8Array).fill(1);
  }
  assertEquals(video.latest(), undefined);
  assertEquals(publish(writer, 2), 1);
  using frame = video.latest();
  assertEquals(frame?.view(Uint8Array)[0], 2);
});

Deno.test("a reader that holds a frame keeps it whole, and does not keep the writer", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  publish(writer, 1);
  using held = video.latest();
  for (let value = 2; value < 200; value++) {
    publish(writer, value);
    assert(held!.view(Uint8Array).every((byte) => byte === 1));
  }
  assert(held!.valid);
  using newest = video.latest();
  assertEquals([newest?.sequence, newest?.dropped], [199, 197]);
});

Deno.test("loan() throws NoSlotError with the pids of those who hold, and takes back with revoke", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  const held: FrameLease[] = [];
  for (let value = 1; value <= 3; value++) {
    publish(writer, value);
    held.push(video.latest()!);
  }
  publish(writer, 4);
  const error = assertThrows(() => writer.loan(), NoSlotError);
  assertEquals(error.pids, [Deno.pid]);
  {
    using frame = writer.loan({ revoke: true });
    assertEquals(held.map(({ valid }) => valid), [false, true, true]);
    frame.view(Uint8Array).fill(5);
    frame.publish();
  }
  held[0]!.release(); // of a frame that is gone: must not touch the one that took its place
  using newest = video.latest();
  assertEquals(newest?.view(Uint8Array)[0], 5);
  for (const frame of held) frame.release();
  assertEquals(publish(writer, 6), 6);
});

Deno.test("an app that loans all slots itself is told so", async () => {
  await using both = await startBoth(2);
  const writer = both.server.stream("video");
  using _first = writer.loan();
  using _second = writer.loan();
  const error = assertThrows(() => writer.loan(), NoSlotError, "this app has loaned all others");
  assertEquals(error.pids, []);
});

Deno.test("several leases of one frame end one by one", async () => {
  await using both = await startBoth(2);
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  publish(writer, 1);
  const first = video.latest()!;
  const second = video.latest()!;
  assertEquals([first.sequence, second.sequence, second.dropped], [1, 1, 0]);
  publish(writer, 2);
  first.release();
  assertThrows(() => writer.loan(), NoSlotError);
  second.release();
  assertEquals(publish(writer, 3), 3);
});

Deno.test("thirty-two readers hold frames, and the writer goes on as long as there are slots", async () => {
  await using both = await startBoth(64);
  const writer = both.server.stream("video");
  const readers = await Promise.all(Array.from({ length: 32 }, () => both.client.stream("video")));
  assertEquals(writer.readers, 32);
  const held = readers.map((reader) => {
    const value = publish(writer, 0) % 256;
    return { value, frame: reader.latest()! };
  });
  for (let count = 0; count < 100; count++) publish(writer, 0);
  for (const { value, frame } of held) {
    assertEquals([frame.sequence % 256, frame.valid], [value, true]);
    frame.release();
  }
  await Promise.all(readers.map((reader) => reader.close()));
  assertEquals((await both.client.stream("video")).latest()?.dropped, 0);
});

Deno.test("every: frames come in their order, and what was overwritten is counted", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video", { order: "every" });
  for (let value = 1; value <= 3; value++) publish(writer, value);
  const seen: number[] = [];
  for await (using frame of video) {
    seen.push(frame.sequence);
    assertEquals(frame.view(Uint8Array)[0], frame.sequence);
    if (frame.sequence === 3) break;
  }
  assertEquals(seen, [1, 2, 3]);
  for (let value = 4; value <= 10; value++) publish(writer, value);
  using next = video.latest();
  assertEquals([next?.sequence, next?.dropped], [7, 3]);
});

Deno.test("loanAsync() waits for a reader of every frame, and ends by timeout and signal", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video", { order: "every" });
  for (let value = 1; value <= 4; value++) publish(writer, value);
  const timeout = await assertRejects(() => writer.loanAsync({ timeout: 5 }), DOMException);
  assertEquals(timeout.name, "TimeoutError");
  const reason = new Error("enough");
  const stop = new AbortController();
  const aborted = writer.loanAsync({ signal: stop.signal });
  stop.abort(reason);
  assertEquals(await assertRejects(() => aborted), reason);
  const waiting = writer.loanAsync({ timeout: 30_000 });
  video.latest()!.release();
  {
    using frame = await waiting;
    frame.publish();
  }
  assertEquals(video.latest()?.sequence, 2);
});

Deno.test("a stream that is replaced keeps its numbers, its readers follow, and leases stay readable", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  publish(writer, 1);
  using old = video.latest();
  const loaned = writer.loan();
  await both.server.replaceStream("video", { byteLength: 3 * byteLength, slots: 2 });
  assertThrows(() => loaned.publish(), TypeError, "replaced");
  loaned[Symbol.dispose]();
  assertEquals([writer.byteLength, writer.slots, writer.generation], [3 * byteLength, 2, 2]);
  assertEquals(publish(writer, 2), 2);
  for await (using frame of video) {
    assertEquals([frame.sequence, frame.byteLength, frame.dropped], [2, 3 * byteLength, 0]);
    assertEquals(frame.view(Uint8Array)[3 * byteLength - 1], 2);
    break;
  }
  assertEquals(old?.view(Uint8Array)[0], 1);
  assertEquals(video.generation, 2);
});

Deno.test("a loop over a stream ends with its signal, with the stream, and with the client", async () => {
  await using both = await startBoth();
  const reason = new Error("enough");
  const stop = new AbortController();
  const video = await both.client.stream("video", { signal: stop.signal });
  const waiting = video[Symbol.asyncIterator]().next();
  stop.abort(reason);
  assertEquals(await assertRejects(() => waiting), reason);
  const other = await both.client.stream("video");
  const ended = other[Symbol.asyncIterator]().next();
  await other.close();
  assertEquals(await ended, { value: undefined, done: true });
  assertThrows(() => other.latest(), TypeError, "closed");
  const last = await both.client.stream("video");
  const over = last[Symbol.asyncIterator]().next();
  await both.client.close();
  assertEquals(await over, { value: undefined, done: true });
});

Deno.test("a loop whose writer is quicker leaves timers their turns", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video");
  let fired = false;
  const timer = setTimeout(() => fired = true, 20);
  publish(writer, 1);
  for await (using _ of video) {
    if (fired) break;
    publish(writer, 2);
  }
  clearTimeout(timer);
  assert(fired, "the timer fired while the loop ran");
});

Deno.test("frames that were published before the server closed are read, then the loop says that it is gone", async () => {
  await using both = await startBoth();
  const writer = both.server.stream("video");
  await using video = await both.client.stream("video", { order: "every" });
  publish(writer, 1);
  publish(writer, 2);
  await both.server.close();
  const seen: number[] = [];
  await assertRejects(async () => {
    for await (using frame of video) seen.push(frame.sequence);
  }, PeerGoneError);
  assertEquals(seen, [1, 2]);
  assert(video.orphaned);
});

Deno.test("options of streams are checked before anything is touched", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const bad: [unknown, string][] = [
    [{ byteLength: "100" }, "byteLength"],
    [{ byteLength: 0 }, "byteLength"],
    [{ byteLength: 100, slots: 1 }, "slots"],
    [{ byteLength: 100, slots: 65 }, "slots"],
    [{ byteLength: 100, slots: 2.5 }, "slots"],
    [{ byteLength: 100, prefault: 1 }, "prefault"],
    [undefined, "options"],
  ];
  for (const [video, option] of bad) {
    await assertRejects(() => serve(name, { broker, streams: { video } } as never), Error, option);
  }
  await assertRejects(() => serve(name, { broker, streams: [] } as never), TypeError, "streams");
  await using server = await serve(name, { broker, streams });
  await using client = await connect(name, { broker });
  await assertRejects(() => client.stream("audio"), Deno.errors.NotFound, '"video"');
  await assertRejects(() => client.stream("video", { order: "all" } as never), TypeError, "order");
  assertThrows(() => server.stream("audio"), Deno.errors.NotFound, '"video"');
  await assertRejects(() => server.addStream("video", { byteLength }), TypeError, "replaceStream");
  using frame = server.stream("video").loan();
  assertThrows(() => frame.publish({ record: new Uint8Array(65) }), RangeError, "65 bytes");
  assertThrows(() => frame.publish({ timestamp: "now" } as never), TypeError, "timestamp");
  assertThrows(() => frame.publish({ byteLength: byteLength + 1 }), RangeError, "byteLength");
  assertThrows(() => frame.view(Uint8Array, 0, byteLength + 1), RangeError, "a frame of");
  assertEquals(frame.publish(), 1);
  assertThrows(() => frame.publish(), TypeError, "published");
});

Deno.test("memory of slots that nobody used is not touched", async () => {
  const name = uniqueName("service");
  const before = Deno.memoryUsage().rss;
  const broker = { service: brokerName() };
  const large = { byteLength: 256 * 2 ** 20, slots: 8 };
  await using server = await serve(name, { broker, streams: { large } });
  await using client = await connect(name, { broker });
  await using video = await client.stream("large");
  {
    using frame = server.stream("large").loan();
    frame.view(Uint8Array)[0] = 1;
    frame.publish();
  }
  using frame = video.latest();
  assertEquals(frame?.view(Uint8Array)[0], 1);
  assert(Deno.memoryUsage().rss - before < 64 * 2 ** 20, "2 GiB of slots took less than 64 MiB");
});

for (const order of ["newest", "every"] as const) {
  Deno.test(`${order}: frames between processes are whole, and each is read or counted as dropped`, {
    ignore: !ownBroker,
  }, async () => {
    await using apps = await startApps(order);
    const reading = apps.reader.call("read", { until: 2000 });
    await apps.writer.call("publish", { count: 2000 });
    const told = await reading as Record<string, number>;
    assertEquals([told["torn"], told["disordered"], told["last"]], [0, 0, 2000]);
    assertEquals(told["read"]! + told["dropped"]!, 2000);
  });
}

Deno.test(
  "every with loanAsync: no frame is lost, however slow the reader",
  { ignore: !ownBroker },
  async () => {
    await using apps = await startApps("every", { slots: 3 });
    const writing = apps.writer.call("publish", { count: 1000, patient: true });
    const told = await apps.reader.call("read", { until: 1000 }) as Record<string, number>;
    assertEquals(await writing, 1000);
    assertEquals([told["read"], told["dropped"], told["torn"]], [1000, 0, 0]);
  },
);

Deno.test("waitSync() reads frames without an event loop", { ignore: !ownBroker }, async () => {
  await using apps = await startApps("newest");
  const reading = apps.reader.call("readSync", { until: 1000 });
  await apps.writer.call("publish", { count: 1000 });
  const told = await reading as Record<string, number>;
  assertEquals([told["torn"], told["last"]], [0, 1000]);
  assertEquals(told["read"]! + told["dropped"]!, 1000);
});

Deno.test("the frames of a reader that is killed are free again", { ignore: !ownBroker }, async () => {
  await using apps = await startApps("newest", { slots: 3 });
  for (const count of [1, 1]) {
    await apps.writer.call("publish", { count });
    await apps.reader.call("hold");
  }
  await apps.writer.call("publish", { count: 1 });
  await assertRejects(() => apps.writer.call("publish", { count: 1 }), Error, `process ${apps.reader.pid}`);
  const waiting = apps.writer.call("publish", { count: 10, patient: true });
  apps.reader.kill("SIGKILL");
  assertEquals(await waiting, 13);
});

Deno.test("frames that are held outlive their writer, which is killed while it writes", {
  ignore: !ownBroker,
}, async () => {
  await using apps = await startApps("newest");
  await apps.writer.call("publishOn");
  await apps.reader.call("read", { until: 100 });
  const held = await apps.reader.call("hold");
  apps.writer.kill("SIGKILL");
  await assertRejects(() => apps.reader.call("read", { until: Number.MAX_SAFE_INTEGER }), Error, "gone");
  assertEquals(await apps.reader.call("holding"), [held]);
});
