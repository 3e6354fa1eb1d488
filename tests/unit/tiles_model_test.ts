/**
 * The words of tiles, in every order of the steps of those who commit and of one who copies: no change is missed, no
 * tile is torn. What is modelled here is `ffi/native/shim/tiles.c`, load by load and store by store.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Actor, BLOCKED, DONE, interleave, type Outcome, type Step } from "../support/interleavings.ts";

/** What a commit names: its tile, or none. */
type Kind = "ranged" | "plain";

/** A mistake that the model must find. */
type Fault =
  | "ranged before the tiles"
  | "ranged before whole"
  | "no whole"
  | "copies before the revision"
  | "believes a gap"
  | "no look at the mutex after"
  | "no look at the tiles after"
  | "takes an abandoned region";

/** What one who commits remembers. */
interface Committer {
  revision: number;
  seen: number;
  mends: boolean;
}

interface State {
  revision: number;
  ranged: number;
  whole: number;
  tiles: number[];
  /** Who holds the mutex: 0 is nobody. */
  owner: number;
  abandoned: boolean;
  dead: number[];
  /** The two halves of each tile: bits of the writes that are in them. */
  data: [number, number][];
  /** By revision: the writes that are committed with it, of each tile. */
  committed: Record<number, number[]>;
  /** By revision: all of the data, as its committer left it. */
  history: Record<number, number[]>;
  committers: Committer[];
  copy: [number, number][];
  reader: {
    call: number;
    since: number;
    now: number;
    all: boolean;
    before: number;
    end: number;
    tries: number;
    fault?: string;
  };
}

const TILES = 2;
const MAX_TRIES = 3;

function initial(committers: number): State {
  return {
    revision: 1, // so that a reader can know a revision
    ranged: 0,
    whole: 0,
    tiles: [0, 0],
    owner: 0,
    abandoned: false,
    dead: [],
    data: [[0, 0], [0, 0]],
    committed: {},
    history: { 1: [0, 0] },
    committers: Array.from({ length: committers }, () => ({ revision: 0, seen: 0, mends: false })),
    copy: [[0, 0], [0, 0]],
    reader: { call: 0, since: 1, now: 0, all: false, before: 0, end: 0, tries: 0 },
  };
}

const raise = (before: number, to: number): number => Math.max(before, to);

/** The steps of a commit, from place `from` on, and then to `next`. */
function commitSteps(
  id: number,
  tile: number,
  kind: Kind,
  bit: number,
  next: string | typeof DONE,
  fault?: Fault,
): Record<string, Step<State>> {
  const own = (state: State): Committer => state.committers[id]!;
  const at = (place: string): string => `${place} ${bit}`;
  const isPlain = (state: State): boolean => kind === "plain" || own(state).mends;
  const tail: Record<string, Step<State>> = {
    [at("look at ranged")]: (state) => {
      own(state).seen = state.ranged;
      const hasGap = state.ranged < own(state).revision - 1 && fault !== "no whole";
      if (fault === "ranged before whole") return at("raise ranged");
      return at(hasGap ? "raise whole" : "raise ranged");
    },
    [at("raise whole")]: (state) => {
      state.whole = raise(state.whole, own(state).revision - 1);
      return fault === "ranged before whole" ? next : at("raise ranged");
    },
    [at("raise ranged")]: (state) => {
      state.ranged = raise(state.ranged, own(state).revision);
      if (fault === "ranged before the tiles") return at("raise the tile");
      if (fault === "ranged before whole" && own(state).seen < own(state).revision - 1) {
        return at("raise whole");
      }
      return next;
    },
  };
  return {
    [at("add")]: (state) => {
      own(state).revision = ++state.revision;
      const writes = [0, 0];
      for (let index = 0; index < TILES; index++) {
        if (index === tile || own(state).mends) writes[index] = bit;
      }
      state.committed[state.revision] = writes;
      state.history[state.revision] = state.data.map(([half]) => half);
      if (isPlain(state)) return next;
      return at(fault === "ranged before the tiles" ? "look at ranged" : "raise the tile");
    },
    [at("raise the tile")]: (state) => {
      state.tiles[tile] = raise(state.tiles[tile]!, own(state).revision);
      return fault === "ranged before the tiles" ? next : at("look at ranged");
    },
    ...tail,
  };
}

/* -------------------------------------------------- no mutex: is every commit told? ---- */

/** Commits one thing after the other, without a mutex: each write is a single step. */
function committer(id: number, jobs: readonly [tile: number, kind: Kind][], fault?: Fault): Actor<State> {
  let steps: Record<string, Step<State>> = {};
  for (const [index, [tile, kind]] of jobs.entries()) {
    const bit = 1 << (id * 4 + index);
    const next = index + 1 < jobs.length ? `write ${bit << 1}` : DONE;
    steps = {
      ...steps,
      [`write ${bit}`]: (state) => {
        state.data[tile] = state.data[tile]!.map((half) => half | bit) as [number, number];
        return `add ${bit}`;
      },
      ...commitSteps(id, tile, kind, bit, next, fault),
    };
  }
  return { name: `committer ${id}`, steps, mortal: true };
}

