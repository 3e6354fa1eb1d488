/**
 * Reading and writing a region through typed arrays, and private memory of the same size likewise.
 *
 * @module
 */
import type { Party } from "../party.ts";
import { readerOf } from "../readers.ts";

/** What to measure. */
export interface Views {
  /** Which of {@linkcode WORK}. */
  readonly work: string;
  /** How many rounds; private memory and the region take turns in each. */
  readonly rounds: number;
  /** How often each is measured in a round. */
  readonly repeats: number;
}

/** The nanoseconds of each round. */
export interface ViewTimes {
  readonly private: number[];
  /** Of the region, or the frame. */
  readonly region: number[];
}

function sum(array: Float64Array | Uint32Array): number {
  let total = 0;
  for (let index = 0; index < array.length; index++) total += array[index]!;
  return total;
}

// One function for each kind of array: as in an app, each loop sees one kind.
function sumDoubles(array: Float64Array): number {
  let total = 0;
  for (let index = 0; index < array.length; index++) total += array[index]!;
  return total;
}

/** What to do with a buffer; given the class of view, so that the same function sees both buffers. */
const WORK: Readonly<Record<string, (buffer: Buffers, source: Uint8Array) => unknown>> = {
  "sum of Float64Array": ({ doubles }) => sumDoubles(doubles),
  "sum of Uint32Array": ({ integers }) => sum(integers),
  "fill of Float64Array": ({ doubles }) => doubles.fill(1.5),
  "fill of Uint32Array": ({ integers }) => integers.fill(7),
  "Uint8Array.set": ({ bytes }, source) => bytes.set(source),
};

/** Views of one piece of memory. */
interface Buffers {
  readonly doubles: Float64Array;
  readonly integers: Uint32Array;
  readonly bytes: Uint8Array;
}

/** Private memory and shared memory, of the same length. */
interface Memory {
  readonly own: Buffers;
  readonly shared: Buffers;
  readonly source: Uint8Array;
}

let memory: Memory | undefined;

/** Private memory; each page is there. */
function own(byteLength: number): Buffers {
  const buffer = new ArrayBuffer(byteLength);
  const bytes = new Uint8Array(buffer).fill(1);
  return { doubles: new Float64Array(buffer), integers: new Uint32Array(buffer), bytes };
}

/** A frame that is leased for good, and private memory with the same content. */
function lease(): Memory {
  const frame = readerOf("frame").latest();
  if (frame === undefined) throw new Error("Cannot read a frame: none was published");
  const shared = {
    doubles: frame.unsafeView(Float64Array),
    integers: frame.unsafeView(Uint32Array),
    bytes: frame.unsafeView(Uint8Array),
  };
  return { own: own(frame.byteLength), shared, source: shared.bytes };
}

function prepare(party: Party): Memory {
  const region = party.region("frame");
  const { byteLength } = region;
  const shared = {
    doubles: region.view(Float64Array),
    integers: region.view(Uint32Array),
    bytes: region.view(Uint8Array),
  };
  const source = new Uint8Array(byteLength);
  for (const bytes of [shared.bytes, source]) bytes.fill(1); // every page is there now
  return { own: own(byteLength), shared, source };
}

/** Reads private memory and a leased frame by turns. */
export function frameViews(party: Party, what: Views): ViewTimes {
  return byTurns(party, memory ??= lease(), what);
}

/** Works on private memory and on the region by turns. */
export function views(party: Party, what: Views): ViewTimes {
  return byTurns(party, memory ??= prepare(party), what);
}

function byTurns(party: Party, { own, shared, source }: Memory, { work, rounds, repeats }: Views): ViewTimes {
  const doIt = WORK[work]!;
  const take = (buffers: Buffers): number => {
    const begin = party.clock();
    doIt(buffers, source);
    return party.clock() - begin;
  };
  const times: ViewTimes = { private: [], region: [] };
  take(own);
  take(shared);
  for (let round = 0; round < rounds; round++) {
    let ours = Infinity;
    let theirs = Infinity;
    for (let repeat = 0; repeat < repeats; repeat++) {
      // Who comes first changes, so that neither always finds what the other left in the caches.
      if ((round + repeat) % 2 === 0) theirs = Math.min(theirs, take(own));
      ours = Math.min(ours, take(shared));
      if ((round + repeat) % 2 === 1) theirs = Math.min(theirs, take(own));
    }
    times.private.push(theirs);
    times.region.push(ours);
  }
  return times;
}
