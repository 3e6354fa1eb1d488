import type { Address, ShimAudience } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import { BrokenRing, EndedRing, Ring, RingRest } from "../sync/ring.ts";
import type { WaitSource } from "../sync/wait_source.ts";
import { type UntilOptions, Waits } from "../sync/waits.ts";
import { RING_HEADER_BYTES, RING_LEFT, RING_TAIL_AT } from "./layout.ts";
import { placeOf } from "./word_place.ts";
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

/** What the rest of an end of the link does when a channel ends. */
export interface ChannelEnding {
  /** Called once, as soon as it ends: `isOurs` if this side closed it, or found that the other had broken it. */
  ended(isOurs: boolean): void;
  /** Called once, when its memory is free. */
  freed(): void;
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
  readonly #ending: ChannelEnding;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  /** Those who wait for room, in their order. */
  readonly #senders: symbol[] = [];
  /** The counter that the other side raises as a reader: it tells also that it has left. */
  readonly #tail: Address;
  /** What had come, but was not received, when the channel ended. */
  #rest: RingRest | undefined;
  #isQuiet = false;
  #closing: Promise<void> | undefined;

  /**
   * Takes over the mapping.
   *
   * @param end where the words are
   * @param facts what the two ends agreed upon
   * @param mapping the rings
   * @param ending is told of the end
   * @throws {Error} if no memory is left; the mapping stays the caller's
   */
  constructor(end: LinkEnd, facts: ChannelFacts, mapping: Mapping, ending: ChannelEnding) {
    const { name, index, byteLength, pid, sends, audience, gone } = facts;
    const { queue } = end;
    this.name = name;
    this.byteLength = byteLength;
    this.pid = pid;
    this.#index = index;
    this.#end = end;
    this.#mapping = mapping;
    this.#ending = ending;
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
    using undo = new DisposableStack();
    this.#outgoing = ringAt(sendsAt);
    undo.defer(() => this.#outgoing.free());
    this.#incoming = ringAt(receivesAt);
    undo.move();
    this.#tail = mapping.word(sendsAt + RING_TAIL_AT, 8);
    // Those who wait sleep on the counter that the other side raises.
    const waitsOn = (offset: number): Waits => {
      const place = { ...placeOf(end, name, index, mapping.word(offset, 8)), gone, audience };
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
   * @returns whether there was room, and nobody waits for room
   * @throws {TypeError} if the channel is closed, or the error that ended it
   */
  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.#senders.length === 0) return this.#send(bytes);
    this.#room.check();
    return false;
  }

  /** Copies a message into the ring as soon as those before it are there and it has room. */
  async sendLater(bytes: Uint8Array<ArrayBuffer>, options: UntilOptions): Promise<void> {
    const turn = Symbol();
    this.#senders.push(turn);
    try {
      await this.#room.until(() => (this.#senders[0] === turn && this.#send(bytes)) || undefined, options);
    } finally {
      this.#senders.splice(this.#senders.indexOf(turn), 1);
      this.#room.recheck(); // the next one
    }
  }

  #send(bytes: Uint8Array<ArrayBuffer>): boolean {
    this.#room.check();
    const isSent = this.#use(() => this.#outgoing.send(bytes)) === true;
    if (isSent) this.#end.committed(this.#index);
    else this.#room.check(); // it may have found that the channel has ended
    return isSent;
  }

  /**
   * Copies the next message out, if there is one.
   *
   * @throws the error that ended the channel, after the last message
   */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#rest === undefined) {
      const message = this.#use(() => this.#incoming.receive());
      if (message !== undefined) this.#end.committed(this.#index);
      if (message !== undefined || !this.ended) return message;
    }
    const message = this.received();
    if (message === undefined) this.#news.check(); // throws
    return message;
  }

  /** The next message that had come when the channel ended. */
  received(): Uint8Array<ArrayBuffer> | undefined {
    return this.#rest?.shift();
  }

  /** Whether there is a message to receive; throws as {@linkcode receive}. */
  get ready(): boolean {
    const isReady = this.#rest === undefined && this.#use(() => this.#incoming.ready) === true;
    if (isReady || !this.ended) return isReady;
    if (this.#rest?.ready !== true) this.#news.check(); // throws
    return true;
  }

  /** For one wait for several things: ready when there is a message. */
  source(): WaitSource {
    return this.#news.source(() => this.ready);
  }

  /** Ends the channel if the other side has left it. */
  notice(): void {
    if (this.ended) return;
    if ((this.#end.queue.library.shim.shim_word_load(this.#tail) & RING_LEFT) !== 0) void this.finish();
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
    await this.#finish(error);
  }

  /** The other end has closed the channel, or left: what it sent before can be received still. */
  async finish(): Promise<void> {
    await this.#finish(undefined);
  }

  /** Closes the channel for both ends: ends the waits and gives the memory back. Idempotent. */
  async close(): Promise<void> {
    const ending = this.#finish(undefined, true);
    this.#rest = new RingRest();
    await ending;
  }

  /** As {@linkcode close}, and leaves it to the end of the link to tell the other side. */
  async drop(): Promise<void> {
    this.#isQuiet = true;
    await this.close();
  }

  #finish(error: Error | undefined, isOurs = false): Promise<void> {
    this.#closing ??= this.#free(error, isOurs);
    return this.#closing;
  }

  // All until the first wait happens at once: what is sent and asked afterwards meets a channel that has ended.
  async #free(error: Error | undefined, isOurs: boolean): Promise<void> {
    this.#rest = this.#takeRest();
    if (!this.#isQuiet) {
      // The other side may sit in a wait that only the memory ends.
      this.#outgoing.leave("writer");
      this.#incoming.leave("reader");
    }
    this.#ending.ended(isOurs && !this.#isQuiet);
    await Promise.all([this.#room.end(error), this.#news.end(error)]);
    this.#outgoing.free();
    this.#incoming.free();
    this.#mapping.close();
    this.#ending.freed();
    this.#ended.resolve(error);
  }

  #takeRest(): RingRest {
    try {
      return this.#incoming.rest();
    } catch {
      return new RingRest(); // no memory is left for a copy
    }
  }

  /** Uses a ring. When the other end has left or broke it, the channel ends. */
  #use<T>(use: () => T): T | undefined {
    try {
      return use();
    } catch (error) {
      if (error instanceof EndedRing) {
        void this.finish();
        return undefined;
      }
      if (!(error instanceof BrokenRing)) throw error;
      const broken = new Error(
        `Cannot use the channel "${this.name}": process ${this.pid} wrote into its memory what no ring can hold`,
      );
      void this.#finish(broken, true);
      this.#rest = new RingRest();
      throw broken;
    }
  }
}
