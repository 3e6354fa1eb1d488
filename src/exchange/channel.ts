import type { LinkedChannel } from "../link/linked_channel.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { LoopTurns } from "../sync/loop_turns.ts";
import {
  MAX_SPIN_ON_LOOP,
  millisecondsOf,
  signalOf,
  spinOf,
  type SyncWaitOptions,
  type WaitOptions,
} from "../sync/waiting.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import { inWords } from "../xpc/in_words.ts";

/** Options of {@linkcode Channel.messages}. */
export type ChannelMessagesOptions = Pick<WaitOptions, "signal" | "spin">;

/**
 * A pair of rings between a client and its server: bytes at the speed of memory, one copy in and one out. Messages keep
 * their order and their boundaries. Both sides have the same object.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.channel", { channels: { midi: { byteLength: 65536 } } });
 * await using client = await connect("com.example.channel");
 * const ours = await client.channel("midi");
 * const [theirs] = server.channel("midi").open;
 * assert(ours.send(new Uint8Array([0x90, 60, 127])));
 * for await (const bytes of theirs!) {
 *   assert(bytes.length === 3 && bytes[1] === 60);
 *   break;
 * }
 * ```
 */
export class Channel implements AsyncIterable<Uint8Array<ArrayBuffer>>, AsyncDisposable, Waitable {
  /** Its name. */
  readonly name: string;
  /** The bytes of the ring in each direction; a message has at most half of them. */
  readonly byteLength: number;
  /** The process at the other end. */
  readonly pid: number;
  readonly #linked: LinkedChannel;
  readonly #turns: LoopTurns;

  /** @internal */
  constructor(linked: LinkedChannel, turns: LoopTurns) {
    this.name = linked.name;
    this.byteLength = linked.byteLength;
    this.pid = linked.pid;
    this.#linked = linked;
    this.#turns = turns;
  }

  /**
   * Resolves when the channel has ended: closed by either side, or because the client left (with `undefined`), or because
   * the server is gone (with an error).
   */
  get closed(): Promise<Error | undefined> {
    return this.#linked.closed;
  }

  /**
   * Sends a message, if there is room for it and no {@linkcode sendAsync} waits for room.
   *
   * @param bytes the message; it is copied at once
   * @returns whether it was sent
   * @throws {RangeError} if it is longer than half of the ring
   * @throws {TypeError} if it is not a view of bytes, or the channel is closed
   * @throws {PeerGoneError} if the server is gone
   */
  send(bytes: ArrayBufferView): boolean {
    return this.#linked.send(this.#checked(bytes));
  }

  /**
   * Sends a message as soon as there is room for it, after those of earlier calls.
   *
   * @param bytes the message; it must not be changed before the promise settles
   * @param options when to give up
   * @throws {DOMException} `TimeoutError` if there is no room in time
   * @throws the signal's reason, if it aborts first
   * @throws {Error} as {@linkcode send}
   */
  async sendAsync(
    bytes: ArrayBufferView,
    options: Pick<WaitOptions, "timeout" | "signal"> = {},
  ): Promise<void> {
    const message = this.#checked(bytes);
    const signal = signalOf(options);
    const milliseconds = millisecondsOf(options);
    signal?.throwIfAborted();
    if (this.#linked.send(message)) return;
    const doing = `send a message over "${this.name}"`;
    await this.#linked.sendLater(message, { doing, milliseconds, spin: 0, signal });
  }

  /**
   * Takes the next message, if there is one.
   *
   * @returns a copy of it, or `undefined` if there is none
   * @throws {TypeError} if the channel has ended and all that came before was received
   * @throws {PeerGoneError} if the server is gone and all that came before was received
   */
  receive(): Uint8Array<ArrayBuffer> | undefined {
    return this.#linked.receive();
  }

  /**
   * Blocks this thread until there is a message: for workers. With `spin: Infinity` it is the quickest way to wait.
   *
   * @param options how long to spin and to wait
   * @returns a copy of the message
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws {TypeError} if the channel has ended
   * @throws {PeerGoneError} if the other side is gone
   */
  receiveSync(options: SyncWaitOptions = {}): Uint8Array<ArrayBuffer> {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    const waiting = this.#linked.receive();
    if (waiting !== undefined) return waiting;
    const look = (): Uint8Array<ArrayBuffer> | undefined => this.#linked.receive();
    return this.#linked.untilNewsSync(look, { doing: this.#receiving(), milliseconds, spin });
  }

  /**
   * The messages, one after the other.
   *
   * @param options when to stop, and how long to spin before parking on the event loop
   * @returns the messages; they end when either side closes the channel, or the client leaves
   * @throws {PeerGoneError} when the server is gone
   * @throws the signal's reason, when it aborts
   */
  async *messages(
    options: ChannelMessagesOptions = {},
  ): AsyncIterableIterator<Uint8Array<ArrayBuffer>, undefined, void> {
    const signal = signalOf(options);
    const spin = Math.min(spinOf(options), MAX_SPIN_ON_LOOP);
    const wait = { doing: this.#receiving(), milliseconds: -1, spin, signal };
    for (;;) {
      signal?.throwIfAborted();
      if (this.#turns.due) await this.#turns.take();
      let message: Uint8Array<ArrayBuffer> | undefined;
      try {
        message = this.#linked.receive();
        if (message === undefined) {
          message = await this.#linked.untilNews(() => this.#linked.receive(), wait);
          this.#turns.slept();
        }
      } catch (error) {
        // A thread may have learned of the end by a look at the memory, before the event loop hears of it.
        if (error instanceof PeerGoneError) await this.#linked.closed;
        // The end tells by itself whether it came in order; what came before the end is received first.
        if (!this.#linked.ended) throw error;
        message = this.#linked.received();
        if (message === undefined && await this.#linked.closed !== undefined) throw error;
        if (message === undefined) return undefined;
      }
      yield message;
    }
  }

  /** The same as {@linkcode messages}, without options. */
  [Symbol.asyncIterator](): AsyncIterableIterator<Uint8Array<ArrayBuffer>, undefined, void> {
    return this.messages();
  }

  /** @internal For `waitAny()`. */
  [waitSource](): WaitSource {
    return this.#linked.source();
  }

  /** Closes the channel for both sides. What was sent before can be received there. Idempotent. */
  close(): Promise<void> {
    return this.#linked.close();
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #receiving(): string {
    return `receive a message over "${this.name}"`;
  }

  #checked(bytes: ArrayBufferView): Uint8Array<ArrayBuffer> {
    return messageOf(this.#linked, bytes);
  }
}

/**
 * @internal The bytes of a message.
 *
 * @throws {TypeError} or {RangeError} if the channel cannot send it
 */
export function messageOf(
  { name, byteLength }: { readonly name: string; readonly byteLength: number },
  bytes: ArrayBufferView,
): Uint8Array<ArrayBuffer> {
  const doing = `Cannot send a message over "${name}"`;
  if (!ArrayBuffer.isView(bytes)) {
    throw new TypeError(`${doing}: it is ${inWords(bytes)}, but must be a typed array or a DataView`);
  }
  const most = byteLength / 2;
  if (bytes.byteLength > most) {
    throw new RangeError(`${doing}: it has ${bytes.byteLength} bytes, but at most ${most} are possible`);
  }
  if (bytes instanceof Uint8Array) return bytes as Uint8Array<ArrayBuffer>;
  return new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}
