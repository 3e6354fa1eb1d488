import type { ServedChannel } from "../link/channel_table.ts";
import type { LinkedChannel } from "../link/linked_channel.ts";
import { Channel } from "./channel.ts";

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
  readonly #closed: Promise<unknown>;
  readonly #wrap: (linked: LinkedChannel) => Channel;

  /** @internal */
  constructor(served: ServedChannel, closed: Promise<unknown>, wrap: (linked: LinkedChannel) => Channel) {
    this.name = served.name;
    this.byteLength = served.byteLength;
    this.#served = served;
    this.#closed = closed;
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
    return this.open.filter((channel) => channel.send(bytes)).length;
  }

  /** Each client's channel: those that are open, then each as it is opened. They end when the server is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<Channel, undefined, void> {
    const waiting = [...this.#served.open];
    let wake = (): void => {};
    let isOver = false;
    void this.#closed.then(() => {
      isOver = true;
      wake();
    });
    const listener = (linked: LinkedChannel): void => {
      waiting.push(linked);
      wake();
    };
    this.#served.listeners.add(listener);
    try {
      while (!isOver) {
        const linked = waiting.shift();
        if (linked !== undefined) yield this.#wrap(linked);
        else await new Promise<void>((resolve) => wake = resolve);
      }
      return undefined;
    } finally {
      this.#served.listeners.delete(listener);
    }
  }
}
