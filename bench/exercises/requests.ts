/**
 * Requests that the server answers with what it was asked.
 *
 * @module
 */
import type { Party } from "../party.ts";

/** How much. */
export interface Asked {
  /** The bytes of a request. */
  readonly byteLength: number;
  /** How many go there and back. */
  readonly count: number;
}

/** Sends requests and awaits each answer; gives the nanoseconds of each. Another realm answers meanwhile. */
export async function ask(party: Party, { byteLength, count }: Asked): Promise<number[]> {
  const bytes = new Uint8Array(byteLength);
  const [peer] = party.server?.peers ?? [];
  const asked = party.client ?? peer!;
  const times: number[] = [];
  for (let left = count; left > 0; left--) {
    const begin = party.clock();
    await asked.request(bytes);
    times.push(party.clock() - begin);
  }
  return times;
}

/** Is there, and answers what comes meanwhile. */
export function answer(): void {}
