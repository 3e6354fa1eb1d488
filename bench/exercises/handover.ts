/**
 * Handing a region over: from before the commit until the other thread, which spins, may use it.
 *
 * @module
 */
import type { Party, Together } from "../party.ts";

/** How to hand over. */
export interface Handovers extends Together {
  /** Which region. */
  readonly region: string;
  /** How many times. */
  readonly count: number;
}

/** Fills the region at both ends and hands it over; goes on when it was taken. */
export function handOver(party: Party, { region, count, revisions }: Handovers): void {
  const after = revisions[region]!;
  let answered = revisions["answer"]!;
  const spin = { spin: Infinity };
  const out = party.region(region);
  const answer = party.region("answer");
  const stamp = answer.view(Float64Array, 0, 1);
  const words = out.view(Uint32Array);
  for (let turn = 1; turn <= count; turn++) {
    words[0] = turn;
    words[words.length - 1] = turn;
    stamp[0] = party.clock();
    out.commit();
    answered = answer.waitSync(answered, spin);
  }
  if (out.revision !== after + count) throw new Error("Cannot count: the revision is not what it should be");
}

/** Takes it over each time; gives the nanoseconds that each took. */
export function takeOver(party: Party, { region, count, revisions }: Handovers): number[] {
  let after = revisions[region]!;
  const spin = { spin: Infinity };
  const taken = party.region(region);
  const answer = party.region("answer");
  const stamp = answer.view(Float64Array, 0, 1);
  const words = taken.view(Uint32Array);
  const times: number[] = [];
  for (let turn = 1; turn <= count; turn++) {
    after = taken.waitSync(after, spin);
    const now = party.clock();
    times.push(now - (stamp[0] ?? 0));
    if (words[0] !== turn || words[words.length - 1] !== turn) {
      throw new Error("Cannot trust this: what was handed over is not there");
    }
    for (const until = now + 2000; party.clock() < until;); // the other waits by now, so that each turn is alike
    answer.commit();
  }
  return times;
}
