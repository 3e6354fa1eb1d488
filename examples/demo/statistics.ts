/** The percentiles of many samples. */
export interface Distribution {
  /** Half of the samples are at most this. */
  readonly p50: number;
  /** 99 of 100 are at most this. */
  readonly p99: number;
  /** How many there were. */
  readonly samples: number;
}

/**
 * The distribution of samples, to a tenth.
 *
 * @param samples in any order
 * @returns percentiles by the nearest rank; zeros if there are no samples
 */
export function distribution(samples: readonly number[]): Distribution {
  const sorted = Float64Array.from(samples).sort();
  const rank = (part: number): number =>
    round(sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? 0, 1);
  return { p50: rank(0.5), p99: rank(0.99), samples: sorted.length };
}

/** Rounds to so many digits after the point. */
export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
