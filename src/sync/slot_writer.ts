import type { Library } from "../../ffi/load.ts";
import type { Address, ShimAudience, ShimStreamWriter } from "../../ffi/types.ts";

/** `SHIM_LOAN_REVOKE` */
const REVOKE = 1;
/** `SHIM_LOAN_UNWANTED` */
const UNWANTED = 2;

/** The most readers that an error names. */
const MAX_HOLDERS = 64;

/** Where the words of a stream's writing side lie. */
export interface SlotWriterPlace {
  /** The header. */
  readonly header: Address;
  /** How many slots there are. */
  readonly slots: number;
  /** The number of the last frame of an earlier generation, or 0. */
  readonly last: number;
  /** Whom a new frame wakes. */
  readonly audience: ShimAudience;
  /** The revision that counts the frames. */
  readonly revision: Address;
  /** The number of the stream. */
  readonly index: number;
}

/** Which slot may be taken. */
export interface LoanFlags {
  /** End the leases of the oldest frame, where all slots are leased. */
  readonly revoke: boolean;
  /** Only a slot whose frame no reader of every frame still waits for. */
  readonly unwanted: boolean;
}

/** The writing side of a stream's slots: see `stream_writer.c`. */
export class SlotWriter {
  readonly #library: Library;
  readonly #handle: ShimStreamWriter;
  // Kept: they are called for each frame, and are found slowly in the library.
  readonly #loan: Library["shim"]["shim_stream_loan"];
  readonly #publish: Library["shim"]["shim_stream_publish"];
  readonly #drop: Library["shim"]["shim_stream_drop"];
  #last: number;

  /** @throws {Error} if no memory is left */
  constructor(library: Library, place: SlotWriterPlace) {
    const { header, slots, last, audience, revision, index } = place;
    const { shim } = library;
    const handle = shim.shim_stream_writer_create(header, slots, last, audience, revision, index);
    if (handle === null) throw new Error("Cannot make a stream: no memory is left");
    this.#library = library;
    this.#handle = handle;
    this.#loan = shim.shim_stream_loan;
    this.#publish = shim.shim_stream_publish;
    this.#drop = shim.shim_stream_drop;
    this.#last = last;
  }

  /** The number of the newest frame; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /** Takes a slot, if there is one. */
  loan({ revoke, unwanted }: LoanFlags): number | undefined {
    const slot = this.#loan(this.#handle, (revoke ? REVOKE : 0) | (unwanted ? UNWANTED : 0));
    return slot < 0 ? undefined : slot;
  }

  /** Publishes what was written in a slot, and returns the frame's number. */
  publish(
    slot: number,
    byteLength: number,
    timestamp: number,
    record: Uint8Array<ArrayBuffer> | null,
  ): number {
    this.#last = this.#publish(this.#handle, slot, byteLength, timestamp, record);
    return this.#last;
  }

  /** Gives a slot back. */
  drop(slot: number): void {
    this.#drop(this.#handle, slot);
  }

  /**
   * Adds a reader.
   *
   * @param leases its words
   * @param gone a word that is not 0 once it is dead
   * @returns its number
   * @throws {Error} if no memory is left, or there are too many readers
   */
  addReader(leases: Address, gone: Address | null): number {
    const reader = this.#library.shim.shim_stream_reader_add(this.#handle, leases, gone);
    if (reader < 0) throw new Error("Cannot take another reader of the stream: no memory is left");
    return reader;
  }

  /** Removes a reader: its leases end. */
  removeReader(reader: number): void {
    this.#library.shim.shim_stream_reader_remove(this.#handle, reader);
  }

  /** The numbers of the readers that keep slots from the writer. */
  holders(): number[] {
    const readers = new Int32Array(MAX_HOLDERS);
    const count = this.#library.shim.shim_stream_holders(this.#handle, readers, MAX_HOLDERS);
    return [...readers.subarray(0, count)];
  }

  /** Forgets the stream. Nothing may be called afterwards. */
  free(): void {
    this.#library.shim.shim_stream_writer_free(this.#handle);
  }
}
