/**
 * The reader's work on one region: it waits for commits and checks the frames.
 *
 * @module
 */
import type { Attachment } from "./attachment.ts";
import { findWrong, readableFrame } from "./content.ts";
import { regionName } from "./messages.ts";
import type { Place } from "./seen.ts";
import type { ReadableRegion } from "../../mod.ts";
import type { Wakes } from "./wakes.ts";

/** The counts that all watches share, for all writers of a run. */
export interface Tally {
  readonly wakes: Wakes;
  /** The faults that were found. */
  readonly errors: string[];
  /** The number of frames of which every byte was verified. */
  frames: number;
  /** The number of frames that were written meanwhile and not seen. */
  dropped: number;
  /** The number of frames that were not whole. */
  torn: number;
  /** The number of locks whose holder had died. */
  abandoned: number;
  /** Called after each verified frame. */
  verified: (() => void) | undefined;
  /** Called with the lock or the lease held, once the frame is verified. */
  holding: ((region: number) => Promise<void>) | undefined;
}

/** Watches one place for frames. */
export interface Watcher {
  /** How far it is. */
  readonly place: Place;
  /** Watches until the signal aborts or the writer is gone. */
  run(signal: AbortSignal): Promise<void>;
}

/** Watches a region with frames. */
export class Watch implements Watcher {
  readonly #attachment: Attachment;
  readonly #index: number;
  readonly #region: ReadableRegion;
  readonly #tally: Tally;
  #yielded = 0;
  #verified = 0;

  /**
   * @param attachment what one writer serves
   * @param index the number of the region
   * @param region the region
   * @param tally where to count
   */
  constructor(attachment: Attachment, index: number, region: ReadableRegion, tally: Tally) {
    this.#attachment = attachment;
    this.#index = index;
    this.#region = region;
    this.#tally = tally;
  }

  /** How far this watch is. */
  get place(): Place {
    const word = this.#region.revision;
    return { word, yielded: this.#yielded, verified: this.#verified };
  }

  /**
   * Watches until the signal aborts or the writer is gone.
   *
   * @throws {PeerGoneError} if the writer is gone
   * @throws the signal's reason, if it aborts
   */
  async run(signal: AbortSignal): Promise<void> {
    const { pulse } = this.#attachment;
    for await (const { revision } of this.#region.changes({ signal })) {
      this.#tally.wakes.add(pulse, this.#index, this.#yielded, revision, "frame");
      this.#yielded = revision;
      await this.#verify(signal);
      this.#tally.wakes.touch();
    }
  }

  /** Checks the frame that is there now, under the lock, in place. */
  async #verify(signal: AbortSignal): Promise<void> {
    const tally = this.#tally;
    const region = this.#region;
    using guard = await region.mutex.lock({ signal });
    if (guard.abandoned) {
      tally.abandoned++; // the frame may be half written
      return;
    }
    // It may be newer than the revision that was yielded. Then the iterator yields it next.
    const { revision } = region;
    if (revision !== this.#verified) {
      const wrong = findWrong(readableFrame(region), {
        writer: this.#attachment.writer,
        region: this.#index,
        revision,
      });
      if (wrong >= 0) {
        tally.torn++;
        tally.errors.push(
          `Cannot verify revision ${revision} of "${regionName(this.#index)}": byte ${wrong} is wrong`,
        );
      }
      if (this.#verified !== 0) tally.dropped += revision - this.#verified - 1;
      this.#verified = revision;
      tally.frames++;
      tally.verified?.();
    }
    await tally.holding?.(this.#index);
  }
}

/** Watches the small region. Its commits measure how long a wake takes, and nothing else. */
export class PulseWatch {
  readonly #attachment: Attachment;
  readonly #tally: Tally;
  #yielded = 0;

  /**
   * @param attachment what one writer serves
   * @param tally where to count
   */
  constructor(attachment: Attachment, tally: Tally) {
    this.#attachment = attachment;
    this.#tally = tally;
  }

  /** How far this watch is. */
  get place(): Place {
    return { word: this.#attachment.pulse.revision, yielded: this.#yielded, verified: undefined };
  }

  /** Watches until the signal aborts or the writer is gone, as {@linkcode Watch.run}. */
  async run(signal: AbortSignal): Promise<void> {
    const { pulse, sources } = this.#attachment;
    for await (const { revision } of pulse.changes({ signal })) {
      this.#tally.wakes.add(pulse, sources.length, this.#yielded, revision, "pulse");
      this.#yielded = revision;
    }
  }
}
