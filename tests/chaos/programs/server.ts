/**
 * The server of the cast: commits and publishes all the time, answers, and echoes.
 *
 * @module
 */
import { serve } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import { echoAll, lie, message, request } from "./answering.ts";
import { broker, COMMON, id, name, onceThereIsABroker, pause, stop } from "./common.ts";
import { alone, told } from "./exclusion.ts";
import { Publishing } from "./publishing.ts";
import { CATALOG, CHANNELS, DEVICE, FOLLOWED, LIFE, LOCKS, REGIONS, STREAMS, UNITS, VALUE } from "./words.ts";

const INTERVAL = 5;

/** How long a lock may take that nobody who lives holds, in milliseconds. */
const TAKE_BOUND = 20_000;

const served = { regions: REGIONS, streams: STREAMS, channels: CHANNELS, locks: LOCKS, request, message };
// "replace": the broker may not have noticed yet that the server before was killed.
const server = await onceThereIsABroker(() => serve(name, { ...served, broker, policy: "replace" }));
const regions = FOLLOWED.map((region) => server.region(region));
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

/** Takes all that the locks have while nobody else holds any: nothing is lost with the dead. */
async function takeAllLocks(): Promise<void> {
  const wait = { timeout: TAKE_BOUND };
  const region = server.region("ledger");
  using device = await server.lock("device", "mutex").lock(wait);
  await alone({ lock: "device", region, word: DEVICE }, device, () => pause(0));
  using catalog = await server.lock("catalog", "rwlock").write(wait);
  await alone({ lock: "catalog", region, word: CATALOG }, catalog, () => pause(0));
  using units = new DisposableStack();
  for (let unit = 0; unit < UNITS; unit++) {
    units.use(await server.lock("budget", "semaphore").acquire(wait));
  }
}

const working = work();
const echoing = echoAll(server);
const publishing = new Publishing(server);
await answer({
  ...COMMON,
  ready: () => Deno.pid,
  resume: () => void (busy = true),
  takeAllLocks,
  /** From whom it took locks over that died while they held them. */
  told: () => told,
  takeAllSlots: () => publishing.takeAll(),
  /** What a server must not do: for tests of the checks. */
  back: () => {
    value = 0n;
    commit();
  },
  scribble: (p) => {
    server.region(String(p["region"])).view(BigUint64Array)[Number(p["word"])] = BigInt(Number(p["value"]));
  },
  tear: () => void (publishing.tear = true),
  lie,
  /** Commits for the last time, until it is to resume: who misses this one waits in vain. */
  publish: () => {
    busy = false;
    commit();
    return { life: id, value: Number(value) };
  },
});
stop.abort();
await Promise.all([working, publishing.ended()]);
await server.close();
await echoing;
