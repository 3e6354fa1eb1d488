import { IncompatibleError } from "../link/errors.ts";
import type { LinkedStream } from "../link/linked_stream.ts";
import { LoopTurns } from "../sync/loop_turns.ts";
import {
  MAX_SPIN_ON_LOOP,
  millisecondsOf,
  revisionOf,
  spinOf,
  type SyncWaitOptions,
} from "../sync/waiting.ts";
import { type Waitable, type WaitSource, waitSource } from "../sync/wait_source.ts";
import { FrameLease } from "./frame_lease.ts";
import { SlotViews } from "./slot_views.ts";

/** Which frames a reader sees: the newest whenever it looks, or every one in its order while the slots last. */
export type FrameOrder = "newest" | "every";

/** Options of {@linkcode StreamReader.waitSync}. */
export interface FrameWaitOptions extends SyncWaitOptions {
  /**
   * Only frames after this number count.
   *
   * @default {the frame that this reader took last}
   */
  after?: number | undefined;
}

/** @internal How a reader opens the next generation of its stream. */
export type Reopen = (last: number) => Promise<LinkedStream>;

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * The reading side of a stream: leases frames and reads them in place. Iterate over it to get each frame:
 * `for await (using frame of video)`. It follows the stream when that is replaced. One loop at a time.
 */
export class StreamReader implements AsyncIterable<FrameLease>, AsyncDisposable, Waitable {
  /** Its name. */
  readonly name: string;
  /** Which frames it sees. */
  readonly order: FrameOrder;
  readonly #reopen: Reopen;
  readonly #signal: AbortSignal | undefined;
  readonly #spin: number;
  readonly #turns: LoopTurns;
  #stream: LinkedStream;
  #views: SlotViews;
  /** Earlier generations of which something is leased still. */
  readonly #before = new Set<LinkedStream>();
  #following: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Takes over the stream. */
  constructor(
    stream: LinkedStream,
    order: FrameOrder,
    reopen: Reopen,
    wait: { readonly signal: AbortSignal | undefined; readonly spin: number },
  ) {
    this.name = stream.name;
    this.order = order;
    this.#stream = stream;
    this.#reopen = reopen;
    this.#signal = wait.signal;
    this.#spin = Math.min(wait.spin, MAX_SPIN_ON_LOOP);
    this.#views = new SlotViews(stream.mapping, stream.shape, stream.name);
    this.#turns = new LoopTurns(stream.mapping.library.shim);
  }

  /** The most bytes of a frame. */
  get byteLength(): number {
    return this.#stream.shape.byteLength;
  }

  /** How many slots there are. */
  get slots(): number {
    return this.#stream.shape.slots;
  }

  /** The generation that is mapped, counted from 1. */
  get generation(): number {
    return this.#stream.generation;
  }

  /** Whether its server is gone. What is leased stays readable; nothing new comes. */
  get orphaned(): boolean {
    return this.#stream.orphaned;
  }

