/** `agent/PROTOCOL.md`, tried on every broker: see `tests/_broker_contract/`. */
import { load } from "../ffi/load.ts";
import { EMBEDDED, SWIFT } from "./_broker_contract/brokers.ts";
import { helloTests } from "./_broker_contract/hello.ts";
import { lookupTests } from "./_broker_contract/lookup.ts";
import { registryTests } from "./_broker_contract/registry.ts";
import { requestTests } from "./_broker_contract/requests.ts";
import { watchTests } from "./_broker_contract/watch.ts";
import { wireTests } from "./_broker_contract/wire.ts";

await load();

const tests = [...helloTests, ...requestTests, ...registryTests, ...lookupTests, ...watchTests, ...wireTests];

for (const kind of [EMBEDDED, SWIFT]) {
  for (const { name, run } of tests) {
    Deno.test({
      name: `${kind.name} broker: ${name}`,
      ignore: kind.command === undefined,
      fn: () => run(kind),
    });
  }
}