/** What the copy lacks of what was committed up to a revision. */
function missing({ committed, copy }: State, revision: number): string | undefined {
  for (const [number, writes] of Object.entries(committed)) {
    if (Number(number) > revision) continue;
    for (const [tile, bit] of writes.entries()) {
      if ((copy[tile]![0] & bit) !== bit) {
        return `tile ${tile} of the copy at ${revision} lacks revision ${number}`;
      }
    }
  }
  return undefined;
}

/** Copies twice, without looking for torn tiles. */
function copier(fault?: Fault): Actor<State> {
  const steps: Record<string, Step<State>> = {
    "look at the revision": (state) => {
      state.reader.now = state.revision;
      return state.reader.now === state.reader.since ? "end" : "look at ranged";
    },
    "look at ranged": (state) => {
      const { reader } = state;
      reader.all = state.ranged < reader.now && fault !== "believes a gap";
      return reader.all ? "copy 0" : "look at whole";
    },
    "look at whole": (state) => {
      state.reader.all = state.whole > state.reader.since;
      return state.reader.all ? "copy 0" : "look at tile 0";
    },
  };
  for (let tile = 0; tile < TILES; tile++) {
    const next = tile + 1 < TILES ? tile + 1 : undefined;
    steps[`look at tile ${tile}`] = (state) => {
      if (state.tiles[tile]! > state.reader.since) return `copy ${tile}`;
      return next === undefined ? "end" : `look at tile ${next}`;
    };
    steps[`copy ${tile}`] = (state) => {
      state.copy[tile] = [...state.data[tile]!];
      if (next === undefined) return "end";
      return state.reader.all ? `copy ${next}` : `look at tile ${next}`;
    };
  }
  steps["end"] = (state) => {
    const { reader } = state;
    // The mistake: whatever came during the copy counts as copied.
    reader.since = fault === "copies before the revision" ? state.revision : reader.now;
    const fail = missing(state, reader.since);
    if (fail !== undefined) reader.fault = fail;
    return ++reader.call < 2 ? "look at the revision" : DONE;
  };
  return { name: "reader", steps };
}

const check = (state: State): string | undefined => state.reader.fault;

function told(jobs: readonly (readonly [tile: number, kind: Kind][])[], fault?: Fault): Outcome {
  return interleave({
    initial: initial(jobs.length),
    actors: [...jobs.map((job, id) => committer(id, job, fault)), copier(fault)],
    check,
  });
}

const JOBS: readonly (readonly (readonly [tile: number, kind: Kind][])[])[] = [
  [[[0, "ranged"], [1, "ranged"]], [[1, "ranged"]]],
  [[[0, "ranged"], [1, "ranged"]], [[1, "plain"]]],
  [[[0, "ranged"], [1, "plain"]], [[0, "ranged"]]],
  [[[0, "plain"], [0, "ranged"]], [[1, "ranged"]]],
  [[[0, "ranged"]], [[0, "ranged"]]],
  [[[0, "ranged"]], [[1, "ranged"]], [[1, "plain"]]],
];

for (const jobs of JOBS) {
  const name = jobs.map((job) => job.map(([tile, kind]) => `${kind} ${tile}`).join(", ")).join("; ");
  Deno.test(`model: whoever copies misses no commit, whoever dies in the middle: ${name}`, () => {
    const { fault, states, ends } = told(jobs);
    assertEquals(fault, undefined);
    assert(states > 1000 && ends > 5, `${states} states, ${ends} ends`);
  });
}

for (
  const fault of [
    "ranged before the tiles",
    "ranged before whole",
    "no whole",
    "copies before the revision",
    "believes a gap",
  ] as const
) {
  Deno.test(`model: a mistake is found: ${fault}`, () => {
    assert(JOBS.some((jobs) => told(jobs, fault).fault !== undefined));
  });
}

Deno.test("model: a fault is explained by the steps that lead to it", () => {
  const { fault = "" } = told(JOBS[0]!, "copies before the revision");
  assertStringIncludes(fault, "lacks revision");
  assertStringIncludes(fault, "committer 0: add 1");
});

/* ------------------------------------------------------- the mutex: is a tile ever torn? ---- */

/** Locks, writes a tile half by half, commits, unlocks. Who finds the mutex abandoned writes both tiles anew. */
function writer(id: number, tile: number, kind: Kind): Actor<State> {
  const bit = 1 << (id * 4);
  const owner = id + 1;
  const write = (at: number, half: 0 | 1): Step<State> => (state) => {
    // What mends writes over what was half written; what does not adds to what is there.
    const base = state.committers[id]!.mends ? 0 : state.data[at]![half];
    state.data[at]![half] = base | bit;
    if (half === 0) return `write ${at} second`;
    return state.committers[id]!.mends && at === tile ? `write ${1 - tile} first` : `add ${bit}`;
  };
  return {
    name: `writer ${id}`,
    mortal: true,
    died: (state) => state.dead.push(owner),
    steps: {
      lock(state) {
        if (state.owner !== 0) return BLOCKED;
        state.owner = owner;
        state.committers[id]!.mends = state.abandoned;
        state.abandoned = false;
        return `write ${tile} first`;
      },
      [`write ${tile} first`]: write(tile, 0),
      [`write ${tile} second`]: write(tile, 1),
      [`write ${1 - tile} first`]: write(1 - tile, 0),
      [`write ${1 - tile} second`]: write(1 - tile, 1),
      ...commitSteps(id, tile, kind, bit, "unlock"),
      unlock(state) {
        state.owner = 0;
        return DONE;
      },
    },
  };
}

