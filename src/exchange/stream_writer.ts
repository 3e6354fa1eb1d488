import type { ServedStream } from "../link/served_stream.ts";
import type { LoanFlags } from "../sync/slot_writer.ts";
import { millisecondsOf, signalOf, type WaitOptions } from "../sync/waiting.ts";
import { inWords } from "../xpc/in_words.ts";
import { FrameLoan } from "./frame_loan.ts";
import { NoSlotError } from "./no_slot_error.ts";
import { SlotViews } from "./slot_views.ts";

/** Options of {@linkcode StreamWriter.loan}. */
export interface LoanOptions {
  /**
   * Whether to take the oldest lease back where readers hold all slots. Its reader sees that by `FrameLease.valid`.
   *
   * @default {false}
   */
  revoke?: boolean | undefined;
}

/** Options of {@linkcode StreamWriter.loanAsync}. */
export type LoanAsyncOptions = Pick<WaitOptions, "timeout" | "signal">;

/**
 * The writing side of a stream: frames that never wait for a reader. It belongs to the server, and stays the same
 * object when the stream is replaced.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.stream", { streams: { video: { byteLength: 4096 } } });
 * await using client = await connect("com.example.stream");
 * const video = await client.stream("video");
 * {
 *   using frame = server.stream("video").loan();
 *   frame.view(Uint8Array).fill(7);
 *   frame.publish({ timestamp: 1.5 });
 * }
 * for await (using frame of video) {
 *   assert(frame.view(Uint8Array)[0] === 7 && frame.sequence === 1 && frame.timestamp === 1.5);
 *   break;
 * }
 * ```
 */
export class StreamWriter {
  /** Its name. */
  readonly name: string;
  readonly #now: () => ServedStream;
  #viewed: ServedStream | undefined;
  #views: SlotViews | undefined;

  /** @internal @param now gives the newest generation, or throws if the server is closed */
  constructor(name: string, now: () => ServedStream) {
    this.name = name;
    this.#now = now;
  }

  /** The most bytes of a frame. */
  get byteLength(): number {
    return this.#now().shape.byteLength;
  }

  /** How many slots there are. */
  get slots(): number {
    return this.#now().shape.slots;
  }

  /** Counts from 1; a stream that replaces another has the next number. */
  get generation(): number {
    return this.#now().generation;
  }

  /** The number of the newest frame; 0 before the first. */
  get sequence(): number {
    return this.#now().last;
  }

  /** How many readers there are. */
  get readers(): number {
    return this.#now().readers;
  }

  /**
   * Takes a slot to write a frame in, at once. Several slots may be loaned at the same time.
   *
   * @param options whether to take the oldest lease back
   * @returns the slot; `using` gives it back unless it was published
   * @throws {NoSlotError} if readers hold all slots but the one with the newest frame
   * @throws {TypeError} if an option is not valid, or the server is closed
   */
  loan(options: LoanOptions = {}): FrameLoan {
    const { revoke = false } = options;
    if (typeof revoke !== "boolean") {
      throw new TypeError(
        `Cannot loan a slot of "${this.name}": \`revoke\` is ${inWords(revoke)}, but must be true or false`,
      );
    }
    const stream = this.#now();
    const slot = stream.loan(revoke ? TAKE_BACK : AT_ONCE);
    if (slot === undefined) throw new NoSlotError(this.name, stream.holders());
    return this.#loanOf(stream, slot);
  }

  /**
   * Takes a slot as soon as there is one whose frame nobody reads, and for which no reader with `order: "every"` still
   * waits: the writer is as slow as those readers then.
   *
   * @param options when to give up
   * @returns the slot; `using` gives it back unless it was published
   * @throws {DOMException} `TimeoutError` if there is none in time
   * @throws the signal's reason, if it aborts first
   * @throws {TypeError} if an option is not valid, or the server is closed or the stream replaced meanwhile
   */
  async loanAsync(options: LoanAsyncOptions = {}): Promise<FrameLoan> {
    const signal = signalOf(options);
    const milliseconds = millisecondsOf(options);
    signal?.throwIfAborted();
    const stream = this.#now();
    const slot = stream.loan(PATIENT) ??
      await stream.loanLater(PATIENT, {
        doing: `loan a slot of "${this.name}"`,
        milliseconds,
        spin: 0,
        signal,
      });
    return this.#loanOf(stream, slot);
  }

  #loanOf(stream: ServedStream, slot: number): FrameLoan {
    if (stream !== this.#viewed || this.#views === undefined) {
      this.#viewed = stream;
      this.#views = new SlotViews(stream.mapping, stream.shape, this.name);
    }
    return new FrameLoan(stream, this.#views, slot);
  }
}

const AT_ONCE: LoanFlags = { revoke: false, unwanted: false };
const TAKE_BACK: LoanFlags = { revoke: true, unwanted: false };
const PATIENT: LoanFlags = { revoke: false, unwanted: true };
