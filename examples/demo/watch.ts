/**
 * What the reader does with one region: waits for commits, and checks what they are about.
 *
 * @module
 */
import type { Attachment } from "./attachment.ts";
import { findWrong, readableFrame } from "./content.ts";
import { regionName } from "./messages.ts";
import type { Place } from "./seen.ts";
import type { Wakes } from "./wakes.ts";

/** What all regions' watches share, over all lives of the writer. */
export interface Tally {
  readonly wakes: Wakes;
  /** What was found wrong. */
  readonly errors: string[];
  /** Frames that were verified, every byte. */
  frames: number;
  /** Locks whose holder had died. */
  abandoned: number;
  /** Called at each frame that was verified. */
  verified: (() => void) | undefined;
  /** Called with the lock held, once the frame is verified. */
  holding: ((region: number) => Promise<void>) | undefined;
}

/** Watches a region with frames. */
export class Watch {
  readonly #attachment: Attachment;
  readonly #index: number;
  readonly #tally: Tally;
  #yielded = 0;
  #verified = 0;

  /**
   * @param attachment the regions of one writer
   * @param index the number of the region
   * @param tally where to count
   */
  constructor(attachment: Attachment, index: number, tally: Tally) {
    this.#attachment = attachment;
    this.#index = index;
    this.#tally = tally;
  }

  /** How far it is. */
  get place(): Place {
    const word = this.#attachment.regions[this.#index]!.revision;
    return { word, yielded: this.#yielded, verified: this.#verified };
  }

  /**
   * Watches until the signal aborts or the writer is gone.
   *
   * @throws {PeerGoneError} in the latter case
   * @throws the signal's reason in the former
   */
  async run(signal: AbortSignal): Promise<void> {
    const { regions, pulse } = this.#attachment;
    for await (const { revision } of regions[this.#index]!.changes({ signal })) {
      this.#tally.wakes.add(pulse, this.#index, this.#yielded, revision, "frame");
      this.#yielded = revision;
      await this.#verify(signal);
      this.#tally.wakes.touch();
    }
  }

  /** Checks the frame that is there now, under the lock, in place. */
  async #verify(signal: AbortSignal): Promise<void> {
    const tally = this.#tally;
    const region = this.#attachment.regions[this.#index]!;
    using guard = await region.mutex.lock({ signal });
    if (guard.abandoned) {
      tally.abandoned++; // half a frame, perhaps: nothing to look at
      return;
    }
    // Perhaps newer than what was yielded: the iterator will tell of it again.
    const { revision } = region;
    if (revision !== this.#verified) {
      const wrong = findWrong(readableFrame(region), {
        writer: this.#attachment.writer,
        region: this.#index,
        revision,
      });
      if (wrong >= 0) {
        tally.errors.push(
          `Cannot verify revision ${revision} of "${regionName(this.#index)}": byte ${wrong} is wrong`,
        );
      }
      this.#verified = revision;
      tally.frames++;
      tally.verified?.();
    }
    await tally.holding?.(this.#index);
  }
}

/** Watches the small region, whose commits only measure how long a wake takes. */
export class PulseWatch {
  readonly #attachment: Attachment;
  readonly #tally: Tally;
  #yielded = 0;

  /**
   * @param attachment the regions of one writer
   * @param tally where to count
   */
  constructor(attachment: Attachment, tally: Tally) {
    this.#attachment = attachment;
    this.#tally = tally;
  }

  /** How far it is. */
  get place(): Place {
    return { word: this.#attachment.pulse.revision, yielded: this.#yielded, verified: undefined };
  }

  /** Watches until the signal aborts or the writer is gone, as {@linkcode Watch.run}. */
  async run(signal: AbortSignal): Promise<void> {
    const { pulse, regions } = this.#attachment;
    for await (const { revision } of pulse.changes({ signal })) {
      this.#tally.wakes.add(pulse, regions.length, this.#yielded, revision, "pulse");
      this.#yielded = revision;
    }
  }
}
