/**
 * The slots of a stream as a model: `stream_writer.c` and `stream_reader.c`, one shared word a step, in every order, with
 * deaths at each step. It begins with all slots full, so that each frame needs a slot that was read before.
 *
 * @module
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Actor, BLOCKED, DONE, interleave, type Outcome, type Step } from "../support/interleavings.ts";

/** As `SHMEM_STREAM_TAKING`. */
const TAKING = 100;
const NONE = 99;

/** Faults that let a frame be overwritten while it is read: it is to be found that a reader trusts it. */
const tearing: ReadonlySet<Fault | undefined> = new Set(["no second look", "check before lease"]);

/** A fault to put into the algorithm: each must be found. */
type Fault =
  | "no second look"
  | "check before lease"
  | "no restore"
  | "zero for a mark"
  | "one look at all slots"
  | "tries again"
  | "takes the newest"
  | "believes the dead"
  | "publishes half"
  | "scans once"
  | "chooses before it asks"
  | "cursor goes ahead"
  | "trusts what was revoked";

interface Options {
  readonly slots: number;
  readonly orders: readonly ("newest" | "every")[];
  /** How many frames the writer publishes. */
  readonly frames: number;
  /** How many frames a reader takes at most. */
  readonly rounds: number;
  /** What a loan does when no slot is free: it must not come to that, it waits, or it takes the oldest back. */
  readonly full: "fault" | "wait" | "revoke";
  /** Whether the writer waits for readers of every frame. */
  readonly patient?: boolean;
  readonly mortal?: boolean;
  readonly fault?: Fault;
}

interface Reader {
  /** Where it looks at, and what it found: the number and the slot. */
  at: number;
  number: number;
  slot: number;
  last: number;
  /** A frame that could not be leased. */
  passed: number;
  half: number;
  rounds: number;
  dropped: number;
}

interface State {
  // The header.
  readonly sequence: number[];
  newest: number;
  newestSlot: number;
  /** What the slots hold: two halves of a frame. */
  readonly data: [number, number][];
  // The readers' words.
  readonly leased: number[][];
  readonly cursors: number[];
  /** What the system tells of the dead. */
  readonly gone: boolean[];
  // What the actors remember.
  readonly writer: {
    readonly numbers: number[];
    newestSlot: number;
    last: number;
    slot: number;
    readonly tried: boolean[];
    looks: number;
    who: number;
    wanted: number;
    dead: boolean;
  };
  readonly readers: Reader[];
  fault?: string;
}

function initialState({ slots, orders, patient = false, fault }: Options): State {
  const numbers = Array.from({ length: slots }, (_, slot) => slot + 1);
  // A patient writer's reader has asked for all before; another begins with the newest.
  const last = slots - 1;
  return {
    sequence: [...numbers],
    newest: slots,
    newestSlot: slots - 1,
    data: numbers.map((number) => [number, number]),
    leased: orders.map(() => numbers.map(() => 0)),
    cursors: orders.map(() => 0),
    gone: orders.map(() => false),
    writer: {
      numbers,
      newestSlot: slots - 1,
      last: slots,
      slot: 0,
      tried: numbers.map(() => false),
      looks: 0,
      who: 0,
      wanted: NONE,
      dead: false,
    },
    readers: orders.map((order) => ({
      at: 0,
      number: 0,
      slot: 0,
      // One that begins to read every frame looks for the newest itself.
      last: order === "every" && patient && fault !== "chooses before it asks" ? 0 : last,
      passed: 0,
      half: 0,
      rounds: 0,
      dropped: 0,
    })),
  };
}

