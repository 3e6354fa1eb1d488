/** A reader's progress in one region. */
export interface Place {
  /** The revision in shared memory; `undefined` where only the frames themselves tell it. */
  readonly word: number | undefined;
  /** The revision that the iterator yielded last. */
  readonly yielded: number;
  /** The revision whose frame was verified last; `undefined` where there are no frames. */
  readonly verified: number | undefined;
}

/**
 * Compares a reader's progress with the last commit.
 *
 * @param name the region's name
 * @param place how far the reader is
 * @param final the last revision that the writer committed
 * @returns what is missing, or `undefined` if nothing is
 */
export function missing(name: string, { word, yielded, verified }: Place, final: number): string | undefined {
  const cannot = `Cannot see revision ${final} of "${name}"`;
  if (word !== undefined && word !== final) return `${cannot}: the word shows ${word}`;
  if (yielded !== final) return `${cannot}: a wake-up was missed, the iterator yielded ${yielded} last`;
  if (verified === undefined || verified === final) return undefined;
  return `Cannot verify revision ${final} of "${name}": the last frame that could be is ${verified}`;
}
