import type { Address } from "../../ffi/types.ts";
import { aborted } from "../broker/abort.ts";
import { Mapping } from "../memory/mapping.ts";
import { SlotReader, type TakenFrame } from "../sync/slot_reader.ts";
import type { WaitSource } from "../sync/wait_source.ts";
import { type UntilOptions, Waits } from "../sync/waits.ts";
import { disposeValue, FileDescriptor, type XpcRecord } from "../xpc/mod.ts";
import type { ClientLink } from "./client_link.ts";
import { IncompatibleError } from "./errors.ts";
import { LEASES_BYTES, MAXIMUM_REGIONS, SEQUENCE_UNIT, serverRevisionAt } from "./layout.ts";
import type { Linked } from "./link_end.ts";
import { integerOf } from "./protocol.ts";
import { placeOf } from "./word_place.ts";
import { bytesOf, shapeOf, type StreamShape } from "./stream_shape.ts";

/** How to open a stream. */
export interface OpenStreamOptions {
  /** Whether to ask the server to keep each frame until it was taken. */
  readonly every: boolean;
  /** The number of the frame that was taken last, of an earlier generation; below 0: there was none. */
  readonly last: number;
  /** Ends the wait for the server's reply. */
  readonly signal: AbortSignal | undefined;
}

/** What the server answers. */
interface Answer {
  readonly index: number;
  readonly generation: number;
  readonly reader: number;
  readonly shape: StreamShape;
}

/**
 * One generation of a stream at a client: its memory, and our leases. It stays mapped until it was closed and the last
 * lease has ended.
 */
export class LinkedStream implements Linked {
  /** Its name. */
  readonly name: string;
  /** Its generation. */
  readonly generation: number;
  /** Its memory. */
  readonly mapping: Mapping;
  /** Where the slots lie in it. */
  readonly shape: StreamShape;
  readonly #link: ClientLink;
  readonly #answer: Answer;
  readonly #leases: Mapping;
  readonly #reader: SlotReader;
  /** The number and the slot of the newest frame. */
  readonly #newest: Address;
  readonly #waits: Waits;
  readonly #every: boolean;
  /** How many leases are open. */
  #open = 0;
  #unused: (() => void) | undefined;
  #freed = false;
  #orphaned = false;
  #closing: Promise<void> | undefined;

  /**
   * Opens a stream.
   *
   * @throws {Deno.errors.NotFound} if the server has no such stream
   * @throws {IncompatibleError} if the answer is not valid
   * @throws {ConnectionError} if the server is gone
   */
  static async open(link: ClientLink, name: string, options: OpenStreamOptions): Promise<LinkedStream> {
    using undo = new DisposableStack();
    const leases = undo.use(await Mapping.create(LEASES_BYTES));
    using shared = leases.share();
    const asked = link.ask({ op: "stream", name, leases: shared }, undefined);
    let reply: XpcRecord;
    try {
      reply = await aborted(asked, options.signal);
    } catch (error) {
      // The server may have added the reader, or does so later.
      void asked.then((late) => giveBack(link, name, late), () => {});
      throw error;
    }
    undo.defer(() => giveBack(link, name, reply));
    try {
      const answer = answerOf(reply);
      const { memory } = reply;
      if (answer === undefined || !(memory instanceof FileDescriptor)) {
        throw new IncompatibleError(`Cannot open "${name}": the server's answer is not of this version`);
      }
      link.check(name);
      const mapping = undo.use(Mapping.open(memory, bytesOf(answer.shape), { name }));
      const stream = new LinkedStream(link, name, answer, mapping, leases, options);
      undo.move();
      return link.keep(stream);
    } finally {
      disposeValue(reply);
    }
  }