function writerOf({ slots, orders, frames, full, patient = false, fault, mortal }: Options): Actor<State> {
  const total = slots + frames;
  const isLeased = (state: State, reader: number, slot: number): boolean => {
    if (state.gone[reader] && fault !== "believes the dead") return false;
    return state.leased[reader]![slot] === state.writer.numbers[slot];
  };
  const oldest = ({ writer }: State): number => {
    let found = -1;
    for (let slot = 0; slot < slots; slot++) {
      if (writer.tried[slot] || (slot === writer.newestSlot && fault !== "takes the newest")) continue;
      if (found < 0 || writer.numbers[slot]! < writer.numbers[found]!) found = slot;
    }
    return found;
  };
  const lowest = (state: State): number => {
    const cursors = state.cursors.filter((cursor, reader) => cursor !== 0 && !state.gone[reader]);
    return Math.min(NONE, ...cursors);
  };
  /** Looks at one lease after the other. */
  const look = (again: string, free: string, taken: string): Step<State> => (state) => {
    const { writer } = state;
    const reader = writer.who++;
    const isTaken = isLeased(state, reader, writer.slot);
    if (!isTaken && writer.who < orders.length) return again;
    writer.who = 0;
    return isTaken ? taken : free;
  };
  const pick: Step<State> = (state) => {
    const { writer } = state;
    const slot = oldest(state);
    if (slot >= 0 && writer.numbers[slot]! < writer.wanted) {
      writer.slot = slot;
      writer.tried[slot] = true;
      return "first look";
    }
    writer.tried.fill(false);
    if (++writer.looks < (fault === "one look at all slots" ? 1 : 3)) return "pick";
    writer.looks = 0;
    if (full === "wait") return "wait";
    if (full === "fault") state.fault = "a loan found no slot";
    writer.slot = oldest(state);
    return "empty";
  };
  return {
    name: "writer",
    mortal: mortal === true,
    died: (state) => state.writer.dead = true,
    steps: {
      begin(state) {
        state.writer.looks = 0;
        state.writer.tried.fill(false);
        state.writer.wanted = patient ? lowest(state) : NONE;
        return "pick";
      },
      pick,
      "first look": look("first look", "mark", "pick"),
      mark(state) {
        const { writer, sequence } = state;
        const number = writer.numbers[writer.slot]!;
        sequence[writer.slot] = fault === "zero for a mark" ? 0 : number + TAKING;
        return fault === "no second look" ? "empty" : "second look";
      },
      "second look": look("second look", "empty", fault === "no restore" ? "pick" : "restore"),
      restore({ writer, sequence }) {
        sequence[writer.slot] = writer.numbers[writer.slot]!;
        return "pick";
      },
      /** Nothing tells this but a wake: it comes when there is a slot. */
      wait(state) {
        const wanted = patient ? lowest(state) : NONE;
        const isFree = state.writer.numbers.some((number, slot) => {
          const isHeld = orders.some((_, reader) => isLeased(state, reader, slot));
          return slot !== state.writer.newestSlot && number < wanted && !isHeld;
        });
        return isFree ? "begin" : BLOCKED;
      },
      empty({ writer, sequence }) {
        sequence[writer.slot] = 0;
        writer.numbers[writer.slot] = 0;
        return "write";
      },
      write(state) {
        const { writer, sequence, data } = state;
        if (writer.slot === state.newestSlot) state.fault = "the newest frame is overwritten";
        if (sequence.some((number, slot) => number !== writer.numbers[slot])) {
          state.fault = "a slot is left marked";
        }
        data[writer.slot]![0] = writer.last + 1;
        return fault === "publishes half" ? "publish" : "write more";
      },
      "write more"({ writer, data }) {
        data[writer.slot]![1] = writer.last + 1;
        return "publish";
      },
      publish({ writer, sequence }) {
        writer.last++;
        writer.numbers[writer.slot] = sequence[writer.slot] = writer.last;
        writer.newestSlot = writer.slot;
        return "announce";
      },
      announce(state) {
        state.newest = state.writer.last;
        state.newestSlot = state.writer.slot;
        return state.writer.last === total ? DONE : "begin";
      },
    },
  };
}

