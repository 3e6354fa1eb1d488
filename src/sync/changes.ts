import { LoopTurns } from "./loop_turns.ts";
import { Parking, type ParkingPlace } from "./parking.ts";
import type { ByteRange, Tiles } from "./tiles.ts";
import { MAX_SPIN_ON_LOOP, revisionOf, signalOf, SPIN_ONLY, spinOf } from "./waiting.ts";

/** A change of a region. */
export interface Change {
  /** The newest revision: commits in between were conflated. */
  readonly revision: number;
  /** The generation that the region has now, counted from 1. */
  readonly generation: number;
  /** Whether the region was replaced by one of another generation: open it again to see that one. */
  readonly replaced: boolean;
  /**
   * The parts that may have changed since this iterator's last change, in their order, in whole tiles, neighbours
   * together. The whole region for the first change (unless `after` said where to begin), when a commit named no ranges,
   * and when the region was replaced. They are looked up at the first use, so that they may include what was committed
   * after this change.
   *
   * @throws {TypeError} at the first use, if the region is closed by then
   */
  readonly ranges: readonly ByteRange[];
}

/** A change that was found. */
class FoundChange implements Change {
  readonly revision: number;
  readonly generation: number;
  readonly replaced: boolean;
  readonly #tiles: Tiles | undefined;
  readonly #since: number;
  #ranges: readonly ByteRange[] | undefined;

  constructor(place: ChangesPlace, since: number, revision: number, generation: number) {
    this.revision = revision;
    this.generation = generation;
    this.replaced = generation !== place.mapped;
    this.#tiles = place.tiles;
    this.#since = since;
  }

  get ranges(): readonly ByteRange[] {
    return this.#ranges ??= this.#tiles?.changes(this.replaced ? 0 : this.#since, this.revision) ?? [];
  }
}

/** Options of `changes()`. */
export interface ChangesOptions {
  /**
   * Only revisions other than this one count. By default the newest there is comes first, if there is any.
   *
   * @default {0}
   */
  after?: number | undefined;
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * How long to spin before parking on the event loop, in microseconds, at most 1000. While it spins, nothing else
   * runs in this realm.
   *
   * @default {50}
   */
  spin?: number | undefined;
}

/** Where to look for changes, and what the waits of the region share. */
export interface ChangesPlace extends ParkingPlace {
  /** The generation that is mapped. */
  readonly mapped: number;
  /** What tells which parts changed, where there is such a thing. */
  readonly tiles?: Tiles;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * The changes of a region, one after the other: `for await (const { revision } of region.changes())`.
 *
 * It is not a generator: a generator takes four turns of the microtask queue from the wake to the loop's body, this
 * takes one.
 */
export class Changes implements AsyncIterableIterator<Change, undefined, void> {
  readonly #place: ChangesPlace;
  readonly #signal: AbortSignal | undefined;
  readonly #spin: number;
  #after: number;
  #told: number;
  #returned = false;
  /** The `next()` that waits; the one behind it waits for that. */
  #pending: Promise<IteratorResult<Change, undefined>> | undefined;
  #parking: Parking<IteratorResult<Change, undefined>> | undefined;
  readonly #turns: LoopTurns;

  /** @internal */
  constructor(place: ChangesPlace, options: ChangesOptions) {
    this.#place = place;
    this.#signal = signalOf(options);
    this.#spin = Math.min(spinOf(options), MAX_SPIN_ON_LOOP);
    this.#after = revisionOf(options.after ?? 0, "after");
    this.#told = place.mapped;
    this.#turns = new LoopTurns(place.queue.library.shim);
  }

  /** Returns itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Waits for the next change.
   *
   * @returns the change; `done` when the region is closed or the iteration was ended
   * @throws {PeerGoneError} when the server is gone
   * @throws {Deno.errors.NotFound} when the server removed the region
   * @throws the signal's reason, when it aborts
   */
  next(): Promise<IteratorResult<Change, undefined>> {
    if (this.#pending !== undefined) {
      const again = (): Promise<IteratorResult<Change, undefined>> => this.next();
      return this.#pending.then(again, again);
    }
    try {
      const found = this.#poll() ?? this.#spinFor();
      if (found === undefined) return this.#keep(this.#park());
      return this.#turns.due ? this.#keep(this.#takeTurn(found)) : Promise.resolve(found);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Ends the iteration; a `next()` that waits is done. */
  return(): Promise<IteratorResult<Change, undefined>> {
    this.#returned = true;
    this.#parking?.check();
    return Promise.resolve(DONE);
  }

  /** Gives what there is to tell now, if anything. */
  #poll(): IteratorResult<Change, undefined> | undefined {
    const { queue: { library: { shim } }, revision, generation, life, name } = this.#place;
    if (this.#returned) return DONE;
    this.#signal?.throwIfAborted();
    if (life.ended !== undefined) {
      if (life.ended.error !== undefined) throw life.ended.error;
      return DONE;
    }
    const current = shim.shim_word_load64(revision);
    const newest = shim.shim_word_load64(generation);
    if (newest === 0) {
      throw new Deno.errors.NotFound(`Cannot wait for changes of "${name}": its server removed it`);
    }
    if (current === this.#after && newest === this.#told) return undefined;
    const value = new FoundChange(this.#place, this.#after, current, newest);
    this.#after = current;
    this.#told = newest;
    return { value, done: false };
  }

  #spinFor(): IteratorResult<Change, undefined> | undefined {
    if (this.#spin === 0) return undefined;
    const { queue: { library: { shim } }, revision, parked } = this.#place;
    shim.shim_revision_wait(revision, parked.address, null, this.#after, SPIN_ONLY, this.#spin / 1000);
    return this.#poll();
  }

  /** Remembers the `next()` that waits while it does. */
  #keep(waiting: Promise<IteratorResult<Change, undefined>>): Promise<IteratorResult<Change, undefined>> {
    this.#pending = waiting;
    return waiting;
  }

  /** Parks until there is something to tell. */
  #park(): Promise<IteratorResult<Change, undefined>> {
    this.#turns.slept();
    const parking = new Parking(this.#place, this.#after, () => this.#poll(), this.#signal);
    this.#parking = parking;
    return parking.promise.then((found) => {
      this.#pending = this.#parking = undefined;
      return found ?? this.#keep(this.#park());
    }, (error) => {
      this.#pending = this.#parking = undefined;
      throw error;
    });
  }

  /** Gives the event loop a turn, then what is newest. */
  async #takeTurn(found: IteratorResult<Change, undefined>): Promise<IteratorResult<Change, undefined>> {
    await this.#turns.take();
    this.#pending = undefined;
    return this.#poll() ?? found;
  }
}
