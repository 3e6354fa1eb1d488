/**
 * Commits and those who wait for them, in every order of their steps: no wake is lost, whoever dies. What is modelled
 * here is `ffi/native/shim/revisions.c`, and what both ends of a link do when the other is gone.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Actor, BLOCKED, DONE, interleave, type Outcome } from "../support/interleavings.ts";

/** A mistake that the model must find. */
type Fault =
  | "looks before it parks"
  | "looks at who is parked before it adds"
  | "sleeps on whatever stands there"
  | "no look when the link ends"
  | "clears the word of another";

interface State {
  revision: number;
  /** What each committer saw of the waiter's parked word. */
  saw: number[];
  /** The waiter's parked word: bit 0 the doorbell, the bits above the threads. */
  parked: number;
  /** Rings that nobody took yet. */
  rings: number;
  asleep: boolean;
  /** The revision that the waiter knows. */
  known: number;
  seen: number;
  /** Committers that died and whose links have not ended yet. */
  dead: number;
  /** Rings at the server that it did not take yet, and the revision that it passed on. */
  serverRings: number;
  passed: number;
  served: number;
}

const INITIAL: State = {
  revision: 0,
  saw: [0, 0],
  parked: 0,
  rings: 0,
  asleep: false,
  known: 0,
  seen: 0,
  dead: 0,
  serverRings: 0,
  passed: 0,
  served: 0,
};

/** Wakes whom a parked word tells of. */
function wake(state: State, parked: number): void {
  if ((parked & 1) !== 0) state.rings++;
  if (parked >= 2) state.asleep = false;
}

/** Commits, and then wakes the waiter. */
function committer(id: number, fault?: Fault): Actor<State> {
  const isEarly = fault === "looks at who is parked before it adds";
  const look = (state: State): string => {
    state.saw[id] = state.parked;
    if (fault === "clears the word of another") state.parked = 0;
    return isEarly ? "add" : "wake";
  };
  const add = (state: State): string => {
    state.revision++;
    return isEarly ? "wake" : "look at the parked word";
  };
  return {
    name: `committer ${id}`,
    mortal: true,
    died: (state) => state.dead++,
    steps: {
      ...(isEarly ? { "look at the parked word": look, add } : { add, "look at the parked word": look }),
      wake(state) {
        wake(state, state.saw[id]!);
        return DONE;
      },
    },
  };
}

/** The end of a link: the survivor looks again, since the dead one may have committed and told nobody. */
function linkEnd(fault?: Fault): Actor<State> {
  return {
    name: "link",
    steps: {
      end(state) {
        if (state.dead === 0) return BLOCKED;
        state.dead--;
        if (fault !== "no look when the link ends") {
          state.rings++;
          state.asleep = false;
          state.serverRings++;
        }
        return "end";
      },
    },
  };
}

/** Waits for revisions by its doorbell, one after the other. */
function bellWaiter(fault?: Fault): Actor<State> {
  const look = (state: State): boolean => state.revision !== state.known;
  return {
    name: "waiter",
    steps: {
      park(state) {
        if (fault === "looks before it parks") return look(state) ? "take" : "park late";
        state.parked |= 1;
        return "look";
      },
      "park late"(state) {
        state.parked |= 1;
        return "sleep";
      },
      look: (state) => look(state) ? "unpark" : "sleep",
      sleep(state) {
        if (state.rings === 0) return BLOCKED;
        state.rings = 0;
        return "look";
      },
      unpark(state) {
        state.parked &= ~1;
        return "take";
      },
      take(state) {
        state.known = state.revision;
        return "park";
      },
    },
  };
}

/** Waits for revisions in the kernel. */
function threadWaiter(fault?: Fault): Actor<State> {
  return {
    name: "waiter",
    steps: {
      park(state) {
        state.parked += 2;
        return "look";
      },
      look(state) {
        state.seen = state.revision;
        return state.seen !== state.known ? "unpark" : "sleep";
      },
      // The kernel compares and falls asleep in one step.
      sleep(state) {
        if (state.revision !== state.seen && fault !== "sleeps on whatever stands there") return "look";
        state.asleep = true;
        return "asleep";
      },
      asleep: (state) => state.asleep ? BLOCKED : "look",
      unpark(state) {
        state.parked -= 2;
        return "take";
      },
      take(state) {
        state.known = state.revision;
        return "park";
      },
    },
  };
}

