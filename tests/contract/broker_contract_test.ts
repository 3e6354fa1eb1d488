/**
 * `agent/PROTOCOL.md`, tried on every broker: see `tests/contract/broker/`. The Swift agent is tried where
 * `XPC_SHMEM_AGENT` says how to start it.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";
import { EMBEDDED, SWIFT } from "./broker/brokers.ts";
import { helloTests } from "./broker/hello.ts";
import { lookupTests } from "./broker/lookup.ts";
import { raceTests } from "./broker/races.ts";
import { registryTests } from "./broker/registry.ts";
import { requestTests } from "./broker/requests.ts";
import { watchTests } from "./broker/watch.ts";
import { wireTests } from "./broker/wire.ts";

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
    `The ${tests.length} tests of the Swift agent are skipped. To run them, build it (swift build -c release) ` +
      `and set XPC_SHMEM_AGENT=.build/release/xpc-shmem-agent`,
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
