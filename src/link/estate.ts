import { Mapping } from "../memory/mapping.ts";
import { FileDescriptor, SharedMemory, type XpcRecord, type XpcValue } from "../xpc/mod.ts";
import { isTileBytes } from "../sync/tiles.ts";
import {
  generationAt,
  MAXIMUM_REGIONS,
  MUTEX_ABANDONED,
  MUTEX_OWNER,
  mutexAt,
  serverMutexAt,
} from "./layout.ts";
import type { LinkEnd } from "./link_end.ts";
import type { ClientAccess, LinkedRegion } from "./linked_region.ts";
import { integerOf, LinkRefusal } from "./protocol.ts";
import { bytesBehind } from "./tile_bytes.ts";

/**
 * The highest revision and generation that are taken from a peer. What counts on from here stays below 2^53 for longer
 * than any machine lives.
 */
const MAXIMUM_INHERITED = 2 ** 52;

/** How the next server came to the memory of a region. */
export type Inheritance = "reference" | "copy";

/** What a server leaves behind: a region as a client has it mapped. All of them together are the estate. */
export interface Legacy {
  /** The region's name. */
  readonly name: string;
  /** What clients may do with it. */
  readonly clients: ClientAccess;
  /** Its length, in bytes. */
  readonly byteLength: number;
  /** The length of its tiles, in bytes. */
  readonly tileBytes: number;
  /** Its newest generation. */
  readonly generation: number;
  /** Its newest revision. */
  readonly revision: number;
  /** Whether somebody held its mutex when the server went: the next holder is told. */
  readonly abandoned: boolean;
}

/** The memory of one region, and what is to be known of it. */
export interface Heirloom extends Legacy {
  /** The memory. */
  readonly mapping: Mapping;
  /** Whether others have the same memory. */
  readonly inheritance: Inheritance;
}

/** Whether a mutex is held, or was when its holder died. Whoever has it loses it with the link. */
function isHeld(end: LinkEnd, { clients, index }: LinkedRegion): boolean {
  const word = clients === "write" ? end.locks.word(mutexAt(index)) : end.server.word(serverMutexAt(index));
  return (end.queue.library.shim.shim_word_load(word) & (MUTEX_OWNER | MUTEX_ABANDONED)) !== 0;
}

/** The newest generation of a region, which need not be mapped. */
function newestOf({ end, index }: LinkedRegion): number {
  return end.queue.library.shim.shim_word_load64(end.server.word(generationAt(index), 8));
}

/** Whether a client can offer a region to the next server: it has the newest generation, and can share it on. */
export function isOffered(region: LinkedRegion): boolean {
  return region.mapping.shareable && newestOf(region) === region.generation;
}

/** What a client can tell of a region that it can share on. */
export function legacyOf(region: LinkedRegion): Legacy {
  const { end, name, clients } = region;
  return {
    name,
    clients,
    byteLength: region.mapping.byteLength,
    tileBytes: region.tileBytes,
    generation: Math.min(newestOf(region), MAXIMUM_INHERITED),
    // The word may be any client's to write: more than this is malice.
    revision: Math.min(region.revisions.current, MAXIMUM_INHERITED),
    abandoned: isHeld(end, region),
  };
}

/** The estate as hello carries it. */
export function describeEstate(regions: Iterable<LinkedRegion>): XpcRecord[] {
  return [...regions].filter(isOffered).map((region) => {
    const { name, clients, byteLength, tileBytes, generation, revision, abandoned } = legacyOf(region);
    return {
      name,
      clients,
      byteLength: BigInt(byteLength),
      tileBytes: BigInt(tileBytes),
      generation: BigInt(generation),
      revision: BigInt(revision),
      abandoned,
    };
  });
}

/**
 * Reads the estate in a client's hello. Legacies with numbers out of range are left out: nobody wants them.
 *
 * @returns the legacies, or `undefined` if hello has none
 * @throws {LinkRefusal} if it is of another type
 */
export function readEstate(value: XpcValue | undefined): Legacy[] | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value) || value.length > MAXIMUM_REGIONS || !value.every(isRecord)) {
    throw new LinkRefusal("bad_request", "Cannot read hello: estate is not an array of dictionaries");
  }
  return value.flatMap((item: XpcRecord) => {
    const { name, clients, abandoned } = item;
    const byteLength = integerOf(item["byteLength"], Number.MAX_SAFE_INTEGER);
    const tileBytes = integerOf(item["tileBytes"], Number.MAX_SAFE_INTEGER);
    const generation = integerOf(item["generation"], MAXIMUM_INHERITED);
    const revision = integerOf(item["revision"], MAXIMUM_INHERITED);
    if (
      typeof name !== "string" || (clients !== "read" && clients !== "write") ||
      typeof abandoned !== "boolean" || !byteLength || tileBytes === undefined ||
      !isTileBytes(tileBytes) || !generation || revision === undefined
    ) return [];
    return [{ name, clients, byteLength, tileBytes, generation, revision, abandoned }];
  });
}

function isRecord(value: XpcValue): boolean {
  return typeof value === "object" && value !== null && Object.getPrototypeOf(value) === null;
}

/**
 * Maps what a server left. Memory that clients may write is shared on: it stays the same. Memory that they only read
 * nobody but its maker can write, so it is copied.
 *
 * @param legacy what is known of it
 * @param memory what a message carried; stays the caller's
 * @throws {LinkRefusal} if it is of another type
 * @throws {RangeError} if it is shorter than it should be, could become so, or cannot be had
 */
export async function inherit(legacy: Legacy, memory: XpcValue | undefined): Promise<Heirloom> {
  const { name, byteLength, tileBytes, clients } = legacy;
  const behind = bytesBehind(byteLength, tileBytes);
  if (clients === "write") {
    if (!(memory instanceof SharedMemory)) throw notMemory(name, "shared memory");
    const mapping = Mapping.open(memory, byteLength, { name, behind, keep: true });
    return { ...legacy, mapping, inheritance: "reference" };
  }
  if (!(memory instanceof FileDescriptor)) throw notMemory(name, "a descriptor");
  using source = Mapping.open(memory, byteLength, { name });
  const mapping = await Mapping.create(byteLength, { name, behind, readOnlyForOthers: true });
  mapping.view(Uint8Array).set(source.view(Uint8Array));
  return { ...legacy, mapping, inheritance: "copy" };
}

function notMemory(name: string, want: string): LinkRefusal {
  return new LinkRefusal("bad_request", `Cannot take the region "${name}": memory is not ${want}`);
}
