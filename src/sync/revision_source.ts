import type { EventQueue } from "../xpc/event_queue.ts";
import { Parking, type ParkingPlace } from "./parking.ts";
import { CLOSED, closedError, goneError } from "./revision_place.ts";
import type { WaitSource } from "./wait_source.ts";

/** The revisions of a region in a wait for several things. */
export class RevisionSource implements WaitSource {
  readonly #place: ParkingPlace;
  readonly #after: number;
  readonly #tell: (revision: number) => void;
  #parking: Parking<true> | undefined;
  #sleeping = false;
  #ended = false;

  /**
   * @param place where to look
   * @param after the revision that is known
   * @param tell receives the new revision
   */
  constructor(place: ParkingPlace, after: number, tell: (revision: number) => void) {
    this.#place = place;
    this.#after = after;
    this.#tell = tell;
  }

  get queue(): EventQueue {
    return this.#place.queue;
  }

  get word(): WaitSource["word"] {
    return this.#place.revision;
  }

  poll(): boolean {
    const { life, name, gone, queue: { library: { shim } } } = this.#place;
    if (life.ended !== undefined) {
      throw life.ended.error ?? closedError(name);
    }
    const revision = this.#revision();
    if (revision !== this.#after) {
      this.#tell(revision);
      return true;
    }
    // XPC's thread may know it before the event loop of this realm does.
    const ended = gone === null ? 0 : shim.shim_word_load(gone);
    if (ended !== 0) throw ended === CLOSED ? closedError(name) : goneError(name);
    return false;
  }

  park(check: (trouble?: Error) => void): void {
    // Ends also when the revisions do: the wait looks then, and finds why.
    const look = (): true | undefined => {
      return this.#ended || this.#place.life.ended !== undefined || this.#revision() !== this.#after ||
        undefined;
    };
    this.#parking = new Parking(this.#place, this.#after, look, undefined);
    this.#parking.promise.then((found) => {
      if (this.#ended) return;
      if (found === undefined) this.park(check); // the sleep ended for nothing
      else check();
    }, (error) => check(error as Error));
  }

  sleep(): void {
    this.#sleeping = true;
    this.queue.library.shim.shim_revision_count_thread(this.#place.parked.address, true);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parking?.check();
    if (this.#sleeping) {
      this.queue.library.shim.shim_revision_count_thread(this.#place.parked.address, false);
    }
  }

  #revision(): number {
    return this.queue.library.shim.shim_word_load64(this.#place.revision);
  }
}
