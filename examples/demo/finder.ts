/**
 * A third process: looks for the server, and checks one frame.
 *
 * @module
 */
import { connect } from "../../mod.ts";
import { setting as readSetting, tell } from "./conductor.ts";
import { findWrong, readableFrame, type ReadableMemory } from "./content.ts";
import { type FinderEvents, regionName } from "./messages.ts";
import { sharedClock } from "./stamps.ts";

const setting = readSetting();
const clock = await sharedClock();
const start = performance.now();
await using client = await connect(setting.service, {
  broker: setting.broker,
  signal: AbortSignal.timeout(20_000),
});
const connectMilliseconds = performance.now() - start;
const at = clock();

/** Where the first wrong byte is; -1: nowhere. */
function check(memory: ReadableMemory, revision: number): number {
  return findWrong(readableFrame(memory), { writer: client.pid, region: 0, revision });
}

let wrong = -1;
if (setting.mode === "stream") {
  for await (using frame of await client.stream(regionName(0))) {
    wrong = check(frame, frame.sequence);
    break;
  }
} else {
  const region = await client.open(regionName(0));
  for await (const _ of region.changes()) {
    using _guard = await region.mutex.lock();
    wrong = check(region, region.revision);
    break;
  }
}
tell<FinderEvents, "found">("found", { pid: client.pid, at, connectMilliseconds, wrong });
