/**
 * The server of the cast: commits all the time, until it is told to publish a last value.
 *
 * @module
 */
import { serve } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import { broker, COMMON, id, name, onceThereIsABroker, pause, stop } from "./common.ts";
import { LIFE, REGIONS, VALUE } from "./words.ts";

const INTERVAL = 5;

// "replace": the broker may not have noticed yet that the server before was killed.
const options = { regions: REGIONS, broker, policy: "replace" } as const;
const server = await onceThereIsABroker(() => serve(name, options));
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
  /** What a server must not do: for tests of the checks. */
  back: () => {
    value = 0n;
    commit();
  },
  scribble: (p) => {
    regions[0]!.view(BigUint64Array)[Number(p["word"])] = BigInt(Number(p["value"]));
  },
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
