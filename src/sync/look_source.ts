import type { EventQueue } from "../xpc/event_queue.ts";
import { Parking, type ParkingPlace } from "./parking.ts";
import { goneError } from "./revision_place.ts";
import type { WaitSource } from "./wait_source.ts";

/** What a look finds, in a wait for several things: nothing is taken. */
export class LookSource implements WaitSource {
  readonly #place: ParkingPlace;
  readonly #other: "server" | "client";
  readonly #isReady: () => boolean;
  #parking: Parking<true> | undefined;
  #sleeping = false;
  #ended = false;

  /**
   * @param place where the word is that changes or is woken when a look may find something
   * @param other who is gone when the place says so
   * @param isReady looks; throws what the wait is to fail with
   */
  constructor(place: ParkingPlace, other: "server" | "client", isReady: () => boolean) {
    this.#place = place;
    this.#other = other;
    this.#isReady = isReady;
  }

  get queue(): EventQueue {
    return this.#place.queue;
  }

  get word(): WaitSource["word"] {
    return this.#place.revision;
  }

  poll(): boolean {
    const { life, name, gone, queue: { library: { shim } } } = this.#place;
    if (this.#isReady()) return true;
    if (life.ended !== undefined) {
      throw life.ended.error ?? new TypeError(`Cannot wait for "${name}": it is closed`);
    }
    if (gone === null || shim.shim_word_load(gone) === 0) return false;
    // XPC's thread may know it before the event loop of this realm does. What came before the end is ready still.
    if (this.#isReady()) return true;
    throw goneError(name, this.#other);
  }

  park(check: (trouble?: Error) => void): void {
    const { life, revision, queue: { library: { shim } } } = this.#place;
    // Ends also when the waits do: who waits looks then, and finds why.
    const look = (): true | undefined => {
      return this.#ended || life.ended !== undefined || this.#isReady() || undefined;
    };
    // The word first: what comes after the look that follows changes it.
    this.#parking = new Parking(this.#place, shim.shim_word_load64(revision), look, undefined);
    this.#parking.promise.then((found) => {
      if (this.#ended) return;
      if (found === undefined && life.ended === undefined) this.park(check); // the sleep ended for nothing
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
}
