import type { ServedChannel } from "../link/channel_table.ts";
import type { LinkedChannel } from "../link/linked_channel.ts";
import { type Channel, messageOf } from "./channel.ts";

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * A channel at the server: one {@linkcode Channel} for each client that opens it. Iterate over it to get each as it is
 * opened: `for await (const channel of server.channel("midi"))`.
 */
export class ChannelHub implements AsyncIterable<Channel> {
  /** Its name. */
  readonly name: string;
  /** The bytes of the ring in each direction. */
  readonly byteLength: number;
  readonly #served: ServedChannel;
  readonly #wrap: (linked: LinkedChannel) => Channel;

  /** @internal */
  constructor(served: ServedChannel, wrap: (linked: LinkedChannel) => Channel) {
    this.name = served.name;
    this.byteLength = served.byteLength;
    this.#served = served;
    this.#wrap = wrap;
  }

  /** The channels of the clients that have opened it, in their order. */
  get open(): Channel[] {
    return [...this.#served.open].map((linked) => this.#wrap(linked));
  }

  /**
   * Sends a message to all clients that have opened the channel and have room for it.
   *
   * @param bytes the message
   * @returns to how many it was sent
   * @throws {RangeError} if it is longer than half of the ring
   * @throws {TypeError} if it is not a view of bytes
   */
  send(bytes: ArrayBufferView): number {
    const message = messageOf(this, bytes);
    let count = 0;
    for (const linked of [...this.#served.open]) {
      try {
        if (linked.send(message)) count++;
      } catch {
        // It ended or was broken by its client, which its own channel tells. The others get the message.
      }
    }
    return count;
  }

  /** Each client's channel: those that are open, then each as it is opened. They end when the server is closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Channel, undefined, void> {
    return new Opened(this.#served, this.#wrap);
  }
}

/** A reader of what is opened, who can be told to stop while it waits. */
class Opened implements AsyncIterableIterator<Channel, undefined, void> {
  readonly #served: ServedChannel;
  readonly #wrap: (linked: LinkedChannel) => Channel;
  /** What was opened and not taken; `undefined` before the first call. */
  #opened: LinkedChannel[] | undefined;
  readonly #waiting: ((result: IteratorResult<Channel, undefined>) => void)[] = [];
  #isOver = false;

  constructor(served: ServedChannel, wrap: (linked: LinkedChannel) => Channel) {
    this.#served = served;
    this.#wrap = wrap;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Channel, undefined>> {
    if (this.#opened === undefined) {
      this.#opened = [...this.#served.open];
      if (this.#served.isOver) this.#end();
      else if (!this.#isOver) this.#served.listeners.add(this.#listener);
    }
    const { promise, resolve } = Promise.withResolvers<IteratorResult<Channel, undefined>>();
    this.#waiting.push(resolve);
    this.#give();
    return promise;
  }

  return(): Promise<IteratorResult<Channel, undefined>> {
    this.#end();
    return Promise.resolve(DONE);
  }

  readonly #listener = (linked: LinkedChannel | undefined): void => {
    if (linked === undefined) return this.#end();
    this.#opened?.push(linked);
    this.#give();
  };

  #give(): void {
    const opened = this.#opened!;
    while (this.#waiting.length > 0 && (this.#isOver || opened.length > 0)) {
      const linked = this.#isOver ? undefined : opened.shift();
      this.#waiting.shift()!(linked === undefined ? DONE : { value: this.#wrap(linked), done: false });
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#served.listeners.delete(this.#listener);
    this.#opened = [];
    this.#give();
  }
}
