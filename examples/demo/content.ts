/**
 * The content of a frame. Writer, region, revision and offset determine every byte, so a reader can check it without
 * anything else.
 *
 * @module
 */
import type { ReadableRegion, WritableRegion } from "../../mod.ts";

/** Memory that may be written: a region, or a slot of a stream. */
export type WritableMemory = Pick<WritableRegion, "byteLength" | "view">;

/** Memory that is only read: a region, or a frame of a stream. */
export type ReadableMemory = Pick<ReadableRegion, "byteLength" | "view">;

/** Identifies a frame. */
export interface FrameId {
  /** The process that wrote it: another one with the same name starts its revisions anew. */
  readonly writer: number;
  /** The number of the region. */
  readonly region: number;
  /** The revision, from 1. */
  readonly revision: number;
}

/** The memory of a frame: whole 32-bit words, then the bytes that are left where the length is no multiple of 4. */
export interface Frame<W, B> {
  readonly words: W;
  readonly rest: B;
}

/** The difference of one 32-bit word to the next; odd, so that no two words of 16 GiB are equal. */
const STEP = 0x9e3779b1 | 0;

/** The first word of a frame. Of one writer and region, no two revisions have the same, so all their words differ. */
function seedOf({ writer, region, revision }: FrameId): number {
  let base = Math.imul(writer, 0x85ebca6b);
  base = Math.imul(base ^ (base >>> 15) ^ (region + 1), 0xc2b2ae35);
  const seed = Math.imul((base ^ (base >>> 13)) + revision, 0x27d4eb2f);
  return seed ^ (seed >>> 16);
}

/** The word at an index, also of the last one, of which a length that is no multiple of 4 has only the low bytes. */
function wordAt(seed: number, index: number): number {
  return (seed + Math.imul(index, STEP)) | 0;
}

/** The frame in memory that may be written. */
export function writableFrame(memory: WritableMemory): Frame<Int32Array, Uint8Array> {
  return {
    words: memory.view(Int32Array),
    rest: memory.view(Uint8Array, memory.byteLength - memory.byteLength % 4),
  };
}

/** The frame in memory that is only read. */
export function readableFrame(memory: ReadableMemory): Frame<ArrayLike<number>, ArrayLike<number>> {
  return {
    words: memory.view(Int32Array),
    rest: memory.view(Uint8Array, memory.byteLength - memory.byteLength % 4),
  };
}

/**
 * Writes a frame.
 *
 * @param frame where to
 * @param id which
 * @param part how much of it, from 0 to 1: less than 1 leaves it torn
 */
export function fill({ words, rest }: Frame<Int32Array, Uint8Array>, id: FrameId, part = 1): void {
  const seed = seedOf(id);
  const count = Math.floor(words.length * part);
  let word = seed;
  for (let index = 0; index < count; index++) {
    words[index] = word;
    word = (word + STEP) | 0;
  }
  if (part < 1) return;
  for (let index = 0; index < rest.length; index++) rest[index] = wordAt(seed, count) >>> (index * 8);
}

/**
 * Checks every byte of a frame, in place.
 *
 * @param frame where it is
 * @param id which it should be
 * @returns the offset of the first word that holds a wrong byte, or of the first wrong byte after the last whole
 *   word; -1 if all are right
 */
export function findWrong({ words, rest }: Frame<ArrayLike<number>, ArrayLike<number>>, id: FrameId): number {
  const seed = seedOf(id);
  const count = words.length;
  let word = seed;
  for (let index = 0; index < count; index++) {
    if (words[index] !== word) return index * 4;
    word = (word + STEP) | 0;
  }
  for (let index = 0; index < rest.length; index++) {
    if (rest[index] !== ((wordAt(seed, count) >>> (index * 8)) & 0xff)) return count * 4 + index;
  }
  return -1;
}
