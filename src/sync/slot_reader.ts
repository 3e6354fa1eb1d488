import type { Library } from "../../ffi/load.ts";
import type { Address, ShimAudience, ShimStreamReader } from "../../ffi/types.ts";

/** Where the words of a stream's reading side lie. */
export interface SlotReaderPlace {
  /** The header, which the server writes. */
  readonly header: Address;
  /** How many slots there are. */
  readonly slots: number;
  /** Our leases. */
  readonly leases: Address;
  /** The number of the frame that was taken last, of an earlier generation; below 0: there was none. */
  readonly last: number;
  /** Whom the end of a lease wakes. */
  readonly audience: ShimAudience;
  /** The revision that counts the frames. */
  readonly revision: Address;
  /** The number of the stream. */
  readonly index: number;
}

/** A frame that was leased. */
export interface TakenFrame {
  /** The slot that it is in. */
  readonly slot: number;
  /** Its number. */
  readonly sequence: number;
  /** How many frames were missed before it. */
  readonly dropped: number;
  /** The bytes that are used, as the writer says. */
  readonly byteLength: number;
  /** The writer's. */
  readonly timestamp: number;
}

/** The reading side of a stream's slots: see `stream_reader.c`. */
export class SlotReader {
  readonly #library: Library;
  readonly #handle: ShimStreamReader;
  readonly #take: Library["shim"]["shim_stream_take"];
  readonly #release: Library["shim"]["shim_stream_release"];
  readonly #holds: Library["shim"]["shim_stream_holds"];
  /** `shim_frame`, filled in at each take. */
  readonly #frame = new Float64Array(4);
  /** Kept here too: it is asked for at any time, also after the end. */
  #last: number;

  /** @throws {Error} if no memory is left */
  constructor(library: Library, place: SlotReaderPlace) {
    const { header, slots, leases, last, audience, revision, index } = place;
    const { shim } = library;
    const handle = shim.shim_stream_reader_create(header, slots, leases, last, audience, revision, index);
    if (handle === null) throw new Error("Cannot open a stream: no memory is left");
    this.#library = library;
    this.#handle = handle;
    this.#take = shim.shim_stream_take;
    this.#release = shim.shim_stream_release;
    this.#holds = shim.shim_stream_holds;
    this.#last = shim.shim_stream_reader_last(handle);
  }

  /** The number of the frame that was taken last. */
  get last(): number {
    return this.#last;
  }

  /** Asks the writer to keep frames until we have taken them, where it can wait for that. */
  wantEvery(): void {
    const { shim } = this.#library;
    shim.shim_stream_reader_want_every(this.#handle);
    this.#last = shim.shim_stream_reader_last(this.#handle);
  }

  /** Leases the newest frame after number `after`, or with `every` the oldest; `undefined` if there is none. */
  take(every: boolean, after: number): TakenFrame | undefined {
    const frame = this.#frame;
    const slot = this.#take(this.#handle, every, after, frame);
    if (slot < 0) return undefined;
    const sequence = frame[0]!;
    if (sequence > this.#last) this.#last = sequence;
    return {
      slot,
      sequence,
      dropped: frame[1]!,
      byteLength: frame[2]!,
      timestamp: frame[3]!,
    };
  }

  /** Ends a lease. */
  release(slot: number, sequence: number): void {
    this.#release(this.#handle, slot, sequence);
  }

  /** Whether the slot still has the frame. */
  holds(slot: number, sequence: number): boolean {
    return this.#holds(this.#handle, slot, sequence);
  }

  /** Forgets the stream. Nothing may be called afterwards. */
  free(): void {
    this.#library.shim.shim_stream_reader_free(this.#handle);
  }
}
