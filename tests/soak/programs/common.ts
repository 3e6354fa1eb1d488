/**
 * What the programs of the soak have in common: the names to use, and a count of what was done.
 *
 * @module
 */
import type { Calls } from "../../support/calls.ts";

/** The name of the service and its broker, as the first argument says. */
export const { name, broker } = JSON.parse(Deno.args[0]!) as { name: string; broker: { service: string } };

/** Ends what runs. */
export const stop = new AbortController();

/** What was done how often. */
export const done: Record<string, number> = {};

/** Counts one more. */
export function count(what: string): void {
  done[what] = (done[what] ?? 0) + 1;
}

let gate: PromiseWithResolvers<void> | undefined;
let resting = Promise.withResolvers<void>();
let atTheGate = 0;
let loops = 0;

/** Work that goes on until the program ends, and rests between two turns when it is told to. */
export async function loop(turn: () => Promise<void>): Promise<void> {
  loops++;
  while (!stop.signal.aborted) {
    await turn();
    if (gate === undefined) continue;
    if (++atTheGate === loops) resting.resolve();
    await gate.promise;
  }
}

/** Calls that every program has. */
export const COMMON: Calls = {
  ready: () => Deno.pid,
  done: () => done,
  /** Resolves when nothing is under way, and no garbage is left: only what is kept is there to be counted. */
  rest: async () => {
    atTheGate = 0;
    resting = Promise.withResolvers();
    gate = Promise.withResolvers();
    if (loops > 0) await resting.promise;
    (globalThis as unknown as { gc(): void }).gc();
  },
  resume: () => {
    gate?.resolve();
    gate = undefined;
  },
};

/** A turn of the event loop, and some time. */
export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
