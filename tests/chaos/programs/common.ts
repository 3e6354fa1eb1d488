/**
 * What the programs of the cast have in common: the broker to use, what they have seen go wrong, what they hold.
 *
 * @module
 */
import { BrokerUnavailableError } from "../../../mod.ts";
import { processResources } from "../../../src/testing/mod.ts";
import type { Calls } from "../../support/calls.ts";

/** The service and the broker, as the first argument says. */
export const { name, broker, id } = JSON.parse(Deno.args[0]!) as {
  name: string;
  broker: { service: string; embedded: boolean };
  id: number;
};

/** How long a program waits before it tries again what failed, in milliseconds. */
export const PAUSE_AFTER_ERROR = 20;

/** How long connecting may take, in milliseconds. */
export const CONNECT_BOUND = 60_000;

/**
 * How long a lock may take, in milliseconds. Where the server is gone, nobody notices the death of another client that
 * holds it: the README says so, and to lock with a timeout.
 */
export const LONGEST_WAIT = 15_000;

/** Ends what runs by itself. */
export const stop = new AbortController();

const violations: string[] = [];
const kinds = new Set<string>();

/** Notes that something happened that never must; of each kind it keeps the first. */
export function violated(what: string): void {
  if (isKnown(what)) return;
  kinds.add(kindOf(what));
  violations.push(what);
  console.error(`violated: ${what}`);
}

/** Whether something of this kind was noted. */
export function isKnown(what: string): boolean {
  return kinds.has(kindOf(what));
}

function kindOf(what: string): string {
  return what.replace(/[\d.]+/g, "#");
}

/** Notes an error that may come while others die. */
export function excused(error: unknown): void {
  console.error(`excused: ${error instanceof Error ? `${error.name}: ${error.message}` : error}`);
}

/** Calls that every program has. */
export const COMMON: Calls = {
  violations: () => violations,
  resources: () => processResources(),
};

/** A pause that ends with the program. */
export async function pause(milliseconds: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  const leave = (): void => resolve();
  stop.signal.addEventListener("abort", leave, { once: true });
  await promise;
  stop.signal.removeEventListener("abort", leave);
  clearTimeout(timer);
}

/** Tries again while there is no broker: it may have been killed a moment ago, and its successor not be there yet. */
export async function onceThereIsABroker<T>(start: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await start();
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError)) throw error;
      excused(error);
      await pause(PAUSE_AFTER_ERROR);
    }
  }
}
