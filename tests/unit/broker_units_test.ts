/** Parts of the embedded broker that a test cannot reach from outside. */
import { assertEquals, assertThrows } from "@std/assert";
import { load } from "../../ffi/load.ts";
import { LIMITS, Refusal, replyTo } from "../../src/broker/protocol.ts";
import { Registry } from "../../src/broker/registry.ts";
import type { Endpoint } from "../../src/xpc/endpoint.ts";
import { Connection, Listener } from "../../src/xpc/mod.ts";

await load();

Deno.test("Registry.list() fits into a message, or is refused with limit", async () => {
  const ignore = (): void => {};
  const registry = new Registry<number>({ registered: ignore, unregistered: ignore, replaced: ignore });
  // A real one takes a descriptor, and a process may not have so many.
  const endpoint = { [Symbol.dispose]: ignore } as unknown as Endpoint;
  const register = (index: number): void => {
    const peer = Math.floor(index / LIMITS.registrations);
    registry.register(peer, `${index}`.padEnd(128, "n"), endpoint, 2 ** 31 - 1, 2 ** 53 - 2);
  };
  for (let index = 0; index < LIMITS.listed; index++) register(index);
  await using listener = await Listener.anonymous(() => ({
    message: (message) => message.reply({ ok: true, services: registry.list() }),
  }));
  using own = listener.endpoint();
  await using connection = await Connection.toEndpoint(own);
  assertEquals(((await connection.request({}))["services"] as unknown[]).length, LIMITS.listed);
  register(LIMITS.listed);
  assertEquals(assertThrows(() => registry.list(), Refusal).code, "limit");
});

Deno.test("a request that a fault of the broker ends is answered with the fault, and not with a limit", () => {
  const { ok, code, message } = replyTo(new TypeError("x is not a\0 function \ud800"));
  assertEquals([ok, code, message], [
    false,
    "failed",
    "Cannot perform the request: x is not a function \ufffd",
  ]);
  assertEquals(replyTo(new Refusal("not_found"))["code"], "not_found");
});

Deno.test("a reply that is too large is refused with limit", async () => {
  await using listener = await Listener.anonymous(() => ({
    message: (message) => {
      try {
        message.reply({ data: new Uint8Array(2 ** 26 + 1) });
      } catch (error) {
        message.reply(replyTo(error));
      }
    },
  }));
  using own = listener.endpoint();
  await using connection = await Connection.toEndpoint(own);
  assertEquals((await connection.request({}))["code"], "limit");
});