/** Abandons what the dead hold, some time after their death. */
const undertaker: Actor<State> = {
  name: "undertaker",
  steps: {
    abandon(state) {
      if (!state.dead.includes(state.owner)) return BLOCKED;
      state.owner = 0;
      state.abandoned = true;
      return "abandon";
    },
  },
};

/** Copies both tiles, each with the checks before and after, and says whether all is of one revision. */
function carefulReader(fault?: Fault): Actor<State> {
  const isQuiet = (state: State): boolean =>
    state.owner === 0 && (!state.abandoned || fault === "takes an abandoned region");
  const steps: Record<string, Step<State>> = {
    "look at the revision": (state) => {
      const { reader } = state;
      reader.now = state.revision;
      reader.all = true; // which tiles are wanted is the other model's
      return "look at the mutex 0";
    },
  };
  for (let tile = 0; tile < TILES; tile++) {
    const retry = (state: State): string | typeof DONE =>
      ++state.reader.tries < MAX_TRIES ? `look at the mutex ${tile}` : DONE;
    const next = tile + 1 < TILES ? `look at the mutex ${tile + 1}` : "end";
    const accept = (state: State): string => {
      const [first, second] = state.copy[tile]!;
      if (first !== second) state.reader.fault = `tile ${tile} is torn`;
      return next;
    };
    steps[`look at the mutex ${tile}`] = (state) =>
      isQuiet(state) ? `note the revision ${tile}` : retry(state);
    steps[`note the revision ${tile}`] = (state) => {
      state.reader.before = state.revision;
      return `copy ${tile} first`;
    };
    steps[`copy ${tile} first`] = (state) => {
      state.copy[tile]![0] = state.data[tile]![0];
      return `copy ${tile} second`;
    };
    steps[`copy ${tile} second`] = (state) => {
      state.copy[tile]![1] = state.data[tile]![1];
      return fault === "no look at the mutex after"
        ? `check the revision ${tile}`
        : `check the mutex ${tile}`;
    };
    steps[`check the mutex ${tile}`] = (state) =>
      isQuiet(state) ? `check the revision ${tile}` : retry(state);
    steps[`check the revision ${tile}`] = (state) => {
      state.reader.end = state.revision;
      if (state.reader.end === state.reader.before || fault === "no look at the tiles after") {
        return accept(state);
      }
      return `check ranged ${tile}`;
    };
    steps[`check ranged ${tile}`] = (state) =>
      state.ranged >= state.reader.end ? `check whole ${tile}` : retry(state);
    steps[`check whole ${tile}`] = (state) =>
      state.whole <= state.reader.before ? `check tile ${tile}` : retry(state);
    steps[`check tile ${tile}`] = (state) =>
      state.tiles[tile]! <= state.reader.before ? accept(state) : retry(state);
  }
  steps["end"] = (state) => {
    const { reader, copy, history } = state;
    // The same revision as at the beginning: the copy claims to be exactly that.
    const wanted = JSON.stringify(history[reader.now]);
    const got = JSON.stringify(copy.map(([half]) => half));
    if (state.revision === reader.now && got !== wanted) {
      reader.fault = `the copy of revision ${reader.now} is ${got}, not ${wanted}`;
    }
    return DONE;
  };
  return { name: "reader", steps };
}

function torn(kinds: readonly [Kind, Kind], sameTile: boolean, fault?: Fault): Outcome {
  return interleave({
    initial: initial(2),
    actors: [writer(0, 0, kinds[0]), writer(1, sameTile ? 0 : 1, kinds[1]), undertaker, carefulReader(fault)],
    check,
  });
}

const KINDS: readonly [Kind, Kind][] = [["ranged", "ranged"], ["ranged", "plain"], ["plain", "plain"]];

for (const kinds of KINDS) {
  for (const sameTile of [true, false]) {
    const name = `${kinds.join(" and ")}, ${sameTile ? "one tile" : "two tiles"}`;
    Deno.test(`model: no tile is torn, and what is called consistent is: ${name}`, () => {
      const { fault, states } = torn(kinds, sameTile);
      assertEquals(fault, undefined);
      assert(states > 1000, `${states} states`);
    });
  }
}

for (
  const fault of [
    "no look at the mutex after",
    "no look at the tiles after",
    "takes an abandoned region",
  ] as const
) {
  Deno.test(`model: a mistake is found: ${fault}`, () => {
    assert(KINDS.some((kinds) => torn(kinds, true, fault).fault !== undefined));
  });
}
