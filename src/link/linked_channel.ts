import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import { BrokenRing, Ring } from "../sync/ring.ts";
import { type UntilOptions, Waits } from "../sync/waits.ts";
import { generationAt, RING_HEADER_BYTES, RING_TAIL_AT } from "./layout.ts";
import type { Linked, LinkEnd } from "./link_end.ts";

/** What a channel is to one of its ends. */
export interface ChannelFacts {
  /** Its name. */
  readonly name: string;
  /** Its number. */
  readonly index: number;
  /** The bytes of each ring. */
  readonly byteLength: number;
  /** The process at the other end. */
  readonly pid: number;
  /** Which ring is for what this end sends: the first is the client's. */
  readonly sends: 0 | 1;
  /** Whom it wakes: the other end, and nobody else. */
  readonly audience: ShimAudience;
  /** A word that is not 0 once the other end is gone. */
  readonly gone: Address;
}

/** The bytes of a channel's memory: two rings. */
export function channelBytes(byteLength: number): number {
  return 2 * ringBytes(byteLength);
}

/** The bytes of one ring, so that the next one is aligned. */
function ringBytes(byteLength: number): number {
  return RING_HEADER_BYTES + Math.ceil(byteLength / 128) * 128;
}

/** A channel at one end of a link: a ring to send by, and one to receive from. Both ends assemble it here. */
export class LinkedChannel implements Linked {
  /** Its name. */
  readonly name: string;
  /** The bytes of each ring. */
  readonly byteLength: number;
  /** The process at the other end. */
  readonly pid: number;
  readonly #index: number;
  readonly #end: LinkEnd;
  readonly #mapping: Mapping;
  readonly #outgoing: Ring;
  readonly #incoming: Ring;
  readonly #room: Waits;
  readonly #news: Waits;
  readonly #onClose: (channel: LinkedChannel) => void;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  /** What had come, but was not received, when the channel ended. */
  #rest: Uint8Array<ArrayBuffer>[] | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Takes over the mapping.
   *
   * @param end where the words are
   * @param facts what the two ends agreed upon
   * @param mapping the rings
   * @param onClose called once, when the channel has ended
   */
  constructor(
    end: LinkEnd,
    facts: ChannelFacts,
    mapping: Mapping,
    onClose: (channel: LinkedChannel) => void,
  ) {
    const { name, index, byteLength, pid, sends, audience, gone } = facts;
    const { queue, server, bell } = end;
    this.name = name;
    this.byteLength = byteLength;
    this.pid = pid;
    this.#index = index;
    this.#end = end;
    this.#mapping = mapping;
    this.#onClose = onClose;
    const sendsAt = sends * ringBytes(byteLength);
    const receivesAt = (1 - sends) * ringBytes(byteLength);
    const ringAt = (offset: number): Ring => {
      return new Ring(queue.library, {
        memory: mapping.word(offset, 8),
        capacity: byteLength,
        audience,
        index,
      });
    };
    this.#outgoing = ringAt(sendsAt);
    this.#incoming = ringAt(receivesAt);
    // Those who wait sleep on the counter that the other side raises.
    const waitsOn = (offset: number): Waits => {
      const revision = mapping.word(offset, 8);
      const generation = server.word(generationAt(index), 8);
      const parked = end.parkedWord(index);
      const place = { queue, name, index, revision, generation, parked, gone, audience, bell };
      return new Waits(place, sends === 0 ? "server" : "client");
    };
    this.#room = waitsOn(sendsAt + RING_TAIL_AT);
    this.#news = waitsOn(receivesAt);
  }

  /** Resolves when the channel has ended: in order (with `undefined`), or with an error. */
  get closed(): Promise<Error | undefined> {
    return this.#ended.promise;
  }

  /** Whether the channel has ended. What had come is received still. */
  get ended(): boolean {
    return this.#rest !== undefined;
  }

  /**
   * Copies a message into the ring.
   *
   * @returns whether there was room
   * @throws {TypeError} if the channel is closed, or the error that ended it
   */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    this.#room.check();
    const isSent = this.#use(() => this.#outgoing.send(bytes));
    if (isSent) this.#end.committed(this.#index);
    return isSent;
  }

  /**
   * Copies the next message out, if there is one.
   *
   * @throws the error that ended the channel, after the last message
   */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#rest !== undefined) {
      const message = this.#rest.shift();
      if (message === undefined) this.#news.check(); // throws
      return message;
    }
    const message = this.#use(() => this.#incoming.receive());
    if (message !== undefined) this.#end.committed(this.#index);
    return message;
  }

  /** The next message that had come when the channel ended. */
  received(): Uint8Array<ArrayBuffer> | undefined {
    return this.#rest?.shift();
  }

  /** Waits for room, until `look` finds something. */
  untilRoom<T>(look: () => T | undefined, options: UntilOptions): Promise<T> {
    return this.#room.until(look, options);
  }

  /** Waits for a message, until `look` finds something. */
  untilNews<T>(look: () => T | undefined, options: UntilOptions): Promise<T> {
    return this.#news.until(look, options);
  }

  /** Waits for a message, and blocks this thread. */
  untilNewsSync<T>(look: () => T | undefined, options: UntilOptions): T {
    return this.#news.untilSync(look, options);
  }

  /** The other end is gone. */
  async orphan(error: Error): Promise<void> {
    await this.#finish(error, true);
  }

  /** The other end has closed the channel, or left: what it sent before can be received still. */
  async finish(): Promise<void> {
    await this.#finish(undefined, true);
  }

  /** Ends the waits and gives the memory back. Idempotent. */
  async close(): Promise<void> {
    await this.#finish(undefined, false);
  }

  #finish(error: Error | undefined, keepsRest: boolean): Promise<void> {
    if (!keepsRest) this.#rest = [];
    this.#closing ??= this.#free(error);
    return this.#closing;
  }

  async #free(error: Error | undefined): Promise<void> {
    this.#rest ??= this.#drain();
    this.#ended.resolve(error);
    await Promise.all([this.#room.end(error), this.#news.end(error)]);
    this.#outgoing.free();
    this.#incoming.free();
    this.#mapping.close();
    this.#onClose(this);
  }

  #drain(): Uint8Array<ArrayBuffer>[] {
    const messages = [];
    try {
      for (let message; (message = this.#incoming.receive()) !== undefined;) messages.push(message);
    } catch (error) {
      if (!(error instanceof BrokenRing)) throw error;
    }
    return messages;
  }

  /** Uses a ring; when the other end broke it, the channel ends. */
  #use<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      if (!(error instanceof BrokenRing)) throw error;
      const broken = new Error(
        `Cannot use the channel "${this.name}": process ${this.pid} wrote into its memory what no ring can hold`,
      );
      void this.#finish(broken, false);
      throw broken;
    }
  }
}