  /**
   * Leases a frame at once: the newest, or with `order: "every"` the next one.
   *
   * @returns the frame; `undefined` if none was published yet, or with `order: "every"` if there is no next one
   * @throws {TypeError} if the stream is closed
   */
  latest(): FrameLease | undefined {
    this.#checkOpen();
    if (this.#stream.replaced) this.#startFollowing();
    return this.#take(this.order === "every" ? this.#stream.last : 0);
  }

  /**
   * Blocks this thread until there is a frame: for workers. With `spin: Infinity` it is the quickest way to wait.
   *
   * @param options after which frame, how long to spin and to wait
   * @returns the frame
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws {DOMException} `InvalidStateError` if the stream was replaced: `await follow()`, since that needs the
   *   event loop
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the stream is closed
   */
  waitSync(options: FrameWaitOptions = {}): FrameLease {
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#checkOpen();
    const after = revisionOf(options.after ?? this.#stream.last, "after");
    return this.#stream.untilSync(() => {
      const frame = this.#look(after);
      if (frame === "replaced") throw this.#replacedError();
      return frame;
    }, { doing: this.#doing(), milliseconds, spin });
  }

  /**
   * Maps the newest generation, if the stream was replaced. Iterating does it by itself; a program that waits with
   * {@linkcode waitSync} calls it.
   *
   * @throws {PeerGoneError} if the server is gone
   * @throws {TypeError} if the stream is closed
   */
  async follow(): Promise<void> {
    this.#checkOpen();
    while (this.#stream.replaced) {
      this.#stream.check();
      await this.#startFollowing();
    }
  }

  /** Each frame, from the newest that there is on; frames in between are dropped, or with `order: "every"` are not. */
  [Symbol.asyncIterator](): AsyncIterableIterator<FrameLease, undefined, void> {
    return new Frames(() => this.#poll(), () => this.#wait());
  }

  /** @internal For `waitAny()`. */
  [waitSource](): WaitSource {
    this.#checkOpen();
    const stream = this.#stream;
    return stream.source(() => {
      this.#checkOpen();
      if (stream.hasNewer) return true;
      if (stream !== this.#stream || stream.replaced) throw this.#replacedError();
      return false;
    });
  }

  /** Ends all waits and leases, and unmaps. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** The same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    await this.#stream.close();
    await this.#following?.catch(() => {}); // told to those who waited for it
    await this.#stream.close(); // the one that came meanwhile
    await Promise.all([...this.#before].map((stream) => stream.close()));
  }

  /** The next frame if it is there, "end" if there is none any more. */
  #poll(): FrameLease | "end" | undefined {
    if (this.#closing !== undefined || this.#stream.closed) return "end";
    this.#signal?.throwIfAborted();
    if (this.#turns.due) return undefined;
    const found = this.#look(this.#stream.last);
    return found === "replaced" ? undefined : found;
  }

  /** The next frame of the generation that is mapped, or that there is another generation. */
  #look(after: number): FrameLease | "replaced" | undefined {
    const { replaced } = this.#stream;
    // Of every frame, those that the old generation has come first.
    if (replaced && this.order === "newest") return "replaced";
    return this.#take(after) ?? (replaced ? "replaced" : undefined);
  }

  /** Waits for the next frame. */
  async #wait(): Promise<FrameLease | "end"> {
    if (this.#turns.due) await this.#turns.take();
    const options = {
      doing: this.#doing(),
      milliseconds: -1,
      spin: this.#spin,
      signal: this.#signal,
      slept: () => this.#turns.slept(),
    };
    for (;;) {
      const stream = this.#stream;
      try {
        const found = await stream.until(() => {
          return stream === this.#stream ? this.#look(stream.last) : "replaced";
        }, options);
        if (found !== "replaced") return found;
        await this.follow();
      } catch (error) {
        if (this.#closing !== undefined || stream.closed) return "end";
        throw error;
      }
    }
  }

  #take(after: number): FrameLease | undefined {
    const frame = this.#stream.take(after);
    return frame === undefined ? undefined : new FrameLease(this.#stream, this.#views, frame);
  }

  /** Opens the newest generation in the place of the one that is mapped, once for all who ask. */
  #startFollowing(): Promise<void> {
    this.#following ??= this.#openNext().finally(() => this.#following = undefined);
    this.#following.catch(() => {}); // told to those who wait for it
    return this.#following;
  }

  async #openNext(): Promise<void> {
    const before = this.#stream;
    const next = await this.#reopen(before.last);
    if (this.#closing !== undefined) return await next.close();
    if (next.generation <= before.generation) {
      await next.close();
      throw new IncompatibleError(
        `Cannot ${this.#doing()}: its server says that it was replaced, and gives generation ` +
          `${next.generation} again`,
      );
    }
    this.#stream = next;
    this.#views = new SlotViews(next.mapping, next.shape, next.name);
    // Its leases stay readable until they end.
    this.#before.add(before);
    void before.unused().then(() => before.close()).finally(() => this.#before.delete(before));
  }

  #doing(): string {
    return `get a frame of "${this.name}"`;
  }

  #replacedError(): DOMException {
    return new DOMException(
      `Cannot ${this.#doing()}: the stream was replaced; await follow() to map the new one`,
      "InvalidStateError",
    );
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) {
      throw new TypeError(`Cannot ${this.#doing()}: the stream is closed`);
    }
  }
}

/** One loop over the frames. Calls of `next()` that overlap wait for each other. */
class Frames implements AsyncIterableIterator<FrameLease, undefined, void> {
  readonly #poll: () => FrameLease | "end" | undefined;
  readonly #wait: () => Promise<FrameLease | "end">;
  #pending: Promise<IteratorResult<FrameLease, undefined>> | undefined;
  #returned = false;

  constructor(poll: () => FrameLease | "end" | undefined, wait: () => Promise<FrameLease | "end">) {
    this.#poll = poll;
    this.#wait = wait;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<FrameLease, undefined>> {
    if (this.#pending !== undefined) {
      const again = (): Promise<IteratorResult<FrameLease, undefined>> => this.next();
      return this.#pending.then(again, again);
    }
    if (this.#returned) return Promise.resolve(DONE);
    try {
      const found = this.#poll();
      if (found !== undefined) return Promise.resolve(this.#resultOf(found));
    } catch (error) {
      return Promise.reject(error);
    }
    this.#pending = this.#wait().then((found) => {
      this.#pending = undefined;
      return this.#resultOf(found);
    }, (error) => {
      this.#pending = undefined;
      throw error;
    });
    return this.#pending;
  }

  return(): Promise<IteratorResult<FrameLease, undefined>> {
    this.#returned = true;
    return Promise.resolve(DONE);
  }

  #resultOf(found: FrameLease | "end"): IteratorResult<FrameLease, undefined> {
    if (found === "end") return DONE;
    if (!this.#returned) return { value: found, done: false };
    found.release(); // nobody takes it any more
    return DONE;
  }
}
