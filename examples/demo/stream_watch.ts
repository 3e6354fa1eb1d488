/**
 * The reader's work on one stream: it leases the newest frame and checks it.
 *
 * @module
 */
import type { FrameLease, StreamReader } from "../../mod.ts";
import type { Attachment } from "./attachment.ts";
import { findWrong, readableFrame } from "./content.ts";
import type { Place } from "./seen.ts";
import type { Tally, Watcher } from "./watch.ts";

/** Watches a stream. */
export class StreamWatch implements Watcher {
  readonly #attachment: Attachment;
  readonly #index: number;
  readonly #stream: StreamReader;
  readonly #tally: Tally;
  #last = 0;

  /**
   * @param attachment what one writer serves
   * @param index the number of the stream
   * @param stream the stream
   * @param tally where to count
   */
  constructor(attachment: Attachment, index: number, stream: StreamReader, tally: Tally) {
    this.#attachment = attachment;
    this.#index = index;
    this.#stream = stream;
    this.#tally = tally;
  }

  /** How far this watch is. */
  get place(): Place {
    return { word: undefined, yielded: this.#last, verified: this.#last };
  }

  /** Watches until the stream's signal aborts or the writer is gone. */
  async run(): Promise<void> {
    const { wakes } = this.#tally;
    for await (using frame of this.#stream) {
      wakes.add(this.#attachment.pulse, this.#index, this.#last, frame.sequence, "frame");
      this.#verify(frame);
      await this.#tally.holding?.(this.#index);
      wakes.touch();
    }
  }

  /** Checks the frame in place. The writer fills other slots meanwhile. */
  #verify(frame: FrameLease): void {
    const tally = this.#tally;
    const { sequence, dropped } = frame;
    const { name } = this.#stream;
    if (this.#last !== 0 && sequence !== this.#last + dropped + 1) {
      tally.errors.push(
        `Cannot count: frame ${sequence} of "${name}" comes after ${this.#last}, ${dropped} dropped`,
      );
    }
    const wrong = findWrong(readableFrame(frame), {
      writer: this.#attachment.writer,
      region: this.#index,
      revision: sequence,
    });
    if (wrong >= 0) {
      tally.torn++;
      tally.errors.push(`Cannot verify frame ${sequence} of "${name}": byte ${wrong} is wrong`);
    }
    if (!frame.valid) {
      tally.errors.push(`Cannot keep frame ${sequence} of "${name}": its slot was taken back`);
    }
    this.#last = sequence;
    tally.frames++;
    tally.dropped += dropped;
    tally.verified?.();
  }
}
