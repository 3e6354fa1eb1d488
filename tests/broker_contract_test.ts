/**
 * `agent/PROTOCOL.md`, tried on every broker: see `tests/_broker_contract/`. The Swift agent is tried where
 * `XPC_SHMEM_AGENT` says how to start it.
 *
 * @module
 */
import { load } from "../ffi/load.ts";
import { EMBEDDED, SWIFT } from "./_broker_contract/brokers.ts";
import { helloTests } from "./_broker_contract/hello.ts";
import { lookupTests } from "./_broker_contract/lookup.ts";
import { raceTests } from "./_broker_contract/races.ts";
import { registryTests } from "./_broker_contract/registry.ts";
import { requestTests } from "./_broker_contract/requests.ts";
import { watchTests } from "./_broker_contract/watch.ts";
import { wireTests } from "./_broker_contract/wire.ts";

await load();

const tests = [
  ...helloTests,
  ...requestTests,
  ...registryTests,
  ...lookupTests,
  ...watchTests,
  ...raceTests,
  ...wireTests,
];

if (SWIFT.command === undefined) {
  console.log(
    `The ${tests.length} tests of the Swift agent are skipped. To run them, build it (cd agent && swift build ` +
      `-c release) and set XPC_SHMEM_AGENT=agent/.build/release/xpc-shmem-agent`,
  );
}

for (const kind of [EMBEDDED, SWIFT]) {
  for (const { name, skipped, run } of tests) {
    Deno.test({
      name: `${kind.name} broker: ${name}${skipped === undefined ? "" : ` (skipped: ${skipped})`}`,
      // Launchd alone can start a broker on macOS: there agent:install proves it.
      ignore: kind.command === undefined || skipped !== undefined || Deno.build.os !== "linux",
      fn: () => run(kind),
    });
  }
}
