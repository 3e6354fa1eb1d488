import { MAXIMUM_REGIONS } from "./layout.ts";

/**
 * The numbers of what a server shares. A number says where the words lie: a revision, a generation, a mutex, and a parked
 * word of each side. Regions and all other kinds take theirs from here, since they share the words.
 */
export class IndexTable {
  #taken = 0;

  /**
   * Takes the next number.
   *
   * @param what what it is for, as in "the region "scene""
   * @throws {RangeError} if all are taken
   */
  take(what: string): number {
    if (this.#taken >= MAXIMUM_REGIONS) {
      throw new RangeError(`Cannot add ${what}: a service shares at most ${MAXIMUM_REGIONS} things`);
    }
    return this.#taken++;
  }
}
