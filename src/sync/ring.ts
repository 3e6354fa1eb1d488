import type { Library } from "../../ffi/load.ts";
import type { Address, ShimAudience, ShimRing } from "../../ffi/types.ts";

/** `enum shim_ring_result` */
const Result = { notNow: -1, ended: -4 } as const;

/** How much stands in front of each message: its length. */
const LENGTH_BYTES = 8;

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

/** Thrown where the other side has left, and nothing is there any more. */
export class EndedRing extends Error {}

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
   * @throws {EndedRing} if the other side has left
   */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    const result = this.#send(this.#handle, bytes, bytes.byteLength);
    if (result === 0) return true;
    if (result === Result.notNow) return false;
    throw troubleOf(result);
  }

  /**
   * Copies the next message out.
   *
   * @returns the message, or `undefined` if there is none
   * @throws {BrokenRing} if the other side broke the ring
   * @throws {EndedRing} if the other side has left, and nothing is left of what it sent
   */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    const length = this.#next(this.#handle);
    if (length === Result.notNow) return undefined;
    if (length < 0) throw troubleOf(length);
    const bytes = new Uint8Array(length);
    // The length is read again there: one that the other side changed meanwhile is not to be trusted.
    if (this.#receive(this.#handle, bytes, length) === length) return bytes;
    throw new BrokenRing();
  }

  /**
   * Whether the next {@linkcode receive} gives a message.
   *
   * @throws as {@linkcode receive}
   */
  get ready(): boolean {
    const length = this.#next(this.#handle);
    if (length < 0 && length !== Result.notNow) throw troubleOf(length);
    return length >= 0;
  }

  /** A copy of what could be received now; the ring is not to be used any more. */
  rest(): RingRest {
    const { shim } = this.#library;
    const used = shim.shim_ring_rest(this.#handle, null, 0);
    if (used <= 0) return new RingRest();
    const bytes = new Uint8Array(used);
    return new RingRest(shim.shim_ring_rest(this.#handle, bytes, used) === used ? bytes : undefined);
  }

  /** Says that this side has left, as the writer or as the reader, and wakes the other. */
  leave(as: "writer" | "reader"): void {
    this.#library.shim.shim_ring_leave(this.#handle, as === "writer");
  }

  /** Forgets the ring. Nothing may be called afterwards. */
  free(): void {
    this.#library.shim.shim_ring_free(this.#handle);
  }
}

/** What was in a ring when its writer left: as it came, so that many small messages take no more room than they did there. */
export class RingRest {
  #bytes: Uint8Array<ArrayBuffer>;

  /** @param bytes messages, each behind its length and filled up to a multiple of 8; nothing if left out */
  constructor(bytes: Uint8Array<ArrayBuffer> = new Uint8Array()) {
    this.#bytes = bytes;
  }

  /** Whether something is left; perhaps nothing that is valid. */
  get ready(): boolean {
    return this.#bytes.length > 0;
  }

  /** The next message; `undefined` if there is none, or what stands there cannot be one. */
  shift(): Uint8Array<ArrayBuffer> | undefined {
    const { buffer, byteOffset, byteLength } = this.#bytes;
    if (byteLength < LENGTH_BYTES) return this.#end();
    const length = Number(new DataView(buffer, byteOffset).getBigUint64(0, true));
    if (length > byteLength - LENGTH_BYTES) return this.#end();
    const message = this.#bytes.slice(LENGTH_BYTES, LENGTH_BYTES + length);
    this.#bytes = this.#bytes.subarray(LENGTH_BYTES + Math.ceil(length / 8) * 8);
    return message;
  }

  #end(): undefined {
    this.#bytes = new Uint8Array();
  }
}

function troubleOf(result: number): Error {
  return result === Result.ended ? new EndedRing() : new BrokenRing();
}