  private constructor(
    link: ClientLink,
    name: string,
    answer: Answer,
    mapping: Mapping,
    leases: Mapping,
    { every, last }: OpenStreamOptions,
  ) {
    const { queue, server, audience } = link;
    const { index, generation, shape } = answer;
    this.name = name;
    this.generation = generation;
    this.mapping = mapping;
    this.shape = shape;
    this.#link = link;
    this.#answer = answer;
    this.#leases = leases;
    this.#every = every;
    const revision = server.word(serverRevisionAt(index), 8);
    this.#newest = mapping.word(0, 8);
    this.#reader = new SlotReader(queue.library, {
      header: this.#newest,
      slots: shape.slots,
      leases: leases.word(0, 8),
      last,
      audience,
      revision,
      index,
    });
    if (every) this.#reader.wantEvery();
    this.#waits = new Waits(placeOf(link, name, index, revision));
  }

  /** Whether the server put another generation in its place. */
  get replaced(): boolean {
    return this.#closing === undefined && this.#waits.isReplaced(this.generation);
  }

  /** Whether the server is gone. */
  get orphaned(): boolean {
    return this.#orphaned;
  }

  /** Whether it was closed. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** The number of the frame that was taken last. */
  get last(): number {
    return this.#reader.last;
  }

  /**
   * Leases a frame after number `after`, if there is one.
   *
   * @throws {TypeError} if the stream is closed
   */
  take(after: number): TakenFrame | undefined {
    if (this.#closing !== undefined) this.#waits.check(); // throws
    const frame = this.#reader.take(this.#every, after);
    if (frame === undefined) return undefined;
    this.#open++;
    if (this.#every) this.#link.committed(this.#answer.index);
    return frame;
  }

  /** Waits until `look` finds something. */
  until<T>(look: () => T | undefined, options: UntilOptions): Promise<T> {
    return this.#waits.until(look, options);
  }

  /** Waits until `look` finds something, and blocks this thread. */
  untilSync<T>(look: () => T | undefined, options: UntilOptions): T {
    return this.#waits.untilSync(look, options);
  }

  /** Whether the server says that there is a newer frame than the one that was taken last. */
  get hasNewer(): boolean {
    this.#waits.check();
    return Math.floor(this.mapping.library.shim.shim_word_load64(this.#newest) / SEQUENCE_UNIT) > this.last;
  }

  /** For one wait for several things. */
  source(isReady: () => boolean): WaitSource {
    return this.#waits.source(isReady);
  }

  /** Checks that waits are possible. */
  check(): void {
    this.#waits.check();
  }

  /** Ends a lease. */
  release(slot: number, sequence: number): void {
    if (!this.#freed) {
      this.#reader.release(slot, sequence);
      this.#link.committed(this.#answer.index);
    }
    if (--this.#open === 0) this.#unused?.();
  }

  /** Whether a frame is still what it was when it was leased. */
  holds(slot: number, sequence: number): boolean {
    return !this.#freed && this.#reader.holds(slot, sequence);
  }

  /** Resolves when the last lease has ended. */
  async unused(): Promise<void> {
    if (this.#open === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#unused = resolve;
    await promise;
  }

  /** The server is gone: fails the waits. What is leased stays readable. */
  async orphan(error: Error): Promise<void> {
    this.#orphaned = true;
    await this.#waits.end(error);
  }

  /** Ends the waits and the leases, and unmaps. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.mapping.close();
    this.#freed = true;
    await this.#waits.end();
    this.#reader.free();
    this.#leases.close(); // the server has a mapping of its own, in which our leases have ended
    this.#link.drop(this);
    // A link that is over has freed it already.
    if (!this.#orphaned) closeReader(this.#link, this.name, this.#answer);
  }
}

/** Has the server free what it keeps of a reader. */
function closeReader(
  link: ClientLink,
  name: string,
  { generation, reader }: Pick<Answer, "generation" | "reader">,
): void {
  const request = { op: "stream_close", name, generation: BigInt(generation), reader: BigInt(reader) };
  void link.ask(request, undefined).then(disposeValue, () => {}); // the link is over, and the reader with it
}

/** Gives back what a reply brought that nobody uses. */
function giveBack(link: ClientLink, name: string, reply: XpcRecord): void {
  const generation = integerOf(reply["generation"], Number.MAX_SAFE_INTEGER);
  const reader = integerOf(reply["reader"], Number.MAX_SAFE_INTEGER);
  disposeValue(reply);
  if (generation !== undefined && reader !== undefined) closeReader(link, name, { generation, reader });
}

function answerOf(reply: XpcRecord): Answer | undefined {
  const index = integerOf(reply["index"], MAXIMUM_REGIONS - 1);
  const generation = integerOf(reply["generation"], Number.MAX_SAFE_INTEGER);
  const reader = integerOf(reply["reader"], Number.MAX_SAFE_INTEGER);
  const shape = shapeOf(reply);
  if (index === undefined || generation === undefined || reader === undefined || shape === undefined) {
    return undefined;
  }
  return { index, generation, reader, shape };
}
