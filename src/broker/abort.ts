/**
 * Waits for a promise until a signal aborts. What the promise was about goes on; only the wait ends.
 *
 * @param promise what to wait for
 * @param signal ends the wait
 * @returns the value of the promise
 * @throws the signal's reason, if it aborts first
 */
export async function aborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  if (signal.aborted) promise.catch(() => {}); // nobody waits for it any more
  signal.throwIfAborted();
  const { promise: abort, reject } = Promise.withResolvers<never>();
  const listener = (): void => reject(signal.reason);
  signal.addEventListener("abort", listener, { once: true });
  try {
    return await Promise.race([promise, abort]);
  } finally {
    signal.removeEventListener("abort", listener);
  }
}

/**
 * Pauses.
 *
 * @param milliseconds how long
 * @param signal ends the pause
 * @throws the signal's reason, if it aborts first
 */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds);
  try {
    await aborted(promise, signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Pauses between two tries: twice as long after each one, and for another time in each process.
 *
 * @param attempt the number of tries before
 * @param longest the longest pause, in milliseconds
 * @param signal ends the pause
 * @throws the signal's reason, if it aborts first
 */
export async function backOff(attempt: number, longest: number, signal: AbortSignal): Promise<void> {
  await pause(Math.min(2 ** attempt, longest) * (0.5 + Math.random()), signal);
}
