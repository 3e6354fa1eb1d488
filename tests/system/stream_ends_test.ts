/**
 * Streams at their ends: what is closed, replaced, aborted or given up half way.
 *
 * @module
 */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Client, connect, serve, type Server, type StreamReader } from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { brokerName, uniqueName } from "../support/process.ts";

await load();

interface Pair {
  readonly server: Server;
  readonly client: Client;
}

async function withPair(run: (pair: Pair) => Promise<void>, slots = 4): Promise<void> {
  const broker = { service: brokerName() };
  const name = uniqueName("service");
  await using server = await serve(name, { streams: { video: { byteLength: 4096, slots } }, broker });
  await using client = await connect(name, { broker });
  await run({ server, client });
}

function publish(server: Server): number {
  using loan = server.stream("video").loan();
  return loan.publish();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function hasReaders(server: Server, count: number): Promise<void> {
  while (server.stream("video").readers !== count) await turn();
}

Deno.test("frames that are published while a stream is replaced are counted, and no number comes twice", () =>
  withPair(async ({ server, client }) => {
    const video = await client.stream("video");
    let last = publish(server);
    const numbers = [last];
    let isDone = false;
    // It begins with the next turns of the microtask queue: so do these frames.
    const replacing = server.replaceStream("video", { byteLength: 8192 }).then(() => isDone = true);
    while (!isDone) {
      try {
        last = publish(server);
        numbers.push(last);
      } catch (error) {
        assertEquals((error as Error).name, "TypeError"); // a loan of the old one, replaced meanwhile
      }
      await Promise.resolve();
      if (numbers.length % 1000 === 0) await turn();
    }
    await replacing;
    numbers.push(publish(server));
    assertEquals(numbers, numbers.map((_, index) => index + 1));
    for await (using frame of video) {
      assertEquals([frame.sequence, frame.byteLength], [numbers.length, 8192]);
      break;
    }
  }));

Deno.test("a reader of a closed client says so, whatever it is asked", () =>
  withPair(async ({ server, client }) => {
    const readers = [await client.stream("video"), await client.stream("video", { order: "every" })];
    publish(server);
    const frames = readers.map((reader) => reader.latest()!);
    await client.close();
    for (const [index, reader] of readers.entries()) {
      assertThrows(() => reader.latest(), TypeError, "closed");
      assertThrows(() => reader.waitSync({ timeout: 1 }), TypeError, "closed");
      await reader.follow();
      assertEquals((await reader[Symbol.asyncIterator]().next()).done, true);
      const frame = frames[index]!;
      assert(!frame.valid);
      assertThrows(() => frame.view(Uint8Array), TypeError, "closed");
      frame.release();
      await reader.close();
      assertThrows(() => reader.waitSync({ timeout: 1 }), TypeError, "closed");
    }
  }));

Deno.test("opening a stream that is aborted leaves no reader behind", () =>
  withPair(async ({ server, client }) => {
    const reason = new Error("not any more");
    for (let count = 0; count < 100; count++) {
      const abort = new AbortController();
      const opening = client.stream("video", { signal: abort.signal });
      await Promise.resolve();
      if (count % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      abort.abort(reason);
      // It may have succeeded first.
      await opening.then((video) => video.close(), (error) => assertEquals(error, reason));
    }
    const video = await client.stream("video"); // 64 are possible
    await hasReaders(server, 1);
    await video.close();
    await hasReaders(server, 0);
    assertEquals(server.clients, 1);
  }));

Deno.test("a reader that is closed ends the leases of earlier generations too", () =>
  withPair(async ({ server, client }) => {
    const video = await client.stream("video");
    const frames = [];
    for (let generation = 1; generation <= 3; generation++) {
      publish(server);
      await video.follow();
      frames.push(video.latest()!);
      await server.replaceStream("video", { byteLength: 4096 });
    }
    for (const [index, frame] of frames.entries()) {
      assertEquals([frame.sequence, frame.valid, frame.view(Uint8Array).length], [index + 1, true, 4096]);
    }
    const views = frames.map((frame) => frame.view(Uint8Array));
    await video.close();
    for (const view of views) assertEquals(view.length, 0);
    for (const frame of frames) assert(!frame.valid);
    await hasReaders(server, 0);
  }));

Deno.test("a lease that nobody ends keeps its slot until its reader is closed, and no longer", () =>
  withPair(async ({ server, client }) => {
    const video = await client.stream("video");
    publish(server);
    const take = (reader: StreamReader): Uint8Array => reader.latest()!.unsafeView(Uint8Array);
    take(video);
    publish(server);
    const loan = server.stream("video").loan;
    assertThrows(() => loan.call(server.stream("video")), Error, `process ${Deno.pid} reads`);
    const waiting = server.stream("video").loanAsync({ timeout: 60_000 });
    await video.close();
    (await waiting)[Symbol.dispose]();
  }, 2));

Deno.test("frames that come as fast as they are read leave the event loop its turn", () =>
  withPair(async ({ server, client }) => {
    const video = await client.stream("video", { spin: 1000 });
    let isOver = false;
    setTimeout(() => isOver = true, 20);
    publish(server);
    // Each frame is published as the one before is read: the loop never sleeps.
    for await (using frame of video) {
      if (isOver) break;
      assertEquals(publish(server), frame.sequence + 1);
    }
  }));

Deno.test("a writer that waits ends with its server, and with the stream that is replaced", () =>
  withPair(async ({ server }) => {
    const video = server.stream("video");
    const first = [video.loan(), video.loan()];
    const waiting = video.loanAsync();
    const failing = assertRejects(() => waiting, TypeError, "closed");
    await server.replaceStream("video", { byteLength: 4096, slots: 2 });
    await failing;
    for (const loan of first) {
      assertThrows(() => loan.publish(), TypeError, "replaced");
      loan[Symbol.dispose]();
    }
    using _one = video.loan();
    using _two = video.loan();
    const last = assertRejects(() => video.loanAsync(), TypeError, "closed");
    await server.close();
    await last;
  }, 2));
