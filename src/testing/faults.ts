/** A message on its way through a {@linkcode FaultProxy}. */
export interface PassingMessage {
  /** Who sent it. */
  readonly from: "client" | "server";
  /** Whether its sender waits for a reply, whether it is the reply to a request, or neither. */
  readonly type: "request" | "reply" | "message";
  /** What it is for: a request's `op`, which its reply has too, or an `event`. Empty where it has neither. */
  readonly op: string;
  /** Which connection it is on: 1 for the first client that came. */
  readonly connection: number;
}

/**
 * What to do to a message:
 *
 * - `"drop"`: nobody gets it, and nobody is told: who waits for a reply waits on.
 * - `"close"`: both connections end before it passes, as if the process at each end had died.
 * - `{ delay }`: it passes so many milliseconds later; what its sender sent after it waits behind it.
 */
export type FaultAction = "drop" | "close" | { readonly delay: number };

/**
 * Decides about each message that passes; `undefined` lets it through. A plan that returns a promise holds the message
 * back until that resolves, so that a test can go on at a moment that it knows.
 */
export type FaultPlan = (
  message: PassingMessage,
) => FaultAction | undefined | Promise<FaultAction | undefined>;

/** Which message is meant, for {@linkcode at}: each field that is left out fits every message. */
export interface FaultStep {
  /** Who sends it. */
  readonly from?: "client" | "server" | undefined;
  /** Request, reply or neither. */
  readonly type?: "request" | "reply" | "message" | undefined;
  /** What it is for: "hello", "open", "bell". */
  readonly op?: string | undefined;
  /**
   * Counts the messages that fit, on all connections, from 1: only the one of this number is meant.
   *
   * @default {every message that fits}
   */
  readonly nth?: number | undefined;
}

/**
 * Makes a plan of one fault.
 *
 * @param step which message
 * @param action what to do to it
 * @returns the plan
 * @throws {RangeError} if `nth` is not a positive integer, or a delay is negative
 * @example The first request for a region gets no answer
 * ```ts
 * import { at } from "@xpc/shmem/testing";
 *
 * const plan = at({ type: "request", op: "open", nth: 1 }, "drop");
 * plan({ from: "client", type: "request", op: "open", connection: 1 }); // "drop"
 * plan({ from: "client", type: "request", op: "open", connection: 1 }); // undefined
 * ```
 */
export function at(step: FaultStep, action: FaultAction): FaultPlan {
  const { from, type, op, nth } = step;
  if (nth !== undefined && !(Number.isSafeInteger(nth) && nth > 0)) {
    throw new RangeError(`Cannot plan a fault: "nth" is ${nth}, want an integer from 1`);
  }
  if (typeof action === "object" && !(action.delay >= 0)) {
    throw new RangeError(`Cannot plan a fault: "delay" is ${action.delay}, want 0 or more milliseconds`);
  }
  let seen = 0;
  return (message) => {
    const fits = (from === undefined || message.from === from) &&
      (type === undefined || message.type === type) &&
      (op === undefined || message.op === op);
    if (!fits) return undefined;
    seen++;
    return nth === undefined || seen === nth ? action : undefined;
  };
}
