/**
 * What the programs of the cast have in common: the broker to use, what they have seen go wrong, what they hold.
 *
 * @module
 */
import { processResources } from "../../../src/testing/mod.ts";
import type { Calls } from "../../support/calls.ts";

/** The service and the broker, as the first argument says. */
export const { name, broker, id } = JSON.parse(Deno.args[0]!) as {
  name: string;
  broker: { service: string; embedded: boolean };
  id: number;
};

/** Ends what runs by itself. */
export const stop = new AbortController();

const violations: string[] = [];

/** Notes that something happened that never must. */
export function violated(what: string): void {
  violations.push(what);
  console.error(`violated: ${what}`);
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
