/**
 * Runs small models of concurrent algorithms in every order in which their steps can follow each other.
 *
 * A model is a state of plain data, and actors. An actor is a machine: at each step it looks at the state, changes it,
 * and says where it goes on. What an actor remembers between its steps is in the state too, so that two ways to the same
 * state are followed once.
 *
 * @module
 */

/** What an actor does at one place: changes the state, and gives its next place. */
export type Step<S> = (state: S) => string | typeof BLOCKED | typeof DONE;

/** The step cannot be taken now: others have to go first. The state must be as it was. */
export const BLOCKED = Symbol("blocked");

/** The actor has ended. */
export const DONE = Symbol("done");

/** One of those whose steps are interleaved. */
export interface Actor<S> {
  /** For messages. */
  readonly name: string;
  /** Its steps by the name of the place; it begins at the first. */
  readonly steps: Readonly<Record<string, Step<S>>>;
  /** Whether it may die before each of its steps: it is never scheduled again. */
  readonly mortal?: boolean;
  /** Called on the state when it dies, at once: what the system does for the dead. */
  readonly died?: (state: S) => void;
}

/** What to run, and what must hold. */
export interface Model<S> {
  /** The state at first: plain data that survives JSON. */
  readonly initial: S;
  /** The actors. */
  readonly actors: readonly Actor<S>[];
  /** Gives what is wrong with a state that was reached, if anything is. */
  readonly check?: (state: S) => string | undefined;
  /** Gives what is wrong with a state in which nobody can go on; `stuck` are those who have not ended, nor died. */
  readonly checkEnd?: (state: S, stuck: readonly string[]) => string | undefined;
}

/** What came of all orders. */
export interface Outcome {
  /** How many states there are. */
  readonly states: number;
  /** How many of them are ends. */
  readonly ends: number;
  /** What is wrong first, if anything is, with the steps that lead there. */
  readonly fault: string | undefined;
}

/** The most states of one model: a larger one is a fault of the model. */
const MAX_STATES = 5_000_000;

interface Node<S> {
  readonly state: S;
  /** Where each actor is; `undefined`: it has ended or died. */
  readonly places: readonly (string | undefined)[];
  readonly before: Node<S> | undefined;
  readonly by: string;
}

/** Follows all orders, and all deaths. */
export function interleave<S>({ initial, actors, check, checkEnd }: Model<S>): Outcome {
  const first: Node<S> = {
    state: initial,
    places: actors.map(({ steps }) => Object.keys(steps)[0]),
    before: undefined,
    by: "",
  };
  const seen = new Set<string>([keyOf(first)]);
  const open = [first];
  let ends = 0;
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const wrong = check?.(node.state);
    if (wrong !== undefined) return { states: seen.size, ends, fault: explain(node, wrong) };
    let moved = false;
    for (const [index, actor] of actors.entries()) {
      for (const next of nextOf(node, index, actor)) {
        if (next.by === actor.name) moved = true;
        const key = keyOf(next);
        if (seen.has(key)) continue;
        seen.add(key);
        open.push(next);
      }
    }
    if (seen.size > MAX_STATES) throw new RangeError(`Cannot follow more than ${MAX_STATES} states`);
    if (moved) continue;
    ends++;
    const stuck = actors.filter((_, index) => node.places[index] !== undefined).map(({ name }) => name);
    const wrongEnd = checkEnd?.(node.state, stuck);
    if (wrongEnd !== undefined) return { states: seen.size, ends, fault: explain(node, wrongEnd) };
  }
  return { states: seen.size, ends, fault: undefined };
}

/** What can come next by one actor: its step, and its death. */
function nextOf<S>(node: Node<S>, index: number, actor: Actor<S>): Node<S>[] {
  const place = node.places[index];
  if (place === undefined) return [];
  const found: Node<S>[] = [];
  const state = copyOf(node.state);
  const next = actor.steps[place]!(state);
  if (next !== BLOCKED) {
    const places = node.places.with(index, next === DONE ? undefined : next);
    found.push({ state, places, before: node, by: actor.name });
  }
  if (actor.mortal === true) {
    const left = copyOf(node.state);
    actor.died?.(left);
    const places = node.places.with(index, undefined);
    found.push({ state: left, places, before: node, by: `${actor.name} dies` });
  }
  return found;
}

function copyOf<S>(state: S): S {
  return JSON.parse(JSON.stringify(state)) as S;
}

function keyOf<S>({ state, places }: Node<S>): string {
  return JSON.stringify([state, places]);
}

/** The way to a state, for people. */
function explain<S>(node: Node<S>, wrong: string): string {
  const steps: string[] = [];
  for (let at: Node<S> | undefined = node; at?.before !== undefined; at = at.before) {
    const moved = at.before.places.findIndex((place, index) => place !== at?.places[index]);
    steps.push(at.by.endsWith(" dies") ? at.by : `${at.by}: ${at.before.places[moved] ?? "again"}`);
  }
  return `${wrong}\n${steps.toReversed().join("\n")}\n${JSON.stringify(node.state)}`;
}
