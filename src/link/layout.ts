/**
 * Where the words of a service lie, and what their bits mean. `ffi/native/include/shmem_layout.h` owns these
 * numbers; this is the copy for TypeScript, and `deno task check:abi` compares the two. `PROTOCOL.md` says who
 * writes each word, and when.
 *
 * There is nothing but numbers here, and no import.
 *
 * @module
 */

/** Raised whenever a number in this file changes. Client and server must have the same. */
export const LAYOUT_VERSION = 3;

/** The most that a service shares: regions, streams and all else that has words. */
export const MAXIMUM_REGIONS = 256;

/** The distance between the words of two regions, in bytes. */
export const STRIDE = 128;

/** The owner of a mutex that is the server. Clients are 2 and above. */
export const SERVER_OWNER = 1;

/** The bits of a mutex that say who holds it. */
export const MUTEX_OWNER = 0x3fff_ffff;

/** The bit of a mutex that says that its last holder died while it held the mutex. */
export const MUTEX_ABANDONED = 0x4000_0000;

/** The bit of a mutex that says that somebody may sleep in the kernel until it is free. */
export const MUTEX_CONTENDED = 0x8000_0000;

/** The bit of a parked word that says that its writer waits for its doorbell. */
export const PARKED_BELL = 1;

/** What a parked word grows by for each thread of its writer that sleeps in the kernel. */
export const PARKED_THREAD = 2;

/** The length of the server's words, in bytes. */
export const SERVER_BYTES = MAXIMUM_REGIONS * STRIDE + MAXIMUM_REGIONS * 4;

/** The length of the locks, in bytes. */
export const LOCK_BYTES = MAXIMUM_REGIONS * STRIDE + STRIDE;

/** The length of a client's words, in bytes. */
export const CLIENT_BYTES = MAXIMUM_REGIONS * 4 + STRIDE;

/** Where the revision of a region that clients only read is in the server's words: 64 bits. */
export function serverRevisionAt(index: number): number {
  return index * STRIDE;
}

/** Where a region's generation is in the server's words: 64 bits. */
export function generationAt(index: number): number {
  return index * STRIDE + 8;
}

/** Where the server's own mutex of a region that clients only read is in the server's words: 32 bits. */
export function serverMutexAt(index: number): number {
  return index * STRIDE + 16;
}

/** Where the server's parked word for a region is in the server's words: 32 bits. */
export function serverParkedAt(index: number): number {
  return MAXIMUM_REGIONS * STRIDE + index * 4;
}

/** Where the mutex of a region that clients may write is in the locks: 32 bits. */
export function mutexAt(index: number): number {
  return index * STRIDE;
}

/** Where the revision of a region that clients may write is in the locks: 64 bits. */
export function sharedRevisionAt(index: number): number {
  return index * STRIDE + 8;
}

/** Where the word that says who waits for a mutex or another lock is in the locks: 32 bits. */
export function waitingAt(index: number): number {
  return index * STRIDE + 16;
}

/** Where the turns of a mutex or another lock are in the locks: 64 bits. */
export function turnsAt(index: number): number {
  return index * STRIDE + 24;
}

/** Where the turns of all locks together are in the locks: 64 bits. */
export const ALL_TURNS_AT = MAXIMUM_REGIONS * STRIDE;

/** The bit of a waiting word that says that a thread sleeps on the turns of the lock. */
export const WAITING_THREAD = 1;

/** The bit of a waiting word that says that an event loop is to be woken, by the turns of all locks. */
export const WAITING_REALM = 2;

/** The most who hold one lock at a time: readers of a read-write lock, units of a semaphore. */
export const MAXIMUM_HOLDERS = 1024;

/** The bits of the state of a read-write lock that say who its writer is. */
export const LOCK_OWNER = 0x3fff_ffff;

/** The bit of that state that says that the last writer died while it held the lock. */
export const LOCK_ABANDONED = 0x4000_0000;

/** The bit of that state that says that the writer waits for the readers to go. */
export const LOCK_CLAIMED = 0x8000_0000;

/** The length of the memory of a lock that is no mutex, in bytes. */
export const LOCK_MEMORY_BYTES = STRIDE + MAXIMUM_HOLDERS * 8;

/** Where a client's parked word for a region is in its words: 32 bits. */
export function clientParkedAt(index: number): number {
  return index * 4;
}

/** Where a client notes for its own threads that its server is gone: 32 bits. */
export const GONE_AT = MAXIMUM_REGIONS * 4;

/** The bytes that the tiles of a region begin with. */
export const TILES_HEADER_BYTES = STRIDE;

/** The most slots of a stream. */
export const MAXIMUM_SLOTS = 64;

/** The bytes of the user's record that goes with each frame of a stream. */
export const RECORD_BYTES = 64;

/** The bytes that a stream's memory begins with: its header. */
export const STREAM_HEADER_BYTES = STRIDE + MAXIMUM_SLOTS * STRIDE;

/** What the number of a stream's newest frame is multiplied by, so that the number of its slot can be added. */
export const SEQUENCE_UNIT = 256;

/** Added to a frame's number while the writer looks whether anybody leases it. */
export const TAKING = 2 ** 63;

/** The bytes of the words with the leases of one reader of a stream. */
export const LEASES_BYTES = STRIDE + MAXIMUM_SLOTS * 8;

/** Where the user's record of the frame in a slot is in a stream's memory. */
export function recordAt(slot: number): number {
  return STRIDE + slot * STRIDE + RECORD_BYTES;
}

/** Where the count of what was taken out is in a ring: 64 bits. What was put in is counted at its beginning. */
export const RING_TAIL_AT = STRIDE;

/** The bytes that a ring begins with. */
export const RING_HEADER_BYTES = 2 * STRIDE;

/** The bit of a ring's counter that says that the side that writes the counter has left. */
export const RING_LEFT = 1;
