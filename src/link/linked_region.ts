import type { Address } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import { PeerGoneError } from "../sync/errors.ts";
import { Mutex } from "../sync/mutex.ts";
import type { Bell } from "../sync/bell_listeners.ts";
import { Revisions } from "../sync/revisions.ts";
import { type ByteRange, type CopiedChanges, type CopyChangesOptions, Tiles } from "../sync/tiles.ts";
import {
  generationAt,
  mutexAt,
  SERVER_OWNER,
  serverMutexAt,
  serverRevisionAt,
  sharedRevisionAt,
} from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import { placeOf } from "./word_place.ts";
import type { Share, SharedRegion } from "./sharing.ts";

/** What clients may do with a region: write it too, or only read it, which the kernel enforces. */
export type ClientAccess = "write" | "read";

/** A region as it is agreed upon between the two ends. */
export interface RegionFacts {
  /** Its name. */
  readonly name: string;
  /** Its number: the place of its words. */
  readonly index: number;
  /** Counts from 1; a region that replaces another has the next one. */
  readonly generation: number;
  /** What clients may do with it. */
  readonly clients: ClientAccess;
  /** The length of a tile, in bytes; 0 where the region has none. */
  readonly tileBytes: number;
  /** The description of the layout that its server gave it; `undefined` without one. */
  readonly layout: string | undefined;
}

/** Where the revision of a region is. */
function revisionOf({ locks, server }: LinkEnd, index: number, clients: ClientAccess): Address {
  return clients === "write"
    ? locks.word(sharedRevisionAt(index), 8)
    : server.word(serverRevisionAt(index), 8);
}

/** The mutex of a region; `undefined` where this end has none: for clients of a region that they may only read. */
function mutexOf(end: LinkEnd, { name, index, clients }: RegionFacts): Mutex | undefined {
  const { queue, owner, locks, server, turns, sharing, mutexCalls: calls } = end;
  const place = { queue, owner, turns, calls, isShared: () => sharing.has(index) };
  if (clients === "write") return new Mutex({ ...place, word: locks.word(mutexAt(index)) }, name);
  // In memory that clients cannot write: the server never waits for what a client it does not trust could hold.
  if (owner === SERVER_OWNER) {
    return new Mutex({ ...place, word: server.word(serverMutexAt(index)) }, name);
  }
  return undefined;
}

/** The tiles of a region. */
function tilesOf(end: LinkEnd, facts: RegionFacts, mapping: Mapping, mutex: Mutex | undefined): Tiles {
  const { queue: { library }, locks, server, owner, audience, turns, sharing } = end;
  const { name, index, clients, generation, tileBytes } = facts;
  const isShared = clients === "write";
  return new Tiles({
    ...{ library, name, index, audience, mapping, tileBytes },
    revision: revisionOf(end, index, clients),
    generation: server.word(generationAt(index), 8),
    mapped: generation,
    mutex: isShared ? locks.word(mutexAt(index)) : server.word(serverMutexAt(index)),
    owner: isShared || owner === SERVER_OWNER ? owner : 0,
    turns: turns.word,
    isElsewhere: () => sharing.has(index) && mutex?.held !== true,
  });
}

/**
 * What wakes this realm where it waits for a region. Only the other side rings the bell, so where other realms of this
 * process commit too, threads sleep on the revision itself.
 */
function bellOf({ bell, sharing }: LinkEnd, index: number): Bell {
  return {
    ready: () => !sharing.has(index) && bell.ready(),
    add: (listener) => bell.add(listener),
    remove: (listener) => bell.remove(listener),
  };
}

/** The revisions of a region. */
function revisionsOf(
  end: LinkEnd,
  { name, index, clients, generation }: RegionFacts,
  tiles: Tiles,
): Revisions {
  const revision = revisionOf(end, index, clients);
  const place = { ...placeOf(end, name, index, revision), tiles, bell: bellOf(end, index) };
  return new Revisions(place, generation);
}

