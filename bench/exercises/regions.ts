/**
 * Making several regions in one process and mapping them in the other, as two apps do when they start.
 *
 * @module
 */
import { delay } from "@std/async/delay";
import type { Party, Together } from "../party.ts";

/** What to make. */
export interface Making extends Together {
  /** How many regions. */
  readonly count: number;
  /** The length of each. */
  readonly byteLength: number;
}

/** What it took. */
export interface Made {
  /** When it began, or was done, on the shared clock. */
  readonly at: number;
  /** The resident memory before and after, in bytes. */
  readonly resident: readonly [number, number];
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `frame ${index}`);
}

/** Adds the regions and says so by a commit. */
export async function addRegions(party: Party, { count, byteLength }: Making): Promise<Made> {
  await delay(50); // until the other waits
  const before = Deno.memoryUsage().rss;
  const at = party.clock();
  for (const name of names(count)) await party.server!.add(name, { byteLength });
  party.region("ball").commit();
  await delay(50); // until the other is done
  return { at, resident: [before, Deno.memoryUsage().rss] };
}

/** Opens them all, and then views the last byte of each: `viewed` is when that was done. */
export async function openRegions(party: Party, making: Making): Promise<Made & { viewed: number }> {
  const { count, byteLength, revisions } = making;
  const region = party.region("ball");
  const before = Deno.memoryUsage().rss;
  await region.changes({ after: revisions["ball"] }).next();
  const opened = await Promise.all(names(count).map((name) => party.client!.open(name)));
  const at = party.clock();
  const views = opened.map((each) => each.view(Uint8Array));
  const viewed = party.clock();
  const resident = [before, Deno.memoryUsage().rss] as const;
  if (views.some((view) => view.length !== byteLength)) throw new Error("Cannot see all of the regions");
  return { at, viewed, resident };
}
