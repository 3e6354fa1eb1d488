import type { Mapping } from "../memory/mapping.ts";
import { Mutex } from "../sync/mutex.ts";
import { Revisions } from "../sync/revisions.ts";
import {
  generationAt,
  mutexAt,
  SERVER_OWNER,
  serverMutexAt,
  serverRevisionAt,
  sharedRevisionAt,
} from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";

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
}

/** The mutex of a region; `undefined` where this end has none: for clients of a region that they may only read. */
function mutexOf(end: LinkEnd, { name, index, clients }: RegionFacts): Mutex | undefined {
  const { queue, owner, locks, server } = end;
  if (clients === "write") return new Mutex({ queue, owner, word: locks.word(mutexAt(index)) }, name);
  // In memory that clients cannot write: the server never waits for what a client it does not trust could hold.
  if (owner === SERVER_OWNER) {
    return new Mutex({ queue, owner, word: server.word(serverMutexAt(index)) }, name);
  }
  return undefined;
}

/** The revisions of a region. */
function revisionsOf(end: LinkEnd, { name, index, clients, generation }: RegionFacts): Revisions {
  const { queue, locks, server, audience, bell, gone } = end;
  const revision = clients === "write"
    ? locks.word(sharedRevisionAt(index), 8)
    : server.word(serverRevisionAt(index), 8);
  const place = {
    queue,
    name,
    index,
    revision,
    generation: server.word(generationAt(index), 8),
    parked: end.parkedWord(index),
    gone,
    audience,
    bell,
  };
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
  /** Its memory. */
  readonly mapping: Mapping;
  /** Its mutex, where this end has one. */
  readonly mutex: Mutex | undefined;
  /** Its revisions. */
  readonly revisions: Revisions;
  /** Where its words are. */
  readonly end: LinkEnd;
  readonly #onClose: () => void;
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
  constructor(end: LinkEnd, facts: RegionFacts, mapping: Mapping, onClose: (region: LinkedRegion) => void) {
    this.name = facts.name;
    this.index = facts.index;
    this.generation = facts.generation;
    this.clients = facts.clients;
    this.mapping = mapping;
    this.mutex = mutexOf(end, facts);
    this.revisions = revisionsOf(end, facts);
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

  /** Makes a new revision and wakes the waiters at the other ends. */
  commit(): number {
    const revision = this.revisions.commit();
    this.end.committed(this.index);
    return revision;
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
    // The views go at once, not after the waits: whoever reads them after close() sees nothing.
    this.mapping.close();
    await Promise.all([this.mutex?.close("the region is closed"), this.revisions.end()]);
    this.#onClose();
  }
}
