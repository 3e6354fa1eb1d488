import type { Library } from "../../ffi/load.ts";
import type { Address, ShimAudience, ShimRing } from "../../ffi/types.ts";

/** `enum shim_ring_result`: nothing to take, or no room. */
const NOT_NOW = -1;

/** Where a ring lies. */
export interface RingPlace {
  /** Its memory: the counters, then the bytes. */
  readonly memory: Address;
  /** How many bytes it has for messages, a multiple of 8. */
  readonly capacity: number;
  /** Whom a message wakes, and the room that one leaves. */
  readonly audience: ShimAudience;
  /** The number of its channel. */
  readonly index: number;
}

/** Thrown where the other side wrote what cannot be: the ring is of no use any more. */
export class BrokenRing extends Error {}

/** One side of a queue of messages in shared memory: see `ring.c`. */
export class Ring {
  readonly #library: Library;
  readonly #handle: ShimRing;
  // Kept: they are called for each message, and are found slowly in the library.
  readonly #send: Library["shim"]["shim_ring_send"];
  readonly #next: Library["shim"]["shim_ring_next"];
  readonly #receive: Library["shim"]["shim_ring_receive"];

  /** @throws {Error} if no memory is left */
  constructor(library: Library, { memory, capacity, audience, index }: RingPlace) {
    const { shim } = library;
    const handle = shim.shim_ring_create(memory, capacity, audience, index);
    if (handle === null) throw new Error("Cannot make a ring: no memory is left");
    this.#library = library;
    this.#handle = handle;
    this.#send = shim.shim_ring_send;
    this.#next = shim.shim_ring_next;
    this.#receive = shim.shim_ring_receive;
  }

  /**
   * Copies a message in.
   *
   * @returns whether there was room
   * @throws {BrokenRing} if the other side broke the ring
   */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#send(this.#handle, bytes, bytes.byteLength);
    if (result === 0) return true;
    if (result === NOT_NOW) return false;
    throw new BrokenRing();
  }

  /**
   * Copies the next message out.
   *
   * @returns the message, or `undefined` if there is none
   * @throws {BrokenRing} if the other side broke the ring
   */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const length = this.#next(this.#handle);
    if (length === NOT_NOW) return undefined;
    if (length >= 0) {
      const bytes = new Uint8Array(length);
      // The length is read again there: one that another thread changed meanwhile does not fit or is cut.
      const received = this.#receive(this.#handle, bytes, length);
      if (received === length) return bytes;
      if (received >= 0) return bytes.subarray(0, received);
    }
    throw new BrokenRing();
  }

  /** Forgets the ring. Nothing may be called afterwards. */
  free(): void {
    this.#library.shim.shim_ring_free(this.#handle);
  }
}
