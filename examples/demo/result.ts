import type { Resident } from "./messages.ts";
import type { CadenceResult } from "./cadence.ts";
import type { Mode, Options, Victim } from "./options.ts";
import type { Distribution } from "./statistics.ts";

/** The recovery after a kill. Times are in milliseconds since the kill. */
export interface Recovery {
  /** Who was killed. */
  readonly killed: Victim;
  /** The region or stream whose lock, slot or lease the victim held; none if the broker was killed. */
  readonly held?: string;
  /** The number of locks whose next holder learned that they were abandoned. */
  readonly abandonedLocks?: number;
  /** Until a survivor noticed: the reader that it has orphans, the writer that a lock or a slot was left. */
  readonly noticedMilliseconds?: number;
  /** Until the process that took its place was ready (writer) or had opened all regions (reader). */
  readonly replacedMilliseconds?: number;
  /** Until the reader had opened the regions of the new writer. */
  readonly reattachedMilliseconds?: number;
  /** Until a frame was verified again, or, of the broker, until a third process had found the server. */
  readonly recoveredMilliseconds: number;
  /** Of that, how long the third process was in `connect`. */
  readonly connectMilliseconds?: number;
  /** Frames written, or verified, by the survivors after the kill. */
  readonly framesAfter: number;
}

/** The result of a run. `--json` prints it. */
export interface Result {
  /** Whether frames were in streams, or in regions with a mutex. */
  readonly mode: Mode;
  /** How many regions, or streams. */
  readonly regions: number;
  /** The length of each region, or of each slot, in bytes. */
  readonly byteLength: number;
  /** How many slots each stream had; 1 of a region. */
  readonly slots: number;
  /** Whether frames were shorter than usual, since memory was short. */
  readonly shrunk: boolean;
  readonly seconds: number;
  readonly broker: Options["broker"];
  /** Which of the two was started first. */
  readonly started: string;
  /** Frames of which every byte was checked. */
  readonly frames: number;
  readonly framesWritten: number;
  /** Frames that were written between two that the reader saw. */
  readonly framesDropped: number;
  /** Frames that were not whole. */
  readonly framesTorn: number;
  /** How regularly the writer wrote, the last one if there were two. */
  readonly cadence: CadenceResult;
  /** Per second of the whole time in which frames were written, pauses and page faults included. */
  readonly gigabytesPerSecond: { readonly written: number; readonly verified: number };
  /** Paced commits that came while the reader was asleep, to the iterator's yield. */
  readonly wakeMicroseconds: Distribution;
  /** The same of frames, with the writer busy. */
  readonly frameWakeMicroseconds: Distribution;
  /** To find the server and shake hands. */
  readonly connectMilliseconds: number;
  /** From the first `open` to all regions open. */
  readonly attachMilliseconds: number;
  /** From then to a view of each region. */
  readonly viewMilliseconds: number;
  /** Resident memory before the regions were made or opened, after that, and in the end. */
  readonly residentBytes: { readonly writer: Resident; readonly reader: Resident };
  readonly recovery: Recovery | null;
  readonly errors: number;
  /** The text of each error. */
  readonly failures: readonly string[];
}
