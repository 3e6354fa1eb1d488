import { ParkedSource } from "./parked_source.ts";
import type { ParkingPlace } from "./parking.ts";
import { goneError } from "./revision_place.ts";

/** What a look finds, in a wait for several things: nothing is taken. */
export class LookSource extends ParkedSource {
  readonly #other: "server" | "client";
  readonly #look: () => boolean;

  /**
   * @param place where the word is that changes or is woken when a look may find something
   * @param other who is gone when the place says so
   * @param look whether it is ready; throws what the wait is to fail with
   */
  constructor(place: ParkingPlace, other: "server" | "client", look: () => boolean) {
    super(place);
    this.#other = other;
    this.#look = look;
  }

  poll(): boolean {
    const { life, name, gone, queue: { library: { shim } } } = this.place;
    if (this.#look()) return true;
    if (life.ended !== undefined) {
      throw life.ended.error ?? new TypeError(`Cannot wait for "${name}": it is closed`);
    }
    if (gone === null || shim.shim_word_load(gone) === 0) return false;
    // XPC's thread may know it before the event loop of this realm does. What came before the end is ready still.
    if (this.#look()) return true;
    throw goneError(name, this.#other);
  }

  protected isReady(): boolean {
    return this.#look();
  }
}
