/**
 * The messages between the demo and its processes: lines of JSON on standard input and output.
 *
 * @module
 */
import type { BrokerSelection } from "../../mod.ts";
import type { CadenceResult } from "./cadence.ts";
import type { Mode } from "./options.ts";
import type { Distribution } from "./statistics.ts";

/** The setting that every process of a run gets. */
export interface Setting {
  /** The service's name, used by this run only. */
  readonly service: string;
  /** The broker, used by this run only. */
  readonly broker: BrokerSelection;
  /** Whether frames are in streams, or in regions with a mutex. */
  readonly mode: Mode;
  /** How many regions, or streams. */
  readonly regions: number;
  /** The length of each region, or of each slot, in bytes. */
  readonly byteLength: number;
  /** How many slots each stream has. */
  readonly slots: number;
}

/** The name of a region, or a stream, with frames. */
export function regionName(index: number): string {
  return `frame-${index}`;
}

/** The name of the small region that holds the stamps, and whose commits measure how long a wake takes. */
export const PULSE = "pulse";

/** Resident memory, in bytes: before the regions were made or opened, after that, and in the end. */
export interface Resident {
  readonly before: number;
  readonly after: number;
  readonly end: number;
}

/** The commands for the writer. */
export type WriterCommand =
  /** Write frames, one region after the other. */
  | { readonly do: "write" }
  /** Take the next lock or slot, write half a frame and stop there, to be killed. */
  | { readonly do: "hold" }
  /** Write no more frames. */
  | { readonly do: "pause" }
  /** Commit to the small region from time to time. */
  | { readonly do: "pace"; readonly count: number }
  /** Write one last frame to each region. */
  | { readonly do: "finish" }
  /** End. */
  | { readonly do: "close" };

/** The events of the writer. Times are those of the shared clock, in nanoseconds. */
export interface WriterEvents {
  ready: { readonly at: number };
  progress: { readonly frames: number };
  /** It holds a lock, or a slot, and has written half a frame. */
  holding: { readonly frames: number; readonly region: number };
  /** It got a lock whose holder had died. */
  abandoned: { readonly region: number; readonly at: number };
  /** A reader of the streams is gone: what it leased is free again. */
  left: { readonly at: number };
  paused: { readonly frames: number; readonly at: number; readonly revisions: readonly number[] };
  paced: { readonly commits: number };
  finished: Final & {
    readonly frames: number;
    readonly cadence: CadenceResult;
    readonly residentBytes: Resident;
  };
}

/** The last revisions of a run. */
export interface Final {
  readonly revisions: readonly number[];
  readonly pulse: number;
}

/** The commands for the reader. */
export type ReaderCommand =
  /** Keep the next lock, or lease, to be killed. */
  | { readonly do: "hold" }
  /** Tell when these revisions are verified. */
  | { readonly do: "catch up"; readonly revisions: readonly number[] }
  /** These are the last: verify them, tell the result and end. */
  | ({ readonly do: "finish" } & Final);

/** The events of the reader. */
export interface ReaderEvents {
  /** All regions are open. */
  attached: {
    readonly at: number;
    readonly connectMilliseconds: number;
    readonly attachMilliseconds: number;
    readonly viewMilliseconds: number;
    readonly pid: number;
  };
  /** The first frame since then was verified. */
  verified: { readonly at: number };
  /** The regions are orphaned: the server is gone. So many of its locks were abandoned. */
  gone: { readonly at: number; readonly abandoned: number };
  progress: { readonly frames: number };
  /** It holds a lock, or a lease. */
  holding: Verified & { readonly region: number };
  "caught up": Verified & { readonly at: number };
  finished: Verified & {
    readonly attachments: number;
    /** Commits to the small region, paced, while the reader was idle. */
    readonly wake: Distribution;
    /** Commits of frames, while the writer is busy, that came while the reader was idle. */
    readonly frameWake: Distribution;
    readonly residentBytes: Resident;
  };
}

/** The number of verified frames, and the errors. */
export interface Verified {
  readonly frames: number;
  /** Frames that were written meanwhile and not seen. */
  readonly dropped: number;
  /** Frames that were not whole. */
  readonly torn: number;
  readonly errors: readonly string[];
}

/** The events of the third process, which looks for the server. */
export interface FinderEvents {
  found: {
    readonly pid: number;
    readonly at: number;
    readonly connectMilliseconds: number;
    readonly wrong: number;
  };
}
