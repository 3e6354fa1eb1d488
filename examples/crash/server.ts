/**
 * Learns that a client died while it held the mutex, and mends what it left. `deno run -A examples/crash/server.ts`
 *
 * @module
 */
import { serve } from "../../mod.ts";

await using bank = await serve("com.example.crash", { regions: { accounts: { byteLength: 16 } } });
const accounts = bank.region("accounts");
accounts.view(Float64Array).set([100, 0]);

for await (const _ of accounts.changes()) break; // the client committed: it has begun
using guard = await accounts.mutex.lock(); // waits for the client, which never unlocks
const [from = 0, to = 0] = accounts.view(Float64Array);
if (guard.abandoned) {
  console.log(`the client died half-way: ${from} + ${to} is not 100`);
  accounts.view(Float64Array).set([100, 0]);
}