function readerOf(which: number, options: Options): Actor<State> {
  const { slots, orders, frames, rounds, full, patient = false, mortal, fault } = options;
  const total = slots + frames;
  const isEvery = orders[which] === "every";
  const me = (state: State): Reader => state.readers[which]!;
  const lease: Step<State> = (state) => {
    const { slot, number } = me(state);
    state.leased[which]![slot] = number;
    return fault === "check before lease" ? "read" : "check";
  };
  const check: Step<State> = (state) => {
    const reader = me(state);
    const { slot, number } = reader;
    const isThere = state.sequence[slot] === number;
    if (fault === "check before lease") return isThere ? "lease" : "find";
    if (!isThere && fault !== "tries again") reader.passed = number;
    return isThere ? "read" : "give up";
  };
  const found = fault === "check before lease" ? "check" : "lease";
  const findNewest: Step<State> = (state) => {
    const reader = me(state);
    if (state.newest <= reader.last) return BLOCKED; // it sleeps until there is another
    reader.number = state.newest;
    reader.slot = state.newestSlot;
    return found;
  };
  /** Looks at one slot. */
  const scan = (again: string, next: (reader: Reader) => string): Step<State> => (state) => {
    const reader = me(state);
    const slot = reader.at++;
    const number = state.sequence[slot]!;
    if (number > reader.last && number > reader.passed && number < TAKING && number < reader.number) {
      reader.number = number;
      reader.slot = slot;
    }
    if (reader.at < slots && reader.number !== reader.last + 1) return again;
    reader.at = 0;
    return next(reader);
  };
  const firstScan = scan("scan", (reader) => {
    if (reader.number === NONE) return "idle";
    return reader.number === reader.last + 1 || fault === "scans once" ? found : "scan again";
  });
  const ask: Record<string, Step<State>> = isEvery && patient
    ? {
      ask(state) {
        if (fault !== "chooses before it asks") state.cursors[which] = 1;
        return "choose";
      },
      choose(state) {
        const reader = me(state);
        reader.last = Math.max(reader.last, fault === "chooses before it asks" ? 0 : state.newest - 1);
        return "want";
      },
      want(state) {
        state.cursors[which] = me(state).last + 1;
        return "find";
      },
    }
    : {};
  return {
    name: `reader ${which}`,
    mortal: mortal === true,
    // The process's memory stays as long as the writer maps it: only the word tells.
    died: (state) => state.gone[which] = true,
    steps: {
      ...ask,
      find: isEvery
        ? (state) => {
          me(state).number = NONE;
          return "scan";
        }
        : findNewest,
      /** It sleeps until there is another. */
      idle: (state) => state.newest > me(state).last ? "find" : BLOCKED,
      ...(isEvery ? { scan: firstScan, "scan again": scan("scan again", () => found) } : {}),
      lease,
      check,
      "give up"(state) {
        state.leased[which]![me(state).slot] = 0;
        return "find";
      },
      read(state) {
        const reader = me(state);
        if (reader.number <= reader.last) state.fault = "a frame is taken twice";
        reader.dropped += reader.number - reader.last - 1;
        reader.last = reader.number;
        reader.passed = 0;
        reader.half = state.data[reader.slot]![0];
        if (isEvery && patient && fault === "cursor goes ahead") {
          state.cursors[which] = NONE - 1;
        }
        return "read more";
      },
      "read more"(state) {
        const reader = me(state);
        const isValid = state.sequence[reader.slot]! % TAKING === reader.number;
        const halves = [reader.half, state.data[reader.slot]![1]];
        reader.half = 0;
        if (!isValid && full !== "revoke" && !tearing.has(fault)) state.fault = "a lease seems revoked";
        return halves.every((half) => half === reader.number) ? "release" : "torn";
      },
      /** Where leases can be revoked, what was read is trusted only after a look. */
      torn(state) {
        const reader = me(state);
        const isValid = state.sequence[reader.slot]! % TAKING === reader.number;
        if (isValid || full !== "revoke" || fault === "trusts what was revoked") {
          state.fault = "a reader trusts a torn frame";
        }
        return "release";
      },
      release(state) {
        const reader = me(state);
        state.leased[which]![reader.slot] = 0;
        reader.rounds++;
        if (isEvery && patient) return "pass";
        return reader.last === total || reader.rounds === rounds ? DONE : "find";
      },
      pass(state) {
        const reader = me(state);
        state.cursors[which] = Math.max(state.cursors[which]!, reader.last + 1);
        return reader.last === total ? DONE : "find";
      },
    },
  };
}

