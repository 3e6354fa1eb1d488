import { disposeValue, type XpcValue } from "../xpc/mod.ts";
import { type MessageValue, type RegionOpener, unpackValue } from "./messages_values.ts";

/** A message that waits for somebody who takes it. */
interface Waiting {
  readonly value: XpcValue;
  readonly taken: () => void;
}

/** Waits for a message. */
interface Taker {
  readonly give: (result: IteratorResult<MessageValue, undefined>) => void;
  readonly fail: (error: unknown) => void;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * The messages that came to a client, over all of its servers. The sender's bound bounds it: a message counts as under
 * way until somebody takes it from here.
 */
export class MessageQueue {
  readonly #open: RegionOpener;
  readonly #waiting: Waiting[] = [];
  readonly #takers: Taker[] = [];
  #ended: { readonly error: Error | undefined } | undefined;

  /** @param open opens the regions that come in messages */
  constructor(open: RegionOpener) {
    this.#open = open;
  }

  /** Adds a message; resolves when somebody has taken it. */
  push(value: XpcValue): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      taker.give({ value: unpackValue(value, this.#open), done: false });
      resolve();
    } else if (this.#ended === undefined) {
      this.#waiting.push({ value, taken: resolve });
    } else {
      disposeValue(value);
      resolve();
    }
    return promise;
  }

  /** Ends it: those who wait are done, or get the error. What is there can be taken still, unless `discard` says no. */
  end(error: Error | undefined, discard: boolean): void {
    this.#ended ??= { error };
    for (const { give, fail } of this.#takers.splice(0)) {
      if (error === undefined) give(DONE);
      else fail(error);
    }
    if (!discard) return;
    for (const { value, taken } of this.#waiting.splice(0)) {
      disposeValue(value);
      taken();
    }
  }

  /** Takes the next message, or waits for it. */
  take(taker: Taker): void {
    const first = this.#waiting.shift();
    if (first !== undefined) {
      taker.give({ value: unpackValue(first.value, this.#open), done: false });
      first.taken();
    } else if (this.#ended === undefined) this.#takers.push(taker);
    else if (this.#ended.error === undefined) taker.give(DONE);
    else taker.fail(this.#ended.error);
  }

  /** Gives up a wait. */
  leave(taker: Taker): void {
    const place = this.#takers.indexOf(taker);
    if (place >= 0) this.#takers.splice(place, 1);
  }
}

/** Messages, one after the other: `for await (const value of client.messages())`. */
export class Messages implements AsyncIterableIterator<MessageValue, undefined, void> {
  readonly #queue: MessageQueue;
  readonly #signal: AbortSignal | undefined;
  readonly #waits = new Set<Taker>();
  #returned = false;

  /** @internal */
  constructor(queue: MessageQueue, signal: AbortSignal | undefined) {
    this.#queue = queue;
    this.#signal = signal;
  }

  /** Returns itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Waits for the next message.
   *
   * @returns the message; `done` when the client is closed or the iteration was ended
   * @throws {PeerGoneError} when the server is gone and the client does not look for the next one
   * @throws the signal's reason, when it aborts
   */
  next(): Promise<IteratorResult<MessageValue, undefined>> {
    const signal = this.#signal;
    if (this.#returned) return Promise.resolve(DONE);
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<MessageValue, undefined>>();
    const abort = (): void => {
      this.#queue.leave(taker);
      taker.fail(signal?.reason);
    };
    const end = (): void => {
      this.#waits.delete(taker);
      signal?.removeEventListener("abort", abort);
    };
    const taker: Taker = {
      give: (result) => {
        end();
        resolve(result);
      },
      fail: (error) => {
        end();
        reject(error);
      },
    };
    this.#waits.add(taker);
    signal?.addEventListener("abort", abort, { once: true });
    this.#queue.take(taker);
    return promise;
  }

  /** Ends the iteration; a `next()` that waits is done. */
  return(): Promise<IteratorResult<MessageValue, undefined>> {
    this.#returned = true;
    for (const taker of [...this.#waits]) {
      this.#queue.leave(taker);
      taker.give(DONE);
    }
    return Promise.resolve(DONE);
  }
}
