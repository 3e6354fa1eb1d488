/**
 * A line of the table: what was measured, and whether it holds.
 *
 * @module
 */
import type { Options } from "./options.ts";
import { type Spread, spreadOf } from "./statistics.ts";

/** What a number must be. Ratios are of two things measured by turns in the same run; times are in nanoseconds. */
export type Bound =
  | { readonly kind: "ratio at most"; readonly limit: number }
  | { readonly kind: "ratio at least"; readonly limit: number }
  | { readonly kind: "time below"; readonly limit: number };

/** A line of the table. Times are in nanoseconds. */
export interface Row {
  /** What was measured. */
  readonly name: string;
  /** What the library takes, over the rounds. */
  readonly ours: Spread;
  /** What it is compared with, and what that takes. */
  readonly baseline: { readonly name: string; readonly time: Spread } | null;
  /** Of the two, in each round. */
  readonly ratio: Spread | null;
  /** What it must be; null where it is only told. */
  readonly bound: Bound | null;
  /** Whether it is; null where it need not. */
  readonly holds: boolean | null;
  /** What one should know with it. */
  readonly note: string | null;
}

/** What a round of each brought; the n-th rounds of both were next to each other. */
export interface Rounds {
  readonly name: string;
  readonly ours: readonly number[];
  readonly baseline?: { readonly name: string; readonly rounds: readonly number[] };
  readonly bound?: Bound;
  readonly note?: string;
}

/** Makes a line of what the rounds brought. A ratio at least is of speeds, one at most of times. */
export function rowOf({ name, ours, baseline, bound, note }: Rounds): Row {
  const inverse = bound?.kind === "ratio at least";
  const ratios = baseline?.rounds.map((theirs, round) => {
    const ratio = ours[round]! / theirs;
    return inverse ? 1 / ratio : ratio;
  });
  const ratio = ratios === undefined ? null : spreadOf(ratios);
  const time = spreadOf(ours);
  return {
    name,
    ours: time,
    baseline: baseline === undefined ? null : { name: baseline.name, time: spreadOf(baseline.rounds) },
    ratio,
    bound: bound ?? null,
    holds: bound === undefined ? null : isHeld(bound, time, ratio),
    note: note ?? null,
  };
}

function isHeld({ kind, limit }: Bound, time: Spread, ratio: Spread | null): boolean {
  if (kind === "time below") return time.median < limit;
  if (ratio === null) throw new TypeError("Cannot judge a ratio of one thing");
  return kind === "ratio at most" ? ratio.median <= limit : ratio.median >= limit;
}

/** Something that is measured: gives its lines. */
export interface Bench {
  /** What `--only` calls it. */
  readonly key: string;
  /** Measures. */
  run(options: Options): Promise<Row[]>;
}
