/**
 * The server of the cast: commits all the time, until it is told to publish a last value.
 *
 * @module
 */
import { serve } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, id, name, pause, stop } from "./common.ts";
import { LIFE, REGIONS, VALUE } from "./words.ts";

const INTERVAL = 5;

const server = await serve(name, { regions: REGIONS, broker, policy: "replace" });
const regions = [server.region("frame"), server.region("mask")];
let value = 0n;
let busy = true;

function commit(): void {
  value++;
  for (const region of regions) {
    const words = region.view(BigUint64Array);
    words[LIFE] = BigInt(id);
    words[VALUE] = value;
    region.commit();
  }
}

async function work(): Promise<void> {
  while (!stop.signal.aborted) {
    if (busy) commit();
    await pause(INTERVAL);
  }
}

const working = work();
await answer({
  ...COMMON,
  ready: () => Deno.pid,
  resume: () => void (busy = true),
  /** Commits for the last time, until it is to resume: who misses this one waits in vain. */
  publish: () => {
    busy = false;
    commit();
    return { life: id, value: Number(value) };
  },
});
stop.abort();
await working;
await server.close();
