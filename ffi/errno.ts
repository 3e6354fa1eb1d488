/**
 * The error numbers that the shim returns, in words.
 *
 * @module
 */

/** Numbers that are the same on Linux and macOS, and what they mean to us. */
const WORDS: Readonly<Record<number, string>> = {
  1: "the operation is not permitted",
  9: "the descriptor is not open",
  12: "there is not enough memory",
  13: "permission is denied",
  22: "the argument is not valid",
  23: "the system has no descriptor left",
  24: "the process has no descriptor left (see ulimit -n)",
  27: "it is too large for this system",
  28: "there is not enough memory left",
};

/** What differs: EMSGSIZE. */
const EMSGSIZE = Deno.build.os === "darwin" ? 40 : 90;

/** Says what a negative errno means. */
export function describeError(result: number): string {
  if (-result === EMSGSIZE) return "it is shorter than was said";
  return WORDS[-result] ?? `error ${-result}`;
}
