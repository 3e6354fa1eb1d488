/**
 * `src/link/PROTOCOL.md`, tried on every pair of implementations: see `tests/contract/link/`.
 *
 * @module
 */
import { ownBroker } from "../support/process.ts";
import { channelTests } from "./link/channels.ts";
import { clientTests } from "./link/clients.ts";
import { deathTests } from "./link/deaths.ts";
import { lockTests } from "./link/locks.ts";
import { messageTests } from "./link/messages.ts";
import { mutexTests } from "./link/mutexes.ts";
import { rangeTests } from "./link/ranges.ts";
import { openingTests } from "./link/opening.ts";
import { IMPLEMENTATIONS } from "./link/parties.ts";
import { serverTests } from "./link/servers.ts";
import { streamClientTests, streamServerTests } from "./link/stream_sides.ts";
import type { PairTest } from "./link/suite.ts";
import { streamTests } from "./link/streams.ts";
import { waitingTests } from "./link/waits.ts";

// The party in C is written for Linux, where a test can have a broker of its own too.
const ignore = !ownBroker;

/** What a smaller implementation may be without. */
const wholeTests = [...rangeTests, ...lockTests, ...messageTests, ...channelTests].map((test) => ({
  ...test,
  needsWhole: true,
}));

const tests: readonly PairTest[] = [
  ...openingTests,
  ...waitingTests,
  ...mutexTests,
  ...wholeTests,
  ...deathTests,
  ...streamTests,
];

const allServerTests = [...serverTests, ...streamServerTests];
const allClientTests = [...clientTests, ...streamClientTests];

for (const implementation of IMPLEMENTATIONS) {
  for (const [side, sideTests] of [["server", allServerTests], ["client", allClientTests]] as const) {
    for (const { name, run, needsWhole } of sideTests) {
      if (needsWhole && !implementation.isWhole) continue;
      Deno.test({
        name: `link, ${implementation.name} ${side}: ${name}`,
        ignore,
        fn: () => run(implementation),
      });
    }
  }
}

for (const server of IMPLEMENTATIONS) {
  for (const client of IMPLEMENTATIONS) {
    for (const { name, run, needsWhole } of tests) {
      if (needsWhole && !(server.isWhole && client.isWhole)) continue;
      Deno.test({
        name: `link, ${server.name} server, ${client.name} client: ${name}`,
        ignore,
        fn: () => run({ server, client }),
      });
    }
  }
}
