/** Options are checked before anything is touched; an error names the option, its value and what is wanted. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, join, serve } from "../../mod.ts";
import { brokerName, uniqueName } from "../support/process.ts";

/** A call with wrong arguments: what the types would refuse. */
// deno-lint-ignore no-explicit-any -- the test passes what the types refuse
type Wrong = any;

const frame = { byteLength: 4096 };

/** What is wrong, and what the message must hold. */
const SERVE: readonly (readonly [Wrong, readonly string[]])[] = [
  [undefined, ["options", "undefined"]],
  [{}, ["`regions`", "undefined"]],
  [{ regions: [frame] }, ["`regions`"]],
  [{ regions: { frame }, policy: "evict" }, ["`policy`", '"evict"', '"reject" or "replace"']],
  [{ regions: { frame }, schema: 3 }, ["`schema`", "3", "a string"]],
  [{ regions: { frame }, signal: "soon" }, ["`signal`", '"soon"', "AbortSignal"]],
  [{ regions: { frame }, broker: "io.example" }, ["`broker`", '"io.example"']],
  [{ regions: { frame }, broker: { service: 1 } }, ["`broker`", "`service`", "1"]],
  [{ regions: { frame: 4096 } }, ['"frame"', "4096"]],
  [{ regions: { frame: { byteLength: "100" } } }, ['"frame"', "`byteLength`", '"100"']],
  [{ regions: { frame: { byteLength: 100n } } }, ['"frame"', "`byteLength`", "100n"]],
  [{ regions: { frame: { byteLength: 0.5 } } }, ['"frame"', "`byteLength`", "0.5"]],
  [{ regions: { frame: { byteLength: 8, clients: "all" } } }, ["`clients`", '"all"', '"write" or "read"']],
  [{ regions: { frame: { byteLength: 8, prefault: 1 } } }, ["`prefault`", "1", "true or false"]],
  [{ regions: { "\uFEFFframe": frame } }, ["region name"]],
  [{ regions: { "": frame } }, ["region name", '""']],
];

for (const [options, words] of SERVE) {
  Deno.test(`serve() refuses ${Deno.inspect(options, { breakLength: Infinity, depth: 4 })}`, async () => {
    const error = await assertRejects(() => serve(uniqueName("service"), options)) as Error;
    assert(error instanceof TypeError || error instanceof RangeError, error.name);
    for (const word of words) assertStringIncludes(error.message, word);
  });
}

Deno.test("serve() with a wrong policy leaves the server of that name alone", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  await using server = await serve(name, { broker, regions: { frame } });
  const policy: Wrong = "evict";
  await assertRejects(() => serve(name, { broker, policy, regions: { frame } }), TypeError, "`policy`");
  await using client = await connect(name, { broker });
  assertEquals((await client.open("frame")).byteLength, 4096);
  assertEquals(server.clients, 1);
});

Deno.test("connect(), join() and open() refuse wrong options", async () => {
  const name = uniqueName("service");
  const broker = { service: brokerName() };
  const wrong = (options: Wrong): Wrong => options;
  await assertRejects(() => connect(name, wrong({ reconnect: 1 })), TypeError, "`reconnect`");
  await assertRejects(() => connect(name, wrong({ signal: 5 })), TypeError, "`signal`");
  await assertRejects(() => connect(wrong(7)), TypeError, "7");
  await assertRejects(() => join(name, wrong({})), TypeError, "`regions`");
  await using _server = await serve(name, { broker, regions: { frame } });
  await using client = await connect(name, { broker });
  await assertRejects(() => client.open(wrong(3)), TypeError, "3");
  await assertRejects(() => client.open("\uFEFFframe"), TypeError, "region name");
  await assertRejects(() => client.open("frame", wrong({ write: "yes" })), TypeError, "`write`");
  await assertRejects(() => client.open("frame", wrong({ signal: 1 })), TypeError, "`signal`");
});

Deno.test("waits refuse wrong options", async () => {
  const name = uniqueName("service");
  await using server = await serve(name, { broker: { service: brokerName() }, regions: { frame } });
  const region = server.region("frame");
  const { mutex } = region;
  const wrong = (value: Wrong): Wrong => value;
  const refuses = (call: () => unknown, ...words: string[]): void => {
    let error: unknown;
    try {
      call();
    } catch (thrown) {
      error = thrown;
    }
    assert(error instanceof TypeError || error instanceof RangeError, String(error));
    for (const word of words) assertStringIncludes(error.message, word);
  };
  refuses(() => region.changes({ after: wrong("x") }), "`after`", '"x"');
  refuses(() => region.changes({ spin: 1e9 }), "`spin`", "1000000000");
  refuses(() => region.changes({ spin: -1 }), "`spin`", "-1");
  refuses(() => region.changes({ signal: wrong("now") }), "`signal`", '"now"');
  refuses(() => (region.waitSync as Wrong)(), "`after`", "undefined");
  refuses(() => region.waitSync(0, { timeout: wrong("1") }), "`timeout`", '"1"');
  refuses(() => mutex.lockSync({ timeout: -1 }), "`timeout`", "-1");
  refuses(() => mutex.lockSync({ spin: wrong("5") }), "`spin`", '"5"');
  await assertRejects(() => mutex.lock({ signal: wrong(1) }), TypeError, "`signal`");
  await assertRejects(() => mutex.lock({ timeout: NaN }), RangeError, "`timeout`");
  assertEquals(mutex.held, false);
});
