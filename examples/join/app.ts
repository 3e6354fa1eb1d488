/**
 * Two equal apps: run this script twice, also at the same moment. The first serves, the others connect to it.
 * `deno run -A examples/join/app.ts`
 *
 * @module
 */
import { join } from "../../mod.ts";

await using app = await join("com.example.join", { regions: { counter: { byteLength: 8 } } });
const counter = app.role === "server" ? app.region("counter") : await app.open("counter", { write: true });
console.log(app.role === "server" ? "this process serves" : `process ${app.pid} serves`);

for (let round = 0; round < 1000; round++) {
  using _ = await counter.mutex.lock(); // without it, two processes could read the same number
  counter.view(BigUint64Array)[0]! += 1n;
}
counter.commit();
console.log(`counted to ${counter.view(BigUint64Array)[0]}`);

// The server stays for the others. Ctrl-C ends it.
if (app.role === "server") await app.closed;
