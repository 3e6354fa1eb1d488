import type { Library } from "../../ffi/load.ts";
import type { Address } from "../../ffi/types.ts";

/** The word of one region that is set while someone in this realm waits for the doorbell. */
export class ParkedWord {
  /** Where it is. */
  readonly address: Address;
  readonly #library: Library;
  #count = 0;

  /** @param address the word, in memory that the other side reads */
  constructor(library: Library, address: Address) {
    this.#library = library;
    this.address = address;
  }

  /** Counts one more waiter; the first sets the word. */
  enter(): void {
    if (this.#count++ === 0) this.#library.shim.shim_revision_park(this.address);
  }

  /** Counts one waiter less; the last clears the word. */
  leave(): void {
    if (--this.#count === 0) this.#library.shim.shim_revision_unpark(this.address);
  }
}
