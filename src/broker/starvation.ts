/** How long it may last, in milliseconds: a process may be out of descriptors for a moment. */
export const STARVATION_PATIENCE = 1000;

/**
 * Whether an error says that this process, or the one at the other end, has no descriptor left. All such errors name the
 * way out.
 */
export function isStarved(error: Error): boolean {
  return error.message.includes("ulimit -n");
}
