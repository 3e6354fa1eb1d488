import type { Address, ShimAudience, ShimLocks } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import type { Bell } from "../sync/bell_listeners.ts";
import type { ParkedWord } from "../sync/parked_word.ts";
import type { Turns } from "../sync/turns.ts";
import type { MutexCalls } from "../sync/mutex.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { Sharing } from "./sharing.ts";

/** One end of a link: what all regions of it have in common. */
export interface LinkEnd {
  /** The events of this realm. */
  readonly queue: EventQueue;
  /** The server's words. */
  readonly server: Mapping;
  /** The locks, and the revisions of the regions that clients may write. */
  readonly locks: Mapping;
  /** The number of this end as an owner of mutexes. */
  readonly owner: number;
  /** The waiters at the other ends. */
  readonly audience: ShimAudience;
  /** What tells this end that a lock may be had. */
  readonly turns: Turns;
  /** The locks that the dead at the other ends are to release; `null` where their end is that of the locks. */
  readonly ownedLocks: ShimLocks | null;
  /** What wakes this end. */
  readonly bell: Bell;
  /** The word that becomes 1 when the other end is gone; `null` where there are several other ends. */
  readonly gone: Address | null;
  /** What other realms of this process have of it. */
  readonly sharing: Pick<Sharing, "has" | "share">;
  /** The functions of the mutex that the realms have in common; `undefined` for the shim's. */
  readonly mutexCalls?: MutexCalls;
  /** The parked word of this end for a region. */
  parkedWord(index: number): ParkedWord;
  /** Called after each commit of this end. */
  committed(index: number): void;
}

/** What a client has opened on a link: a region, a stream, … */
export interface Linked {
  /** Its name. */
  readonly name: string;
  /** The server is gone: fails the waits with the error. */
  orphan(error: Error): Promise<void>;
  /** Ends the waits and gives the memory back. Idempotent. */
  close(): Promise<void>;
}
