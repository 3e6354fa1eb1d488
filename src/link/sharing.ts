import { valueOf } from "../../ffi/memory.ts";
import type { Address, ShimAudience, ShimShare } from "../../ffi/types.ts";
import type { Mapping } from "../memory/mapping.ts";
import type { Mortal } from "../sync/owner_death.ts";
import type { EventQueue } from "../xpc/event_queue.ts";
import {
  ALL_TURNS_AT,
  MAXIMUM_REGIONS,
  mutexAt,
  SERVER_OWNER,
  serverMutexAt,
  serverRevisionAt,
  sharedRevisionAt,
} from "./layout.ts";

/**
 * How long a close waits for the other realms, in milliseconds: longer than Deno takes to end a worker that is busy, ten
 * seconds. One that never turns its event loop keeps its views, which are mappings of its own.
 */
const PATIENCE = 15_000;

/** The numbers of the mappings in `struct shim_share_place`, and one that stands for none. */
const SERVER_PART = 1;
const LOCKS_PART = 2;
const NO_PART = 4;

/**
 * What `region.share()` gives: a plain object, for `postMessage()` to the workers of this process, which `attach()` takes.
 * It can be sent as often as needed, until the region is closed. It means nothing to another process.
 *
 * @typeParam A what may be done with the region
 */
export interface SharedRegion<A extends "read" | "write" = "read" | "write"> {
  /** What may be done with the region. */
  readonly access: A;
  /** The name of the region. */
  readonly name: string;
  /** The process whose realms it is for. */
  readonly process: number;
  /** Its number there. */
  readonly id: number;
  /** What nobody can guess. */
  readonly secret: readonly [bigint, bigint];
}

/** What a realm that attaches must know of a region. */
export interface SharedFacts {
  readonly name: string;
  readonly index: number;
  readonly generation: number;
  readonly clients: "read" | "write";
  readonly tileBytes: number;
  readonly layout?: string | undefined;
  readonly access: "read" | "write";
  readonly byteLength: number;
  readonly behind: number;
  readonly writable: boolean;
  /** The lengths of the mappings of the words, in bytes: the server's, the locks', a client's. */
  readonly mapped: readonly [server: number, locks: number, words: number];
  readonly data: number;
  /** The owner of the mutex that all realms are. */
  readonly owner: number;
}

/** A region that can be shared. */
interface Shareable {
  readonly facts: Pick<SharedFacts, "name" | "index" | "generation" | "clients" | "tileBytes" | "layout">;
  readonly mapping: Mapping;
}

/** The end of a link whose regions are shared. */
interface SharingEnd {
  readonly queue: EventQueue;
  readonly server: Mapping;
  readonly locks: Mapping;
  readonly owner: number;
  readonly audience: ShimAudience;
}

/** What is to be known of that end besides. */
interface SharingPlace {
  /** A client's words. */
  readonly words: Mapping | undefined;
  /** The first of this end's parked words. */
  readonly parked: Address;
  /** What tells that the server is gone. */
  readonly mortal: Mortal | undefined;
  /** Whether a commit can wake the other side from any realm. */
  readonly canRing: () => boolean;
  /** Has all waits of this realm look. */
  readonly ring: () => void;
}

/** A region that was shared: what the other realms attach by, and what tells them of its end. */
export interface Share {
  /** What they attach by. */
  readonly message: SharedRegion;
  /** Tells them, and resolves when they have detached their views. */
  close(): Promise<void>;
}

/** What realms of this process have in common of one end of a link. */
export class Sharing {
  readonly #end: SharingEnd;
  readonly #place: SharingPlace;
  readonly #indexes = new Set<number>();

  constructor(end: SharingEnd, place: SharingPlace) {
    this.#end = end;
    this.#place = place;
  }

  /** Whether other realms may have the region of a number. */
  has(index: number): boolean {
    return this.#indexes.size > 0 && this.#indexes.has(index);
  }

