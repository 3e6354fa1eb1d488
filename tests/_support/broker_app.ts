/**
 * A process that is a broker and nothing else, for tests that kill it. Calls as in `app.ts`.
 *
 * @module
 */
import { Broker } from "../../agent/broker.ts";
import { Connection } from "../../src/xpc/mod.ts";

let service = "";

const calls: Record<string, (parameters: Record<string, unknown>) => unknown> = {
  async start(p) {
    service = String(p["broker"]);
    await Broker.start({ service });
    // Answers hello: it is the broker, not one that came too late.
    await using connection = await Connection.toService(service);
    const { pid } = await connection.request({ op: "hello", min: 1n, max: 1n }, { timeout: 10_000 });
    if (pid !== BigInt(Deno.pid)) throw new Error("another process is the broker");
  },
  /** Resolves when so many lookups wait. */
  async waiting(p) {
    await using connection = await Connection.toService(service);
    await connection.request({ op: "hello", min: 1n, max: 1n }, { timeout: 10_000 });
    for (;;) {
      const { waiting } = await connection.request({ op: "status" }, { timeout: 10_000 });
      if (Number(waiting) >= Number(p["count"])) return;
    }
  },
};

let rest = "";
for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  const lines = (rest + text).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const { id, call, parameters } = JSON.parse(line);
    void Promise.resolve(calls[call]!(parameters)).then(
      () => ({ id, result: null }),
      ({ name, message }) => ({ id, error: { name, message } }),
    ).then((reply) => Deno.stdout.write(new TextEncoder().encode(`${JSON.stringify(reply)}\n`)));
  }
}
Deno.exit(0);
