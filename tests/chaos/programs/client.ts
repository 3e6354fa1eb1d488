/**
 * A client of the cast: follows both regions over the lives of the server, as a program of a user's does, and
 * talks to it.
 *
 * @module
 */
import { connect, PeerGoneError, type ReadableRegion } from "../../../mod.ts";
import { answer } from "../../support/calls.ts";
import {
  broker,
  COMMON,
  CONNECT_BOUND,
  excused,
  name,
  onceThereIsABroker,
  pause,
  PAUSE_AFTER_ERROR,
  stop,
  violated,
} from "./common.ts";
import { Talking } from "./talking.ts";
import { FOLLOWED, LIFE, VALUE } from "./words.ts";

/** What a region said last. */
interface Seen {
  life: bigint;
  value: bigint;
}

const seen: Record<string, Seen> = {};
const watchers = new Set<() => void>();

const signal = AbortSignal.timeout(CONNECT_BOUND);
const client = await onceThereIsABroker(() => connect(name, { broker, signal }));

async function follow(region: string): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await using opened = await client.open(region, { signal: stop.signal });
      await watch(opened);
    } catch (error) {
      if (stop.signal.aborted) return;
      if (!(error instanceof PeerGoneError)) excused(error);
      await pause(PAUSE_AFTER_ERROR);
    }
  }
}

async function watch(region: ReadableRegion): Promise<void> {
  const words = region.view(BigUint64Array);
  const last = { life: 0n, value: 0n, revision: 0 };
  for await (const { revision } of region.changes({ signal: stop.signal })) {
    const life = words[LIFE]!;
    const value = words[VALUE]!;
    if (revision <= last.revision) {
      violated(`revision ${revision} of "${region.name}" came after ${last.revision}`);
    }
    if (life === 0n) violated(`revision ${revision} of "${region.name}" came without content`);
    if (last.life !== 0n && life !== last.life) {
      violated(`"${region.name}" of life ${last.life} has content of life ${life}`);
    }
    if (value < last.value) violated(`"${region.name}" went back from ${last.value} to ${value}`);
    Object.assign(last, { life, value, revision });
    seen[region.name] = { life, value };
    for (const look of watchers) look();
  }
}

/** Resolves when both regions say this. */
async function sees(life: bigint, value: bigint): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => {
    const all = FOLLOWED.every((region) => seen[region]?.life === life && seen[region].value === value);
    if (all) resolve();
  };
  watchers.add(look);
  look();
  await promise;
  watchers.delete(look);
}

const following = FOLLOWED.map(follow);
const talking = new Talking(client);
await answer({
  ...COMMON,
  ready: () => client.pid,
  more: () => talking.turns.more(),
  turns: () => `${talking.turns}`,
  sees: (p) => sees(BigInt(Number(p["life"])), BigInt(Number(p["value"]))),
  seen: () =>
    Object.entries(seen).map(([region, { life, value }]) => `${region}: life ${life}, value ${value}`),
  /** Does not run its event loop, as a program that computes. */
  slow: (p) => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(p["milliseconds"]));
  },
});
stop.abort(new Error("the program ends"));
await Promise.all([...following, talking.ended()]);
await client.close();
