/** The longest delay that `setTimeout` takes: with a longer one it fires at once. */
const MAX_DELAY = 2 ** 31 - 1;

/**
 * Calls `expire` once after a time of any length.
 *
 * @param milliseconds the time; `Infinity` never expires
 * @param expire what to call
 * @returns stops the timer
 */
export function startTimer(milliseconds: number, expire: () => void): () => void {
  if (milliseconds === Infinity) return () => {};
  const deadline = performance.now() + milliseconds;
  let timer: ReturnType<typeof setTimeout>;
  const start = (): void => {
    const left = deadline - performance.now();
    timer = left > MAX_DELAY ? setTimeout(start, MAX_DELAY) : setTimeout(expire, Math.max(left, 0));
  };
  start();
  return () => clearTimeout(timer);
}