/** Nobody can go on: then the waiter knows the newest revision. */
function checkEnd(state: State): string | undefined {
  if (state.known === state.revision) return undefined;
  return `the waiter sleeps and knows revision ${state.known} of ${state.revision}`;
}

const WAITERS = { bell: bellWaiter, thread: threadWaiter } as const;

function run(how: keyof typeof WAITERS, fault?: Fault): Outcome {
  return interleave({
    initial: INITIAL,
    actors: [committer(0, fault), committer(1, fault), WAITERS[how](fault), linkEnd(fault)],
    checkEnd,
  });
}

for (const how of ["bell", "thread"] as const) {
  Deno.test(`model: no commit of two is missed by who waits by ${how}, whoever dies`, () => {
    const { fault, ends, states } = run(how);
    assertEquals(fault, undefined);
    assert(ends > 0 && states > 300, `${states} states, ${ends} ends`);
  });
}

const FAULTS: readonly (readonly [keyof typeof WAITERS, Fault])[] = [
  ["bell", "looks before it parks"],
  ["bell", "looks at who is parked before it adds"],
  ["thread", "looks at who is parked before it adds"],
  ["thread", "sleeps on whatever stands there"],
  ["bell", "no look when the link ends"],
  ["thread", "no look when the link ends"],
  ["bell", "clears the word of another"],
];

for (const [how, fault] of FAULTS) {
  Deno.test(`model: a mistake is found by ${how}: ${fault}`, () => {
    assert(run(how, fault).fault !== undefined);
  });
}

/* ------------------------------------------------------------------- over the server, to another client ---- */

/** A client that commits and rings the server, whose parked word is always set. */
const ringer = (id: number): Actor<State> => ({
  name: `client ${id}`,
  mortal: true,
  died: (state) => state.dead++,
  steps: {
    add(state) {
      state.revision++;
      return "ring";
    },
    ring(state) {
      state.serverRings++;
      return DONE;
    },
  },
});

/** The server: at each ring it wakes the waiter, if there is something that it has not passed on. */
const relay = (isForgetful: boolean): Actor<State> => ({
  name: "server",
  steps: {
    sleep(state) {
      if (state.serverRings === 0) return BLOCKED;
      state.serverRings = 0;
      return "look";
    },
    look(state) {
      state.served = state.revision;
      if (state.served === state.passed) return "sleep";
      if (!isForgetful) state.passed = state.served;
      return "look at the parked word";
    },
    "look at the parked word"(state) {
      state.saw[0] = state.parked;
      return "wake";
    },
    wake(state) {
      wake(state, state.saw[0]!);
      // The mistake: what came since the look counts as passed on.
      if (isForgetful) state.passed = state.revision;
      return "sleep";
    },
  },
});

function relayed(how: keyof typeof WAITERS, isForgetful = false, fault?: Fault): Outcome {
  // Its own link to the server lives; the dead ones' are the server's to end.
  const end: Actor<State> = {
    name: "link",
    steps: {
      end(state) {
        if (state.dead === 0) return BLOCKED;
        state.dead--;
        if (fault === undefined) state.serverRings++;
        return "end";
      },
    },
  };
  return interleave({
    initial: INITIAL,
    actors: [ringer(0), ringer(1), relay(isForgetful), WAITERS[how](), end],
    checkEnd,
  });
}

for (const how of ["bell", "thread"] as const) {
  Deno.test(`model: what two clients commit reaches a third over the server, by ${how}, whoever dies`, () => {
    const { fault, ends } = relayed(how);
    assertEquals(fault, undefined);
    assert(ends > 0);
  });

  Deno.test(`model: a mistake of the server is found, by ${how}`, () => {
    assert(relayed(how, true).fault !== undefined);
    assert(relayed(how, false, "no look when the link ends").fault !== undefined);
  });
}
