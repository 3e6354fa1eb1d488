/**
 * What is to happen in a round: decided by the seed alone, before anything runs.
 *
 * @module
 */

/** Who can be disturbed. */
export type Role = "broker" | "server" | "client" | "holder" | "reader" | "taker";

/** Who takes part, in the order of the plan's numbers. */
export const CAST: readonly string[] = [
  "broker",
  "server",
  "client1",
  "client2",
  "client3",
  "holder1",
  "holder2",
  "reader1",
  "reader2",
  "taker1",
  "taker2",
];

/** Disturbances. */
export const KINDS = ["kill", "kill-holding", "stop", "exhaust", "slow"] as const;

/** A disturbance. */
export type Kind = typeof KINDS[number];

/** Which broker a cast has: the first that comes, a process of its own, or the Swift agent. */
export type BrokerKind = "elected" | "process" | "agent";

/** Something that happens to one of the cast. */
export interface Disturbance {
  /** When, in milliseconds from the round's begin. */
  readonly at: number;
  /** To whom: a name of {@linkcode CAST}. */
  readonly to: string;
  readonly kind: Kind;
  /** How long, in milliseconds; for a kill, how long until the next one is started. */
  readonly lasts: number;
}

/** Which of the roles somebody has. */
export function roleOf(name: string): Role {
  return name.replace(/\d+$/, "") as Role;
}

/** Numbers that look random and are the same for the same seed: the generator "mulberry32". */
function numbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** Who can be killed while it holds something: a lock, or frames of a stream. */
const HOLDING: readonly Role[] = ["holder", "reader", "taker"];

/** Who can be told not to run its event loop for a while. */
const SLOW: readonly Role[] = ["client", "reader"];

const MAX_DISTURBANCES = 8;
const WINDOW = 500;
const LONGEST = 400;

/**
 * Plans a round.
 *
 * @param seed of the run
 * @param round its number, from 1
 * @param broker which broker the cast has
 * @param kinds what may happen
 * @returns what happens, in order
 */
export function plan(
  seed: number,
  round: number,
  broker: BrokerKind,
  kinds: readonly Kind[],
): readonly Disturbance[] {
  const next = numbers(seed * 1000 + round);
  const disturbances: Disturbance[] = [];
  const count = 1 + next(MAX_DISTURBANCES);
  for (let index = 0; index < count; index++) {
    const kind = kinds[next(kinds.length)]!;
    const candidates = CAST.filter((name) => applies(kind, name, broker));
    if (candidates.length === 0) continue; // nobody here to whom that could happen
    const to = candidates[next(candidates.length)]!;
    disturbances.push({ at: next(WINDOW), to, kind, lasts: 20 + next(LONGEST) });
  }
  return disturbances.sort((one, other) => one.at - other.at);
}

function applies(kind: Kind, name: string, broker: BrokerKind): boolean {
  const role = roleOf(name);
  if (role === "broker" && broker === "elected") return false; // it is one of the others
  if (kind === "kill-holding") return HOLDING.includes(role);
  if (kind === "slow") return SLOW.includes(role);
  return true;
}

/** The plan as text, a line for each disturbance. */
export function describe(plan: readonly Disturbance[]): string {
  return plan.map(({ at, to, kind, lasts }) => `  ${String(at).padStart(4)} ms  ${kind} ${to} (${lasts} ms)`)
    .join("\n");
}
