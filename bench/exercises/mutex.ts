/**
 * Locking and unlocking what nobody else wants.
 *
 * @module
 */
import type { LockGuard } from "../../mod.ts";
import type { Party } from "../party.ts";

/** How often. */
export interface Locks {
  /** The pairs of a batch. */
  readonly pairs: number;
  /** How many batches are measured; one more warms up. */
  readonly batches: number;
}

type Loop = (party: Party, pairs: number) => void;

function batchesOf(loop: Loop): (party: Party, locks: Locks) => number[] {
  return (party, { pairs, batches }) => {
    const times: number[] = [];
    for (let batch = -1; batch < batches; batch++) {
      const begin = party.clock();
      loop(party, pairs);
      if (batch >= 0) times.push((party.clock() - begin) / pairs);
    }
    return times;
  };
}

function have(guard: LockGuard | undefined): LockGuard {
  if (guard === undefined) throw new Error("Cannot go on: somebody holds the mutex");
  return guard;
}

/** `tryLock()` and `unlock()`: the nanoseconds of a pair, for each batch. */
export const tryLocks = batchesOf(({ region }, pairs) => {
  const { mutex } = region("ball");
  for (let pair = 0; pair < pairs; pair++) have(mutex.tryLock()).unlock();
});

/** `lockSync()` and `unlock()`. */
export const syncLocks = batchesOf(({ region }, pairs) => {
  const { mutex } = region("ball");
  for (let pair = 0; pair < pairs; pair++) mutex.lockSync().unlock();
});

/** `lockSync()` with `using`. */
export const usingLocks = batchesOf(({ region }, pairs) => {
  const { mutex } = region("ball");
  for (let pair = 0; pair < pairs; pair++) {
    using _ = mutex.lockSync();
  }
});

/** `with()` of a function that does next to nothing. */
export const withLocks = batchesOf(({ region }, pairs) => {
  const { mutex } = region("ball");
  let count = 0;
  for (let pair = 0; pair < pairs; pair++) mutex.with(() => count++);
  if (count !== pairs) throw new Error("Cannot go on: somebody holds the mutex");
});

const nothing: Disposable = { [Symbol.dispose]: () => {} };

/** `using` with something that does nothing: what the language takes by itself. */
export const usingNothing = batchesOf((_, pairs) => {
  for (let pair = 0; pair < pairs; pair++) {
    using _ = nothing;
  }
});