/**
 * A region at one end of a link: its memory and the algorithms on its words. Both ends assemble it here. It owns the
 * mapping; the words belong to the end.
 */
export class LinkedRegion {
  /** Its name. */
  readonly name: string;
  /** Its number. */
  readonly index: number;
  /** Its generation. */
  readonly generation: number;
  /** What clients may do with it. */
  readonly clients: ClientAccess;
  /** The description of its layout. */
  readonly layout: string | undefined;
  /** Its memory. */
  readonly mapping: Mapping;
  /** The length of a tile, in bytes. */
  readonly tileBytes: number;
  /** Its mutex, where this end has one. */
  readonly mutex: Mutex | undefined;
  /** Its revisions. */
  readonly revisions: Revisions;
  readonly #tiles: Tiles;
  /** Where its words are. */
  readonly end: LinkEnd;
  /** What the two ends agreed upon. */
  readonly facts: RegionFacts;
  #share: Share | undefined;
  readonly #onClose: () => unknown;
  readonly #ended = Promise.withResolvers<Error | undefined>();
  #closing: Promise<void> | undefined;
  #orphaned = false;

  /**
   * Takes over the mapping.
   *
   * @param end where its words are
   * @param facts what the two ends agreed upon
   * @param mapping its memory
   * @param onClose called once, when the region has been closed
   */
  constructor(
    end: LinkEnd,
    facts: RegionFacts,
    mapping: Mapping,
    onClose: (region: LinkedRegion) => unknown,
  ) {
    this.name = facts.name;
    this.index = facts.index;
    this.generation = facts.generation;
    this.clients = facts.clients;
    this.layout = facts.layout;
    this.mapping = mapping;
    this.facts = facts;
    this.mutex = mutexOf(end, facts);
    this.#tiles = tilesOf(end, facts, mapping, this.mutex);
    this.tileBytes = this.#tiles.tileBytes;
    this.revisions = revisionsOf(end, facts, this.#tiles);
    this.end = end;
    this.#onClose = () => onClose(this);
  }

  /** Resolves when the region is closed (with `undefined`) or its server is gone (with an error). */
  get closed(): Promise<Error | undefined> {
    return this.#ended.promise;
  }

  /** Whether its server is gone. */
  get orphaned(): boolean {
    return this.#orphaned;
  }

  /** Makes a new revision, of all of it or of some ranges, and wakes the waiters at the other ends. */
  commit(ranges?: readonly ByteRange[]): number {
    const revision = this.revisions.commit(ranges);
    this.end.committed(this.index);
    return revision;
  }

  /** Copies what changed since a revision. */
  copyChanges(
    target: ArrayBufferView,
    since: number | undefined,
    options: CopyChangesOptions,
  ): CopiedChanges {
    return this.#tiles.copyChanges(target, since, options, this.#orphaned);
  }

  /**
   * What other realms of this process attach to the region by.
   *
   * @throws {TypeError} if it is closed, or was shared with other access
   * @throws {PeerGoneError} if its server is gone
   */
  share(access: ClientAccess): SharedRegion {
    if (this.mapping.closed) throw new TypeError(`Cannot share the region "${this.name}": it is closed`);
    if (this.#orphaned) throw new PeerGoneError(`Cannot share the region "${this.name}": its server is gone`);
    this.#share ??= this.end.sharing.share(this, access);
    return this.#share.message;
  }

  /** Fails all waits: the server is gone. The memory stays mapped. */
  async orphan(error: Error): Promise<void> {
    this.#orphaned = true;
    this.#ended.resolve(error);
    await this.revisions.end(error);
  }

  /** Ends the waits, unlocks the mutex and unmaps. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#ended.resolve(undefined);
    const others = this.#share?.close(); // the other realms detach their views meanwhile
    // The views go at once, not after the waits: whoever reads them after close() sees nothing.
    this.mapping.close();
    await Promise.all([this.mutex?.close("the region is closed"), this.revisions.end(), others]);
    await this.#onClose();
  }
}
