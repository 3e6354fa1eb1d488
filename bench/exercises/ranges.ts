/**
 * Bringing a copy of a large region up to date, of which little changed, and copying all of it.
 *
 * @module
 */
import type { Party } from "../party.ts";

/** What to copy. */
export interface Copying {
  /** How often each way. */
  readonly times: number;
}

/** What it took, in nanoseconds, each time. */
export interface Copied {
  readonly changes: number[];
  readonly whole: number[];
}

/** Commits a hundredth of the region, spread over it, and copies that; then copies everything. By turns. */
export function copyChanges(party: Party, { times }: Copying): Copied {
  const region = party.region("canvas");
  const { byteLength, tileBytes } = region;
  const tiles = Math.floor(byteLength / tileBytes);
  const changed = Math.max(1, Math.round(tiles / 100));
  const ranges = Array.from({ length: changed }, (_, index) => ({
    byteOffset: Math.floor(index * tiles / changed) * tileBytes,
    byteLength: tileBytes,
  }));
  region.commit();
  const copy = new Uint8Array(byteLength);
  let { revision } = region.copyChanges(copy); // touches all pages
  const result: Copied = { changes: [], whole: [] };
  for (let time = 0; time < times; time++) {
    region.commit(ranges);
    const begin = party.clock();
    const copied = region.copyChanges(copy, revision);
    result.changes.push(party.clock() - begin);
    if (copied.bytesCopied !== changed * tileBytes) {
      throw new Error("Cannot measure: more was copied than changed");
    }
    revision = copied.revision;
    const again = party.clock();
    region.copyChanges(copy);
    result.whole.push(party.clock() - again);
  }
  return result;
}
