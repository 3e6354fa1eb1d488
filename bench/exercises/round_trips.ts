/**
 * A revision to the other process and back, on threads that do nothing else.
 *
 * @module
 */
import type { Party, Together } from "../party.ts";

/** How to go. */
export interface RoundTrips extends Together {
  /** The laps of a batch. */
  readonly laps: number;
  /** How many batches are measured; one more warms up. */
  readonly batches: number;
  /** How long a wait spins before it sleeps, in microseconds; -1 means that it never sleeps. */
  readonly spin: number;
}

/** The revisions of all regions, by name. */
export function revisions(party: Party): Record<string, number> {
  return Object.fromEntries(party.regions.map((name) => [name, party.region(name).revision]));
}

/** Commits and waits for the answer; gives the nanoseconds of a lap, for each batch. */
export function ping(party: Party, { laps, batches, spin, revisions }: RoundTrips): number[] {
  const region = party.region("ball");
  const options = { spin: spin < 0 ? Infinity : spin };
  const times: number[] = [];
  let known = revisions["ball"]!;
  for (let batch = -1; batch < batches; batch++) {
    const begin = party.clock();
    for (let lap = 0; lap < laps; lap++) {
      region.commit();
      known = region.waitSync(known + 1, options);
    }
    if (batch >= 0) times.push((party.clock() - begin) / laps);
  }
  return times;
}

/** Answers each commit with one. */
export function pong(party: Party, { laps, batches, spin, revisions }: RoundTrips): void {
  const region = party.region("ball");
  const options = { spin: spin < 0 ? Infinity : spin };
  let known = revisions["ball"]!;
  for (let left = laps * (batches + 1); left > 0; left--) {
    known = region.waitSync(known, options);
    region.commit();
    known++;
  }
}
