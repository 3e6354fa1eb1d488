import { ParkedSource } from "./parked_source.ts";
import type { ParkingPlace } from "./parking.ts";
import { CLOSED, closedError, goneError } from "./revision_place.ts";

/** The revisions of a region in a wait for several things. */
export class RevisionSource extends ParkedSource {
  readonly #after: number;
  readonly #tell: (revision: number) => void;

  /**
   * @param place where to look
   * @param after the revision that is known
   * @param tell receives the new revision
   */
  constructor(place: ParkingPlace, after: number, tell: (revision: number) => void) {
    super(place);
    this.#after = after;
    this.#tell = tell;
  }

  poll(): boolean {
    const { life, name, gone, queue: { library: { shim } } } = this.place;
    if (life.ended !== undefined) throw life.ended.error ?? closedError(name);
    const revision = this.revision();
    if (revision !== this.#after) {
      this.#tell(revision);
      return true;
    }
    // XPC's thread may know it before the event loop of this realm does.
    const ended = gone === null ? 0 : shim.shim_word_load(gone);
    if (ended !== 0) throw ended === CLOSED ? closedError(name) : goneError(name);
    return false;
  }

  protected isReady(): boolean {
    return this.revision() !== this.#after;
  }
}
