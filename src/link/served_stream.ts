import { Mapping } from "../memory/mapping.ts";
import { type LoanFlags, SlotWriter } from "../sync/slot_writer.ts";
import { type UntilOptions, Waits } from "../sync/waits.ts";
import type { SharedMemory } from "../xpc/mod.ts";
import { LEASES_BYTES, serverRevisionAt } from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { LinkRefusal } from "./protocol.ts";
import type { ServerLink } from "./server_link.ts";
import type { StreamOptions } from "./stream_options.ts";
import { DEFAULT_SLOTS } from "./stream_options.ts";
import { placeOf } from "./word_place.ts";
import { bytesOf, makeShape, type StreamShape } from "./stream_shape.ts";

/** The most times that one client may have opened one stream at once. */
const MAX_READERS = 64;

/** A reader of a stream, as its server knows it. */
interface Reader {
  readonly link: ServerLink;
  readonly leases: Mapping;
  /** Its number for the writer. */
  readonly number: number;
}

/** What a stream is, apart from its memory. */
export interface StreamFacts {
  /** Its name. */
  readonly name: string;
  /** Its number: the place of its words. */
  readonly index: number;
  /** Counts from 1; a stream that replaces another has the next one. */
  readonly generation: number;
  /** The number of the last frame of the generation before. */
  readonly last: number;
}

/** One generation of a stream at its server: the slots, and the readers that lease them. */
export class ServedStream {
  /** Its name. */
  readonly name: string;
  /** Its number. */
  readonly index: number;
  /** Its generation. */
  readonly generation: number;
  /** Its memory. */
  readonly mapping: Mapping;
  /** Where the slots lie in it. */
  readonly shape: StreamShape;
  readonly #writer: SlotWriter;
  readonly #waits: Waits;
  readonly #readers = new Map<number, Reader>();
  #lastReader = 0;
  #closing: Promise<void> | undefined;

  /**
   * Makes a stream.
   *
   * @param facts tells what it is, once there is memory: until then, the generation before goes on counting frames
   * @param put puts it in its place, in the same turn
   */
  static async create(
    end: LinkEnd,
    name: string,
    options: StreamOptions,
    facts: () => StreamFacts,
    put: (stream: ServedStream) => void,
  ): Promise<ServedStream> {
    const { byteLength, slots = DEFAULT_SLOTS, prefault = false } = options;
    const shape = makeShape(byteLength, slots);
    using undo = new DisposableStack();
    const mapping = undo.use(
      await Mapping.create(bytesOf(shape), { readOnlyForOthers: true, prefault, name }),
    );
    const stream = new ServedStream(end, facts(), shape, mapping);
    undo.move();
    put(stream);
    return stream;
  }

  private constructor(end: LinkEnd, facts: StreamFacts, shape: StreamShape, mapping: Mapping) {
    const { name, index, generation, last } = facts;
    const { queue, server, audience } = end;
    this.name = name;
    this.index = index;
    this.generation = generation;
    this.mapping = mapping;
    this.shape = shape;
    const revision = server.word(serverRevisionAt(index), 8);
    this.#writer = new SlotWriter(queue.library, {
      header: mapping.word(0, 8),
      slots: shape.slots,
      last,
      audience,
      revision,
      index,
    });
    this.#waits = new Waits(placeOf(end, name, index, revision));
  }

  /** The number of the newest frame. */
  get last(): number {
    return this.#writer.last;
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#readers.size;
  }

  /** Whether it was closed or replaced. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * Takes a slot, if there is one.
   *
   * @throws {TypeError} if the stream is closed
   */
  loan(flags: LoanFlags): number | undefined {
    this.#waits.check();
    return this.#writer.loan(flags);
  }

  /** Waits for a slot. */
  async loanLater(flags: LoanFlags, options: UntilOptions): Promise<number> {
    this.#waits.check();
    return await this.#waits.until(() => this.#writer.loan(flags), options);
  }

  /** Publishes the frame in a slot, and returns its number. */
  publish(
    slot: number,
    byteLength: number,
    timestamp: number,
    record: Uint8Array<ArrayBuffer> | null,
  ): number {
    this.#waits.check();
    return this.#writer.publish(slot, byteLength, timestamp, record);
  }

  /** Gives a slot back without a frame. */
  drop(slot: number): void {
    if (!this.closed) this.#writer.drop(slot);
  }

  /** The processes whose readers keep slots from the writer, each once. */
  holders(): number[] {
    const numbers = new Set(this.#writer.holders());
    const pids = [...this.#readers.values()].filter(({ number }) => numbers.has(number))
      .map(({ link }) => link.pid);
    return [...new Set(pids)];
  }

  /**
   * Adds a reader of a client.
   *
   * @param link to the client
   * @param memory where the client has its leases
   * @returns the number by which the client closes it
   * @throws {RangeError} if the memory is too short, or could become so
   * @throws {LinkRefusal} if the client has too many readers
   */
  addReader(link: ServerLink, memory: SharedMemory): number {
    const count = [...this.#readers.values()].filter((reader) => reader.link === link).length;
    if (count >= MAX_READERS) {
      throw new LinkRefusal(
        "failed",
        `Cannot open "${this.name}" again: a client opens a stream at most ${MAX_READERS} times`,
      );
    }
    using undo = new DisposableStack();
    const leases = undo.use(Mapping.open(memory, LEASES_BYTES));
    const number = this.#writer.addReader(leases.word(0, 8), link.dead);
    undo.move();
    this.#readers.set(++this.#lastReader, { link, leases, number });
    return this.#lastReader;
  }

  /** Removes a reader of a client; others of the same number are not touched. */
  removeReader(link: ServerLink, id: number): void {
    const reader = this.#readers.get(id);
    if (reader?.link !== link) return;
    this.#remove(id, reader);
    this.#waits.recheck(); // for a slot
  }

  /** A client is gone: its leases end. */
  forget(link: ServerLink): void {
    for (const [id, reader] of this.#readers) {
      if (reader.link === link) this.#remove(id, reader);
    }
  }

  /** Ends the waits, and gives the memory back. Clients keep what they mapped. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.mapping.close();
    await this.#waits.end();
    for (const [id, reader] of this.#readers) this.#remove(id, reader);
    this.#writer.free();
  }

  #remove(id: number, { leases, number }: Reader): void {
    this.#readers.delete(id);
    this.#writer.removeReader(number);
    leases.close();
  }
}
