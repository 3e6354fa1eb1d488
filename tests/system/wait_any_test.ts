/** `waitAny()` over streams and channels, beside what `locks_test.ts` shows of locks and regions. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type Channel,
  type Client,
  connect,
  PeerGoneError,
  serve,
  type Server,
  type StreamReader,
  waitAny,
  waitAnySync,
} from "../../mod.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

/** A server and a client in this process, with a stream and a channel. */
interface Both extends AsyncDisposable {
  readonly server: Server;
  readonly client: Client;
  readonly video: StreamReader;
  readonly ours: Channel;
  readonly theirs: Channel;
}

async function startBoth(order: "newest" | "every" = "newest"): Promise<Both> {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const server = await serve(name, {
    broker,
    streams: { video: { byteLength: 64 } },
    channels: { midi: { byteLength: 64 } },
  });
  const client = await connect(name, { broker });
  return {
    server,
    client,
    video: await client.stream("video", { order }),
    ours: await client.channel("midi"),
    theirs: server.channel("midi").open[0]!,
    async [Symbol.asyncDispose]() {
      await client.close();
      await server.close();
    },
  };
}

function publish(server: Server): void {
  using loan = server.stream("video").loan();
  loan.publish();
}

const soon = { timeout: 5 };

for (const order of ["newest", "every"] as const) {
  Deno.test(`a reader of ${order} is ready while there is a newer frame than its last, and keeps its frames`, async () => {
    await using both = await startBoth(order);
    const { server, video, ours } = both;
    await assertRejects(() => waitAny([ours, video], soon), DOMException, "one of 2 things");
    for (let number = 1; number <= 3; number++) {
      const waiting = waitAny([ours, video]);
      publish(server);
      assertEquals(await waiting, 1);
      assertEquals([waitAnySync([ours, video]), await waitAny([video])], [1, 0], "nothing is taken");
      using frame = video.latest();
      assertEquals([frame!.sequence, frame!.dropped], [number, 0]);
      assertThrows(() => waitAnySync([ours, video], soon), DOMException, "within 5 ms");
    }
  });
}

Deno.test("a channel is ready while there is a message, at both ends", async () => {
  await using both = await startBoth();
  const { video, ours, theirs } = both;
  for (const [from, to] of [[ours, theirs], [theirs, ours]] as const) {
    await assertRejects(() => waitAny([video, to], soon), DOMException, "one of 2 things");
    for (let number = 1; number <= 3; number++) {
      const waiting = waitAny([video, to]);
      assert(from.send(new Uint8Array([number])));
      assertEquals(await waiting, 1);
      assertEquals([waitAnySync([video, to]), await waitAny([to])], [1, 0], "nothing is taken");
      assertEquals(to.receive(), new Uint8Array([number]));
      assertThrows(() => waitAnySync([to], soon), DOMException, "within 5 ms");
    }
  }
});

Deno.test("a wait fails when the channel ends, after its last message, and when the stream is replaced", async () => {
  await using both = await startBoth();
  const { server, video, ours, theirs } = both;
  const failing = assertRejects(() => waitAny([video, theirs]), TypeError, "closed");
  await ours.close();
  await failing;
  const again = await both.client.channel("midi");
  const next = server.channel("midi").open[0]!;
  assert(again.send(new Uint8Array([1])));
  await again.close();
  await next.closed;
  assertEquals(await waitAny([next]), 0, "its last message is there");
  next.receive();
  assertThrows(() => waitAnySync([next]), TypeError, "closed");
  assertThrows(() => waitAnySync([again]), TypeError, "closed");

  const replaced = assertRejects(() => waitAny([video]), DOMException, "follow()");
  await server.replaceStream("video", { byteLength: 128 });
  await replaced;
  await video.follow();
  publish(server);
  assertEquals(await waitAny([video]), 0);
  video.latest()!.release();
  const closing = assertRejects(() => waitAny([video]), TypeError, "closed");
  await video.close();
  await closing;
  assertThrows(() => waitAnySync([video]), TypeError, "closed");
});

Deno.test("a wait fails when the server is gone", async () => {
  await using both = await startBoth();
  const failing = [both.video, both.ours].map((item) => assertRejects(() => waitAny([item]), PeerGoneError));
  await both.server.close();
  await Promise.all(failing);
});

for (const sync of [false, true]) {
  const how = sync ? "waitAnySync()" : "waitAny()";
  Deno.test({
    name: `${how} in another process is woken by a frame, a message, and the end`,
    ignore: !ownBroker,
    async fn() {
      const name = uniqueName("service");
      const broker = brokerName();
      await using server = await serve(name, {
        broker: { service: broker },
        streams: { video: { byteLength: 64 } },
        channels: { midi: { byteLength: 64 } },
      });
      await using app = new App("channel_app.ts");
      await app.call("connect", { name, broker });
      await app.call("openStream");
      const [channel] = server.channel("midi").open;
      const begun = channel![Symbol.asyncIterator]();
      const waitThere = async (): Promise<{ answer: Promise<unknown> }> => {
        const answer = app.call("any", { sync });
        await begun.next();
        return { answer };
      };
      for (let number = 1; number <= 3; number++) {
        const frame = await waitThere();
        publish(server);
        assertEquals(await frame.answer, `stream ${number}`);
        const message = await waitThere();
        assert(channel!.send(new Uint8Array([number])));
        assertEquals(await message.answer, `channel ${number}`);
      }
      const last = await waitThere();
      await channel!.close();
      assertEquals(await last.answer, "TypeError");
    },
  });
}
