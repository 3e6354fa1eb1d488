/**
 * The times of the commits, in a small region: the writer notes the time before it commits, and the reader looks it up
 * when it wakes. Both read the same clock.
 *
 * @module
 */
import { load } from "../../ffi/load.ts";

/** The number of commits of a region that are kept. */
export const REMEMBERED = 64;

/** A clock that is the same in all processes of this machine, in nanoseconds. */
export async function sharedClock(): Promise<() => number> {
  const { shim } = await load();
  return () => shim.shim_clock();
}

/** The length of the region that remembers the commits of so many regions. */
export function stampBytes(regions: number): number {
  return regions * REMEMBERED * 16;
}

/** Where a commit is remembered: its revision, then its time. */
function slotOf(region: number, revision: number): number {
  return (region * REMEMBERED + revision % REMEMBERED) * 2;
}

/** Notes when a commit is made. */
export function putStamp(stamps: Float64Array, region: number, revision: number, time: number): void {
  const slot = slotOf(region, revision);
  stamps[slot + 1] = time;
  stamps[slot] = revision;
}

/**
 * When the first commit after a known one was made, or the first that is remembered: what a reader waited since.
 *
 * @param known the revision that the reader has seen
 * @param revision the one that it sees now
 * @returns the time, `undefined` if nothing is noted
 */
export function stampAfter(
  stamps: ArrayLike<number>,
  region: number,
  known: number,
  revision: number,
): number | undefined {
  const first = Math.max(known + 1, revision - REMEMBERED / 2);
  const slot = slotOf(region, first);
  return stamps[slot] === first ? stamps[slot + 1] : undefined;
}
