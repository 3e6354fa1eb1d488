/**
 * XPC itself, without shared regions: a listener, its endpoint, and a connection that asks it for something.
 * `deno run -A examples/xpc/main.ts`
 *
 * @module
 */
import { Connection, Listener } from "../../src/xpc/mod.ts";

await using listener = await Listener.anonymous((_connection, peer) => {
  console.log(`a connection from this process: ${peer.pid === Deno.pid}`); // the kernel says who connects
  return {
    message: (message) => {
      const { words } = message.values;
      message.reply({ joined: Array.isArray(words) ? words.join(" ") : null, at: new Date() });
    },
  };
});

using endpoint = listener.endpoint(); // can be sent in messages: whoever has it can connect
await using connection = await Connection.toEndpoint(endpoint);
const { joined, at } = await connection.request({ words: ["shared", "memory"] }, { timeout: 1000 });
console.log(joined, at instanceof Date);
