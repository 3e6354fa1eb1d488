import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import type { Bell } from "./bell_listeners.ts";
import { PeerGoneError } from "./errors.ts";
import type { ParkedWord } from "./parked_word.ts";

/** `SHIM_SHARE_CLOSED`: the realm that shared the region closes it. */
export const CLOSED = 2;

/** Where the revision of a region lives. */
export interface RevisionPlace {
  /** The events of this realm. */
  readonly queue: EventQueue;
  /** The region's name, for errors. */
  readonly name: string;
  /** The region's number. */
  readonly index: number;
  /** Its revision. */
  readonly revision: Address;
  /** The newest generation of the region. */
  readonly generation: Address;
  /** Our parked word for the region. */
  readonly parked: ParkedWord;
  /**
   * The word that becomes 1 when the other side is gone, where there is only one other side, or
   * {@linkcode CLOSED} when another realm closes the region.
   */
  readonly gone: Address | null;
  /** The waiters that a commit of ours wakes. */
  readonly audience: ShimAudience;
  /** What wakes us. */
  readonly bell: Bell;
}

/** What the waits of one region share: whether they are over, and who checks that. */
export interface Life {
  /** Set when the waits are over: with an error, or without one when the region was closed in order. */
  ended: { readonly error: Error | undefined } | undefined;
  /** Have each wait check whether it is over. */
  readonly checks: Set<() => void>;
  /** The waits that still use the words. */
  readonly waits: Set<Promise<unknown>>;
}

/** What waits for changes throw when the region is closed. */
export function closedError(name: string): TypeError {
  return new TypeError(`Cannot wait for changes of "${name}": it is closed`);
}

/** What waits for changes throw when the other side is gone. */
export function goneError(name: string, other: "server" | "client" = "server"): PeerGoneError {
  return new PeerGoneError(`Cannot wait for changes of "${name}": the ${other} is gone`);
}
