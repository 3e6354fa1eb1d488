/**
 * Where the words that coordinate a service lie. They are apart from the data, in three small mappings, so that
 * each side writes only its own:
 *
 * - the server's words, read-only for clients: for each region its revision (if clients may only
 *   read the region) and its generation, then the server's parked words;
 * - the locks, writable by all: for each region its mutex and, if clients may write the region, its revision;
 * - each client's words, one mapping a client, that only the client and the server share: its parked words.
 *
 * Everything is 128 bytes apart, the distance at which no processor we know makes two words share a cache line.
 *
 * @module
 */

/** Raised whenever something in this file changes. The handshake refuses others. */
export const LAYOUT_VERSION = 1;

/** The most regions that a service has. */
export const MAXIMUM_REGIONS = 256;

/** The distance between the words of two regions, in bytes. */
export const STRIDE = 128;

/** The length of the server's words, in bytes. */
export const SERVER_BYTES = MAXIMUM_REGIONS * STRIDE + MAXIMUM_REGIONS * 4;

/** The length of the locks, in bytes. */
export const LOCK_BYTES = MAXIMUM_REGIONS * STRIDE;

/** Where a client notes for its own threads that its server is gone: 32 bits. */
export const GONE_AT = MAXIMUM_REGIONS * 4;

/** The length of a client's words, in bytes. */
export const CLIENT_BYTES = MAXIMUM_REGIONS * 4 + STRIDE;

/** Where a region's revision is in the server's words: 64 bits. */
export function serverRevisionAt(index: number): number {
  return index * STRIDE;
}

/** Where a region's generation is in the server's words: 64 bits. */
export function generationAt(index: number): number {
  return index * STRIDE + 8;
}

/** Where the server's parked word for a region is in the server's words: 32 bits. */
export function serverParkedAt(index: number): number {
  return MAXIMUM_REGIONS * STRIDE + index * 4;
}

/** Where a region's mutex is in the locks: 32 bits. */
export function mutexAt(index: number): number {
  return index * STRIDE;
}

/** Where a region's revision is in the locks: 64 bits. */
export function sharedRevisionAt(index: number): number {
  return index * STRIDE + 8;
}

/** Where a client's parked word for a region is in its words: 32 bits. */
export function clientParkedAt(index: number): number {
  return index * 4;
}
