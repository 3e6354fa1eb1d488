import { Endpoint } from "./endpoint.ts";
import { FileDescriptor } from "./file_descriptor.ts";
import type { Int64 } from "./int64.ts";
import { SharedMemory } from "./shared_memory.ts";
import type { Uuid } from "./uuid.ts";

/**
 * What a message can hold.
 *
 * | JavaScript | XPC |
 * | --- | --- |
 * | `null`, `boolean`, `string` | null, bool, string |
 * | `number` | double |
 * | `bigint`, 0 and above; below 0 | uint64; int64 |
 * | {@linkcode Int64} | int64 (comes back as `bigint`) |
 * | `Date` | date |
 * | `Uint8Array` | data (copied) |
 * | {@linkcode Uuid} | uuid |
 * | {@linkcode FileDescriptor}, {@linkcode Endpoint}, {@linkcode SharedMemory} | fd, endpoint, shmem |
 * | arrays, plain objects | array, dictionary |
 *
 * Strings hold no NUL and no lone surrogates; what is `undefined` in an object is left out.
 */
export type XpcValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | Int64
  | Uuid
  | FileDescriptor
  | Endpoint
  | SharedMemory
  | readonly XpcValue[]
  | XpcRecord;

/** A dictionary of {@linkcode XpcValue}s: the form of every message. Received ones have no prototype. */
export interface XpcRecord {
  /** A value by its key. */
  readonly [key: string]: XpcValue | undefined;
}

/** The deepest nesting of arrays and dictionaries in a message, in levels. */
export const MAXIMUM_DEPTH = 32;

/**
 * The most values that a message holds, in all of its arrays and dictionaries together. Each costs a call of libxpc,
 * and so some hundred nanoseconds of the receiver's time.
 */
export const MAX_MESSAGE_ELEMENTS = 65_536;

/** The most that strings, data and keys of a message add up to, in bytes; each value counts 16 on top. */
export const MAXIMUM_MESSAGE_BYTES = 32 * 2 ** 20;

/**
 * Releases all descriptors, endpoints and shared memory in a value that nobody took out of it.
 *
 * @param value a message or a part of one
 */
export function disposeValue(value: XpcValue | undefined): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof FileDescriptor || value instanceof Endpoint || value instanceof SharedMemory) {
    value[Symbol.dispose]();
  } else if (Array.isArray(value)) {
    for (const item of value) disposeValue(item);
  } else if (Object.getPrototypeOf(value) === null) {
    // Only what decoding made: an object that somebody put in is theirs.
    for (const item of Object.values(value as XpcRecord)) disposeValue(item);
  }
}
