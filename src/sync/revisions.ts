import { Changes, type ChangesOptions } from "./changes.ts";
import { RevisionSource } from "./revision_source.ts";
import type { WaitSource } from "./wait_source.ts";
import { CLOSED, goneError, type Life, type RevisionPlace } from "./revision_place.ts";
import type { ByteRange, Tiles } from "./tiles.ts";
import { millisecondsOf, revisionOf, spinOf, type SyncWaitOptions, timeoutError } from "./waiting.ts";

/** Where the revision of a region lives, and what tells which parts changed, where there is such a thing. */
export interface RevisionsPlace extends RevisionPlace {
  /** Its tiles. */
  readonly tiles?: Tiles;
}

/** The revisions of one generation of a region, as one realm sees them. */
export class Revisions {
  readonly #place: RevisionsPlace;
  readonly #generation: number;
  readonly #life: Life = { ended: undefined, checks: new Set(), waits: new Set() };

  /** @param generation the generation that is mapped */
  constructor(place: RevisionsPlace, generation: number) {
    this.#place = place;
    this.#generation = generation;
  }

  /** The newest revision. */
  get current(): number {
    const { ended } = this.#life;
    if (ended !== undefined && ended.error === undefined) this.#check();
    return this.#place.queue.library.shim.shim_word_load64(this.#place.revision);
  }

  /** Makes a new revision, of everything or of some ranges, and wakes those who wait for one. */
  commit(ranges?: readonly ByteRange[]): number {
    this.#check();
    if (ranges !== undefined && this.#place.tiles !== undefined) return this.#place.tiles.commit(ranges);
    const { queue, audience, revision, index } = this.#place;
    return queue.library.shim.shim_revision_commit(audience, revision, index);
  }

  /** Blocks this thread until the revision is not `after`. */
  waitSync(after: number, options: SyncWaitOptions): number {
    revisionOf(after, "after");
    const milliseconds = millisecondsOf(options);
    const spin = spinOf(options);
    this.#check();
    const { queue: { library: { shim } }, revision, parked, gone, name } = this.#place;
    const current = shim.shim_revision_wait(revision, parked.address, gone, after, spin, milliseconds);
    if (current !== after) return current;
    const ended = gone === null ? 0 : shim.shim_word_load(gone);
    if (ended !== 0) {
      // Another thread told this thread before the event loop could hear of it: all calls agree from now on.
      const error = ended === CLOSED ? undefined : goneError(name);
      this.#life.ended = this.#life.ended ?? { error };
      this.#check();
    }
    throw timeoutError(`see a change of "${name}"`, milliseconds);
  }

  /** For one wait for several things: ready when the revision is not `after`. */
  source(after: number, tell: (revision: number) => void): WaitSource {
    revisionOf(after, "after");
    return new RevisionSource({ ...this.#place, life: this.#life }, after, tell);
  }

  /** Gives the newest revision whenever it changed. */
  changes(options: ChangesOptions): Changes {
    return new Changes({ ...this.#place, mapped: this.#generation, life: this.#life }, options);
  }

  /** Ends all waits, with an error or, without one, in order. Afterwards the words may be unmapped. */
  async end(error?: Error): Promise<void> {
    this.#life.ended ??= { error };
    for (const check of this.#life.checks) check();
    await Promise.allSettled(this.#life.waits);
  }

  #check(): void {
    const { ended } = this.#life;
    if (ended === undefined) return;
    throw ended.error ?? new TypeError(`Cannot use the revisions of "${this.#place.name}": it is closed`);
  }
}
