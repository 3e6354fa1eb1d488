import type { Address } from "../../ffi/types.ts";
import type { EventQueue } from "../xpc/event_queue.ts";

/** The method by which a thing can be waited for together with others. */
export const waitSource: unique symbol = Symbol("@xpc/shmem waitSource");

/**
 * One thing in one wait for several. The wait calls `poll` until that is true for one of them, and `end` for all of
 * them at the end, whatever happens.
 */
export interface WaitSource {
  /** The events of this realm. */
  readonly queue: EventQueue;
  /** What a thread sleeps on: 64 bits, of which the low half changes or is woken when there is something to look at. */
  readonly word: Address;
  /**
   * Looks, and takes what there is to take.
   *
   * @param asks `true` where the caller sleeps if nothing is ready: whoever makes something ready has to wake it
   * @returns whether it is ready: then it was taken
   * @throws what the wait fails with: the thing is closed, or its server is gone
   */
  poll(asks: boolean): boolean;
  /** Has `check` called when there may be something to take, until `end`; with an error to fail the wait. */
  park(check: (trouble?: Error) => void): void;
  /** Says that a thread is about to sleep, until `end`. */
  sleep(): void;
  /** Undoes `park`, `sleep`, and what `poll` has begun and not taken. Idempotent. */
  end(): void;
}

/** What `waitAny()` waits for: a lock, an event, a region, a stream's reader, a channel. */
export interface Waitable {
  /** @internal */
  [waitSource](): WaitSource;
}
