import type { EventQueue } from "../xpc/event_queue.ts";
import { Parking, type ParkingPlace } from "./parking.ts";
import type { WaitSource } from "./wait_source.ts";

/** What sleeps on a revision in a wait for several things: on the doorbell, or on a thread. */
export abstract class ParkedSource implements WaitSource {
  /** Where to look, and to sleep. */
  protected readonly place: ParkingPlace;
  #parking: Parking<true> | undefined;
  #sleeping = false;
  #ended = false;

  /** @param place where the word is that changes or is woken when a look may find something */
  constructor(place: ParkingPlace) {
    this.place = place;
  }

  get queue(): EventQueue {
    return this.place.queue;
  }

  get word(): WaitSource["word"] {
    return this.place.revision;
  }

  abstract poll(): boolean;

  /** Looks and takes nothing. Is not called once the waits of the place have ended. */
  protected abstract isReady(): boolean;

  park(check: (trouble?: Error) => void): void {
    const { life } = this.place;
    // Ends also when the waits do: who waits looks then, and finds why.
    const look = (): true | undefined => {
      return this.#ended || life.ended !== undefined || this.isReady() || undefined;
    };
    // The word first: what comes after the look that follows changes it.
    this.#parking = new Parking(this.place, this.revision(), look, undefined);
    this.#parking.promise.then((found) => {
      if (this.#ended) return;
      if (found === undefined && life.ended === undefined) this.park(check); // the sleep ended for nothing
      else check();
    }, (error) => check(error as Error));
  }

  sleep(): void {
    this.#sleeping = true;
    this.#countThread(true);
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parking?.check();
    if (this.#sleeping) this.#countThread(false);
  }

  /** The revision. */
  protected revision(): number {
    return this.queue.library.shim.shim_word_load64(this.place.revision);
  }

  #countThread(sleeps: boolean): void {
    this.queue.library.shim.shim_revision_count_thread(this.place.parked.address, sleeps);
  }
}