function run(options: Options): Outcome {
  const { orders, patient = false, slots, frames } = options;
  return interleave({
    initial: initialState(options),
    actors: [writerOf(options), ...orders.map((_, which) => readerOf(which, options))],
    check({ sequence, data, fault, readers }) {
      if (fault !== undefined) return fault;
      for (const [slot, number] of sequence.entries()) {
        const frame = number % TAKING;
        if (frame !== 0 && data[slot]!.some((half) => half !== frame)) return "a half-written frame is there";
      }
      if (patient && readers.some(({ dropped }) => dropped > 0)) return "a frame that was wanted is dropped";
      return undefined;
    },
    checkEnd({ writer, readers, newest, gone }, stuck) {
      if (stuck.includes("writer")) return "the writer is stuck";
      if (stuck.length > 0 && !writer.dead) return "a reader is stuck";
      if (writer.dead) return undefined;
      if (newest !== slots + frames) return "a frame is not published";
      for (const [which, { last, rounds, dropped }] of readers.entries()) {
        if (gone[which]) continue;
        const first = orders[which] === "every" && patient ? last - rounds - dropped : slots - 1;
        if (last - first !== rounds + dropped) return "a frame is neither read nor dropped";
        if (rounds < options.rounds && last !== newest) return "the newest frame was not seen";
      }
      return undefined;
    },
  });
}

const TWO_NEWEST: Options = {
  slots: 4,
  orders: ["newest", "newest"],
  frames: 4,
  rounds: 2,
  full: "fault",
  mortal: true,
};
const MIXED: Options = {
  slots: 4,
  orders: ["newest", "every"],
  frames: 2,
  rounds: 2,
  full: "fault",
  mortal: true,
};
const ONE_EVERY: Options = {
  slots: 3,
  orders: ["every"],
  frames: 5,
  rounds: 6,
  full: "fault",
  mortal: true,
};
const PATIENT: Options = {
  slots: 3,
  orders: ["every"],
  frames: 4,
  rounds: 9,
  full: "wait",
  patient: true,
  mortal: true,
};
const FEW: Options = { slots: 2, orders: ["newest"], frames: 3, rounds: 3, full: "wait", mortal: true };
const REVOKED: Options = { slots: 2, orders: ["newest"], frames: 4, rounds: 3, full: "revoke", mortal: true };

const MODELS: readonly [string, Options][] = [
  ["two readers of the newest, one slot more than they hold and the newest", TWO_NEWEST],
  ["a reader of the newest and one of every frame", MIXED],
  ["a reader of every frame that moves as the writer looks", ONE_EVERY],
  ["a reader of every frame and a writer that waits for it", PATIENT],
  ["fewer slots than that, and a writer that waits", FEW],
  ["a writer that takes leases back", REVOKED],
];

for (const [name, options] of MODELS) {
  Deno.test(`slots, in every order: ${name}`, () => {
    const { fault, states, ends } = run(options);
    assertEquals(fault, undefined);
    assert(states > 1000 && ends > 10, `${states} states, ${ends} ends`);
  });
}

const FAULTS: readonly [Fault, Options, string][] = [
  ["no second look", TWO_NEWEST, "torn"],
  ["check before lease", TWO_NEWEST, "torn"],
  ["no restore", TWO_NEWEST, "left marked"],
  ["zero for a mark", TWO_NEWEST, "seems revoked"],
  ["one look at all slots", ONE_EVERY, "found no slot"],
  ["tries again", ONE_EVERY, "found no slot"],
  ["takes the newest", FEW, "the newest frame is overwritten"],
  ["believes the dead", FEW, "the writer is stuck"],
  ["publishes half", FEW, "half-written"],
  ["scans once", PATIENT, "dropped"],
  ["chooses before it asks", PATIENT, "dropped"],
  ["cursor goes ahead", PATIENT, "dropped"],
  ["trusts what was revoked", REVOKED, "torn"],
];

for (const [fault, options, found] of FAULTS) {
  Deno.test(`slots, in every order: a fault is found: ${fault}`, () => {
    assertStringIncludes(run({ ...options, fault }).fault ?? "nothing", found);
  });
}

Deno.test("slots, in every order: with one slot less than readers and two, a loan can fail", () => {
  assertStringIncludes(run({ ...TWO_NEWEST, slots: 3 }).fault ?? "nothing", "found no slot");
});