  /**
   * Shares a region.
   *
   * @throws {Error} if no memory is left, or the server cannot be woken by other realms
   */
  share(region: Shareable, access: "read" | "write"): Share {
    const { facts: { index, name } } = region;
    if (!this.#place.canRing()) {
      throw new Error(
        `Cannot share the region "${name}": the server gave no doorbell for other realms to ring`,
      );
    }
    const share = new NativeShare(this.#end, this.#place, region, access);
    this.#begin(index);
    return share;
  }

  /** From now on, commits of one realm wake those of the others that wait, and all of them sleep on the revision. */
  #begin(index: number): void {
    const { audience, queue: { library: { shim } } } = this.#end;
    const { parked, ring } = this.#place;
    if (this.#indexes.size === 0) shim.shim_audience_add(audience, parked, MAXIMUM_REGIONS, -1);
    this.#indexes.add(index);
    ring(); // those that wait for the bell
  }
}

class NativeShare implements Share {
  readonly message: SharedRegion;
  readonly #queue: EventQueue;
  readonly #handle: ShimShare;
  readonly #forget: (() => void) | undefined;

  constructor(end: SharingEnd, place: SharingPlace, region: Shareable, access: "read" | "write") {
    const { queue, queue: { library: { shim } }, audience } = end;
    const { facts: { name } } = region;
    const facts = new TextEncoder().encode(JSON.stringify(factsOf(end, place, region, access)));
    const secret = crypto.getRandomValues(new BigUint64Array(2));
    const words = placeOf(end, place, region);
    const handle = shim.shim_share_create(queue.handle, words, audience, facts, facts.length, secret);
    if (handle === null) throw new Error(`Cannot share the region "${name}": no memory is left`);
    try {
      this.#forget = place.mortal?.onDeath(shim.shim_share_death_call()!, handle);
    } catch (error) {
      shim.shim_share_free(handle);
      throw error;
    }
    this.#queue = queue;
    this.#handle = handle;
    const id = shim.shim_share_id(handle);
    this.message = { access, name, process: Deno.pid, id, secret: [secret[0]!, secret[1]!] };
  }

  async close(): Promise<void> {
    const { library: { shim } } = this.#queue;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#forget?.();
    const request = this.#queue.expect(() => resolve());
    shim.shim_share_close(this.#handle, request);
    const timer = setTimeout(resolve, PATIENCE);
    await promise;
    clearTimeout(timer);
    this.#queue.forget(request);
    shim.shim_share_free(this.#handle);
  }
}

function factsOf(
  end: SharingEnd,
  place: SharingPlace,
  region: Shareable,
  access: "read" | "write",
): SharedFacts {
  const { name, index, generation, clients, tileBytes, layout } = region.facts;
  const { byteLength, behind, writable, mapped } = region.mapping;
  return {
    ...{ name, index, generation, clients, tileBytes, layout, access, byteLength, behind, writable },
    owner: end.owner,
    data: Number(mapped),
    mapped: [Number(end.server.mapped), Number(end.locks.mapped), Number(place.words?.mapped ?? 0n)],
  };
}

/** Fills `struct shim_share_place`. */
function placeOf(end: SharingEnd, { words }: SharingPlace, region: Shareable): BigUint64Array<ArrayBuffer> {
  const { facts: { index, clients }, mapping } = region;
  const parts = [mapping, end.server, end.locks, words];
  const isShared = clients === "write";
  const hasMutex = isShared || end.owner === SERVER_OWNER;
  const wordsPart = isShared ? LOCKS_PART : SERVER_PART;
  const numbers = [
    ...[hasMutex ? wordsPart : NO_PART, isShared ? mutexAt(index) : serverMutexAt(index)],
    ...[wordsPart, isShared ? sharedRevisionAt(index) : serverRevisionAt(index)],
    ...[LOCKS_PART, ALL_TURNS_AT],
    end.owner,
  ];
  return BigUint64Array.of(
    ...parts.map((part) => part === undefined ? 0n : valueOf(part.address)),
    ...parts.map((part) => part?.mapped ?? 0n),
    ...numbers.map(BigInt),
  );
}
