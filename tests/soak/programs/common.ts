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

/** Calls that every program has. */
export const COMMON: Calls = {
  ready: () => Deno.pid,
  done: () => done,
  /** Collects garbage, so that what grows is not that. */
  collect: () => (globalThis as unknown as { gc(): void }).gc(),
};

/** A turn of the event loop, and some time. */
export async function pause(milliseconds: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
}
