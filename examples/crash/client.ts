/**
 * Dies in the middle of a transfer, with the mutex held. `deno run -A examples/crash/client.ts`
 *
 * @module
 */
import { connect } from "../../mod.ts";

await using bank = await connect("com.example.crash", { signal: AbortSignal.timeout(10_000) });
const accounts = await bank.open("accounts", { write: true });
using _ = await accounts.mutex.lock();
accounts.view(Float64Array)[0]! -= 30;
accounts.commit();
Deno.kill(Deno.pid, "SIGKILL"); // before the 30 arrive in the other account
