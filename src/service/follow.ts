import { ReadableRegion, type Region, WritableRegion } from "../exchange/region.ts";
import type { OpenRegionOptions } from "../link/client_link.ts";
import type { LinkedRegion } from "../link/linked_region.ts";
import type { Changes } from "../sync/changes.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { checkFollowOptions } from "./options.ts";

/** Options of `follow()`. */
export interface FollowOptions {
  /**
   * Whether to write: gives {@linkcode WritableRegion}s.
   *
   * @default {false}
   */
  write?: boolean | undefined;
  /** Ends the iteration with the signal's reason. */
  signal?: AbortSignal | undefined;
  /**
   * How long to spin before parking on the event loop, in microseconds, at most 1000; as for `changes()`.
   *
   * @default {50}
   */
  spin?: number | undefined;
}

/** Who opens regions: a client, or a peer. */
export interface FollowSource {
  /** Opens the region, waiting for a server if the last one is gone. */
  openLinked(name: string, options: OpenRegionOptions): Promise<LinkedRegion>;
  /** Aborts when the client is closed. */
  readonly stopped: AbortSignal;
  /** Whether there will be another server when this one is gone. */
  readonly reconnects: boolean;
}

/**
 * Follows a region.
 *
 * @throws {TypeError} or {RangeError} if an option is not valid
 */
export function follow(
  source: FollowSource,
  name: string,
  options: FollowOptions,
): Following<ReadableRegion> | Following<WritableRegion> {
  checkFollowOptions(name, options);
  if (options.write === true) {
    return new Following(source, name, options, (region) => new WritableRegion(region));
  }
  return new Following(source, name, options, (region) => new ReadableRegion(region));
}

/** The place in the changes of a region up to which its follower knows them. */
interface Place {
  readonly linked: LinkedRegion;
  readonly revision: number;
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true };

/**
 * A region over all its lives: `for await (const scene of client.follow("scene"))`. Yields the region when it has opened
 * it, and at each change. Opens it anew when it was replaced, or when its server came back.
 *
 * @typeParam R the region
 */
export class Following<R extends Region> implements AsyncIterableIterator<R, undefined, void> {
  readonly #source: FollowSource;
  readonly #name: string;
  readonly #wrap: (region: LinkedRegion) => R;
  readonly #options: FollowOptions;
  readonly #left = new AbortController();
  readonly #until: AbortSignal;
  #region: R | undefined;
  #changes: Changes | undefined;
  /** What the follower knows of a region that its user closed. */
  #known: Place | undefined;
  #place: Place | undefined;
  /** The `next()` that waits; the one behind it waits for that. */
  #pending: Promise<IteratorResult<R, undefined>> | undefined;
  #isOver = false;

  /** @internal The options are checked. */
  constructor(source: FollowSource, name: string, options: FollowOptions, wrap: (region: LinkedRegion) => R) {
    this.#source = source;
    this.#name = name;
    this.#wrap = wrap;
    this.#options = options;
    const signals = [this.#left.signal, source.stopped];
    if (options.signal !== undefined) signals.push(options.signal);
    this.#until = AbortSignal.any(signals);
  }

  /** Returns itself. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /**
   * Waits for the region, or for its next change. The region that came before is closed, if this one is another.
   *
   * @returns the region; `done` when the client is closed or the iteration was ended
   * @throws {Deno.errors.NotFound} if the server has no such region
   * @throws {Deno.errors.NotCapable} if it is to be written, and clients may only read it
   * @throws {PeerGoneError} when the server is gone, if the client does not look for the next one
   * @throws {Error} if something keeps the client from the next server, as `open()` does
   * @throws the signal's reason, when it aborts
   */
  next(): Promise<IteratorResult<R, undefined>> {
    const step = (): Promise<IteratorResult<R, undefined>> => this.#step();
    const pending = this.#pending === undefined ? step() : this.#pending.then(step, step);
    this.#pending = pending;
    return pending;
  }

  /** Ends the iteration and closes the region; a `next()` that waits is done. */
  async return(): Promise<IteratorResult<R, undefined>> {
    this.#left.abort();
    await this.#changes?.return();
    await this.#pending?.catch(() => {}); // told to who called it
    await this.#end();
    return DONE;
  }

  async #step(): Promise<IteratorResult<R, undefined>> {
    if (this.#isOver) return DONE;
    try {
      for (;;) {
        this.#until.throwIfAborted();
        const region = await this.#change() ?? await this.#open();
        if (region !== undefined) return { value: region, done: false };
      }
    } catch (error) {
      await this.#end();
      const { signal } = this.#options;
      // Who left the loop or closed the client knows that.
      if (signal?.aborted !== true && (this.#left.signal.aborted || this.#source.stopped.aborted)) {
        return DONE;
      }
      throw error;
    }
  }

  /** The region at its next change, or `undefined` if it has to be opened. */
  async #change(): Promise<R | undefined> {
    if (this.#changes === undefined) return undefined;
    try {
      const { value, done } = await this.#changes.next();
      if (done !== true && !value.replaced) {
        this.#place = { linked: this.#place!.linked, revision: value.revision };
        return this.#region;
      }
      // Its user has closed it, and will not be given the same content again; or a server in this process has.
      if (done === true) this.#known = this.#place;
    } catch (error) {
      if (!(error instanceof PeerGoneError) || !this.#source.reconnects) throw error;
    }
    // The region stays open until there is the next one: it can be read still, and the next server may want its memory.
    this.#changes = undefined;
    return undefined;
  }

  /** Opens the region; gives it unless its content is known. */
  async #open(): Promise<R | undefined> {
    const { signal, spin, write = false } = this.#options;
    const linked = await this.#source.openLinked(this.#name, { write, prefault: false, signal: this.#until });
    await this.#region?.close();
    const region = this.#wrap(linked);
    const known = this.#known;
    this.#known = undefined;
    const isKnown = known !== undefined && known.linked.end === linked.end &&
      known.linked.generation === linked.generation;
    const revision = isKnown ? known.revision : linked.revisions.current;
    this.#region = region;
    this.#place = { linked, revision };
    this.#changes = region.changes({ after: revision, signal, spin });
    return isKnown ? undefined : region;
  }

  async #close(): Promise<void> {
    const region = this.#region;
    this.#region = this.#changes = this.#place = undefined;
    await region?.close();
  }

  async #end(): Promise<void> {
    this.#isOver = true;
    await this.#close();
  }
}
