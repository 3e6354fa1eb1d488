/**
 * The error numbers that the shim returns, in words.
 *
 * @module
 */

/** What a number means whatever was being done. The numbers are the same on Linux and macOS. */
const REASONS: Readonly<Record<number, string>> = {
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

/** EMSGSIZE is one of the few numbers that the two systems do not share. */
const EMSGSIZE = Deno.build.os === "darwin" ? 40 : 90;

/** What a number means for one operation, where that is more than {@linkcode REASONS} can say. */
const REASONS_BY_OPERATION = {
  /** Mapping memory that another process made. */
  map: {
    1: "the memory is not sealed, so its maker could shrink it while it is in use",
    9: "the descriptor that came with it is not open",
    22: "what was sent is not memory that can be shared",
    [EMSGSIZE]: "the memory is shorter than its sender says",
  },
  /** Making pages resident before they are used. */
  prefault: {
    12:
      "it exceeds the memory limit of the process (memory.max of its control group) or the machine's free memory",
  },
} as const satisfies Record<string, Readonly<Record<number, string>>>;

/** An operation whose errors have words of their own. */
export type ErrorOperation = keyof typeof REASONS_BY_OPERATION;

/**
 * Says what a negative error number means.
 *
 * @param result what the shim returned
 * @param operation what was being done, where that changes the meaning
 * @returns a clause, as in "Cannot map a region: …"
 */
export function describeError(result: number, operation?: ErrorOperation): string {
  const number = -result;
  const own: Readonly<Record<number, string>> = operation === undefined
    ? {}
    : REASONS_BY_OPERATION[operation];
  return own[number] ?? REASONS[number] ?? `error ${number}`;
}
