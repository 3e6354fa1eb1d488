import { MAXIMUM_REGIONS } from "./layout.ts";

/**
 * The numbers of what a server shares. A number says where the words lie: a revision, a generation, a mutex, and a parked
 * word of each side. Regions and all other kinds take theirs from here, since they share the words.
 *
 * A number that was given back is used again as late as possible, since clients may have open what it stood for. Its
 * generations go on, so that they see that it stands for something else.
 */
export class IndexTable {
  readonly #free: number[] = [];
  /** The last generation of each number that was given back. */
  readonly #generations = new Map<number, number>();
  #taken = 0;

  /**
   * Takes a number: one that was never used, or else the one that is free for the longest time.
   *
   * @param what what it is for, as in "the region "scene""
   * @throws {RangeError} if all are taken
   */
  take(what: string): number {
    if (this.#taken < MAXIMUM_REGIONS) return this.#taken++;
    const index = this.#free.shift();
    if (index !== undefined) return index;
    throw new RangeError(`Cannot add ${what}: a service shares at most ${MAXIMUM_REGIONS} things`);
  }

  /** The first generation of what takes this number now. */
  firstGeneration(index: number): number {
    return (this.#generations.get(index) ?? 0) + 1;
  }

  /** Gives a number back, with the last generation of what had it. */
  release(index: number, generation: number): void {
    this.#generations.set(index, generation);
    this.#free.push(index);
  }

  /**
   * Takes the next number for something that is made now, and gives the number back if that fails.
   *
   * @param what what it is for
   * @param make makes it, with its number and its first generation
   * @throws {RangeError} if all are taken, or what `make` throws
   */
  async use<T>(what: string, make: (index: number, generation: number) => Promise<T>): Promise<T> {
    const index = this.take(what);
    const generation = this.firstGeneration(index);
    try {
      return await make(index, generation);
    } catch (error) {
      this.release(index, generation - 1);
      throw error;
    }
  }
}
