/**
 * A server that writes garbage over all words that its client reads, as no honest server does.
 *
 * @module
 */
import { Broker } from "../../src/broker/broker.ts";
import { Mapping } from "../../src/memory/mod.ts";
import { LOCK_BYTES, SERVER_BYTES } from "../../src/link/layout.ts";
import { Connection, Listener } from "../../src/xpc/mod.ts";
import { answer, type Calls } from "./calls.ts";

const words = await Mapping.create(SERVER_BYTES, { readOnlyForOthers: true });
const locks = await Mapping.create(LOCK_BYTES);
const frame = await Mapping.create(4096);

const calls: Calls = {
  async serve(p) {
    await Broker.start({ service: String(p["broker"]) });
    const listener = await Listener.anonymous(() => ({
      message: (message) => {
        const { op } = message.values;
        using _ = message;
        using server = words.share();
        using mutexes = locks.share();
        using memory = frame.share();
        if (op === "hello") message.reply({ ok: true, version: 1n, owner: 2n, server, locks: mutexes });
        else if (op === "open") {
          message.reply({ ok: true, index: 0n, generation: 1n, byteLength: 4096n, memory });
        } else if (message.expectsReply) message.reply({ ok: true });
      },
    }));
    const connection = await Connection.toService(String(p["broker"]));
    await connection.request({ op: "hello", min: 1n, max: 1n });
    using endpoint = listener.endpoint();
    await connection.request({ op: "register", name: String(p["name"]), endpoint, policy: "reject" });
  },
  scribble({ seed }) {
    let state = Number(seed);
    for (const numbers of [words.view(Uint32Array), locks.view(Uint32Array)]) {
      for (let index = 0; index < numbers.length; index++) {
        state = Math.imul(state, 1664525) + 1013904223; // Numerical Recipes' generator
        numbers[index] = state;
      }
    }
  },
};

await answer(calls);
Deno.exit(0);
