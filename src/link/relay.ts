import type { LinkEnd } from "./link_end.ts";
import type { LinkedRegion } from "./linked_region.ts";
import { sharedRevisionAt } from "./layout.ts";

/**
 * Passes the commits of clients on to the other clients. A client can wake the server only, since only the server has
 * the doorbells of all. With one client there is nobody to pass anything on to.
 */
export class Relay {
  readonly #end: LinkEnd;
  /** The regions that clients may write, with the newest revision that was passed on. */
  readonly #passed = new Map<number, number>();
  #active = false;

  /** @param end the server's end */
  constructor(end: LinkEnd) {
    this.#end = end;
  }

  /** Includes a region. A region that replaces another has its words, and is included already. */
  include({ index, clients }: LinkedRegion): void {
    if (clients === "read" || this.#passed.has(index)) return;
    this.#passed.set(index, 0);
    if (this.#active) this.#end.parkedWord(index).enter();
  }

  /** Leaves out a region that was removed. */
  exclude(index: number): void {
    if (this.#passed.delete(index) && this.#active) this.#end.parkedWord(index).leave();
  }

  /** Starts or stops: while it is active, the server says that it waits for commits, so that clients wake it. */
  activate(active: boolean): void {
    if (active === this.#active) return;
    this.#active = active;
    for (const index of this.#passed.keys()) {
      const parked = this.#end.parkedWord(index);
      if (active) parked.enter();
      else parked.leave();
    }
  }

  /** Wakes the clients that wait for a region which was committed since the last call. */
  pass(): void {
    if (!this.#active) return;
    const { locks, audience, queue: { library: { shim } } } = this.#end;
    for (const [index, passed] of this.#passed) {
      const word = locks.word(sharedRevisionAt(index), 8);
      const revision = shim.shim_word_load64(word);
      if (revision === passed) continue;
      this.#passed.set(index, revision);
      shim.shim_revision_wake(audience, word, index);
    }
  }
}
