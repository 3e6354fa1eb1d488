/**
 * Looks whether who holds a lock is alone in there.
 *
 * @module
 */
import type { LockGuard, WritableRegion } from "../../../mod.ts";
import { id, isKnown, pause, stop, violated } from "./common.ts";

/** How long word of a lost connection may take, in milliseconds: a lock that went with it is another's by right. */
const WORD_OF_LOSS = 3000;

/** That somebody died while it held a lock. */
export interface Told {
  readonly lock: string;
  /** The number of the one who died. */
  readonly holder: number;
}

/** From whom this program took locks over that died while they held them. */
export const told: Told[] = [];

/** A lock, and the word of a region that says who holds it. */
export interface Exclusion {
  readonly lock: string;
  readonly region: WritableRegion;
  readonly word: number;
}

/** Enters where only the lock's holder may be, stays as long as `during` takes, and leaves. */
export async function alone(
  exclusion: Exclusion,
  guard: LockGuard,
  during: () => Promise<void>,
): Promise<void> {
  const { lock, region, word } = exclusion;
  const words = region.view(BigUint64Array);
  const me = BigInt(id);
  const before = words[word]!;
  if (guard.abandoned) told.push({ lock, holder: Number(before) });
  else if (before !== 0n) {
    await unlessLost(region, `holder ${before} left the lock without being told abandoned (${lock})`);
  }
  words[word] = me;
  await during();
  if (words[word] !== me) {
    await unlessLost(region, `holder ${words[word]} came into the lock of ${me} (${lock})`);
  } else words[word] = 0n;
}

/** It is wrong, unless this connection ended and what it held with it. */
export async function unlessLost(held: { readonly orphaned: boolean }, what: string): Promise<void> {
  for (let waited = 0; waited < WORD_OF_LOSS; waited += 50) {
    if (held.orphaned || stop.signal.aborted || isKnown(what)) return;
    await pause(50);
  }
  violated(what);
}
