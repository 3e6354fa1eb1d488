import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import {
  connect,
  type FrameLease,
  type FrameLoan,
  IncompatibleError,
  NoSlotError,
  serve,
  type StreamReader,
  type StreamWriter,
} from "../../mod.ts";
import { load } from "../../ffi/load.ts";
import { App, brokerName, ownBroker, uniqueName } from "../support/process.ts";

await load();

const PATIENCE = 60_000;

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** A loan, and whether it had to be taken from a reader; only the process `pid` may be in the way. */
function loanFrom(video: StreamWriter, pid: number): { loan: FrameLoan; isTaken: boolean } {
  try {
    return { loan: video.loan(), isTaken: false };
  } catch (error) {
    assertInstanceOf(error, NoSlotError);
    // It may have let go between the loan and the look at who holds.
    assert(error.pids.every((each) => each === pid), `${error.pids}`);
    return { loan: video.loan({ revoke: true }), isTaken: true };
  }
}

for (const how of ["hold", "random"]) {
  Deno.test({
    name: `a reader whose words are wild (${how}) keeps slots, and neither the server nor other readers`,
    ignore: !ownBroker,
    async fn() {
      const broker = { service: brokerName() };
      const name = uniqueName("service");
      const streams = { video: { byteLength: 4096, slots: 4 } };
      await using server = await serve(name, { streams, broker });
      await using client = await connect(name, { broker });
      const reader = await client.stream("video");
      const video = server.stream("video");
      await using app = new App("garbage_streams_app.ts");
      await app.call("read", { broker: broker.service, name, how });
      let taken = 0;
      let read = 0;
      const end = AbortSignal.timeout(PATIENCE);
      for (let number = 1; number <= 3000 || (how === "hold" && taken === 0); number++) {
        end.throwIfAborted();
        const { loan, isTaken } = loanFrom(video, app.pid);
        using _ = loan;
        if (isTaken) taken++;
        loan.view(Uint32Array).fill(number);
        assertEquals(loan.publish(), number);
        using frame = reader.latest();
        assert(frame !== undefined);
        const words = frame.view(Uint32Array);
        if (frame.valid) {
          read++;
          assert(words.every((word) => word === frame.sequence), "a frame is torn");
        }
        if (number % 100 === 0) await turn();
      }
      assert(read > 0);
      if (how === "hold") {
        await assertRejects(() => video.loanAsync({ timeout: 5 }), DOMException, "Cannot loan a slot");
      }
      const waiting = video.loanAsync({ timeout: PATIENCE });
      await app.kill();
      (await waiting)[Symbol.dispose]();
      for (let count = 0; count < 10; count++) {
        using loan = await video.loanAsync({ timeout: PATIENCE });
        loan.publish();
      }
      while (video.readers > 1) await turn(); // the news of the death come by themselves
    },
  });
}

/** The lowest frame that there is, seen or not. */
function nextOf(video: StreamReader): FrameLease | undefined {
  try {
    return video.waitSync({ timeout: 0, spin: 0, after: 0 });
  } catch (error) {
    assertEquals((error as Error).name, "TimeoutError");
    return undefined;
  }
}

/** Looks at all that a frame tells. */
function examine(frame: FrameLease): void {
  assert(Number.isSafeInteger(frame.sequence) && frame.sequence > 0);
  assert(Number.isSafeInteger(frame.dropped) && frame.dropped >= 0);
  assert(frame.byteLength >= 0 && frame.byteLength <= 4096);
  assertEquals(typeof frame.timestamp, "number");
  assertEquals(frame.record.length, 64);
  assertEquals(frame.view(Uint8Array).length, frame.byteLength);
  assertEquals(typeof frame.valid, "boolean");
}

Deno.test({
  name: "a server whose words of a stream are wild does a reader no harm",
  ignore: !ownBroker,
  async fn() {
    const service = brokerName();
    const name = uniqueName("service");
    await using app = new App("garbage_streams_app.ts");
    await app.call("serve", { broker: service, name });
    await using client = await connect(name, { broker: { service } });
    for (const order of ["newest", "every"] as const) {
      const video = await client.stream("video", { order });
      assertEquals([video.byteLength, video.slots, video.generation], [4096, 3, 1]);
      const held: FrameLease[] = [];
      let seen = 0;
      const end = AbortSignal.timeout(PATIENCE);
      for (let round = 0; seen < 200; round++) {
        end.throwIfAborted();
        const frame = order === "newest" ? video.latest() : nextOf(video);
        if (frame !== undefined) {
          seen++;
          examine(frame);
          if (seen % 3 === 0 && held.length < 100) held.push(frame);
          else frame.release();
        }
        if (round % 500 === 0) await turn();
      }
      for (const frame of held) frame.release();
      for (let round = 0; round < 50; round++) {
        try {
          using frame = video.waitSync({ timeout: 1, spin: 0, after: round });
          examine(frame);
        } catch (error) {
          assertEquals((error as Error).name, "TimeoutError");
        }
      }
      await video.close();
    }
    // Numbers that grow and grow end at the last that there can be.
    await using video = await client.stream("video", { order: "newest", signal: AbortSignal.timeout(200) });
    await assertRejects(async () => {
      for await (using frame of video) examine(frame);
    }, DOMException);
  },
});

Deno.test({
  name: "a server that says that a stream was replaced, and gives the same again, is not followed for ever",
  ignore: !ownBroker,
  async fn() {
    const service = brokerName();
    const name = uniqueName("service");
    await using app = new App("garbage_streams_app.ts");
    await app.call("serve", { broker: service, name });
    await using client = await connect(name, { broker: { service } });
    const video = await client.stream("video");
    await app.call("replace");
    await assertRejects(() => video.follow(), IncompatibleError, "gives generation 1 again");
    await assertRejects(
      async () => {
        for await (using frame of video) examine(frame);
      },
      IncompatibleError,
    );
  },
});
