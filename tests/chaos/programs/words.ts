/** What the server of the cast serves, and where the numbers lie that the programs write into it. */

/** The regions: everybody may write the frame and the ledger, clients only read the mask. */
export const REGIONS = {
  frame: { byteLength: 65_536 },
  mask: { byteLength: 65_536, clients: "read" },
  ledger: { byteLength: 4096 },
} as const;

/** The regions that clients follow. */
export const FOLLOWED = ["frame", "mask"] as const;

/** As 64-bit words of the regions that are followed. */
export const LIFE = 0; // which life of the server wrote this
export const VALUE = 1; // grows with each commit of that life
export const HOLDER = 2; // who holds the frame's mutex; 0: nobody

/** The locks, which guard the ledger. */
export const LOCKS = { device: "mutex", catalog: "rwlock", budget: { semaphore: 2 } } as const;

/** The units of the budget. */
export const UNITS = LOCKS.budget.semaphore;

/** As 64-bit words of the ledger. */
export const DEVICE = 0; // who holds the device; 0: nobody
export const CATALOG = 1; // who writes the catalog; 0: nobody
export const VERSION = 2; // grows when somebody begins to write the catalog, and when it ends
export const MARKS = 16; // a word for each loop of a taker that may hold a unit of the budget; 0: it holds none

/** How many words there are for marks. */
export const MARKS_LENGTH = 256;

/**
 * The streams. The writer of the video never waits; the writer of the log waits for readers that want every frame.
 * The video has room for what all readers may hold, the newest, and one to write.
 */
export const STREAMS = {
  video: { byteLength: 32_768, slots: 6 },
  log: { byteLength: 4096, slots: 4 },
} as const;

/** How many frames of a stream a reader holds at most. */
export const MOST_HELD = { video: 2, log: 1 } as const;

/** The channels. */
export const CHANNELS = { midi: { byteLength: 4096 } } as const;

/** What a frame of a stream is full of: the life of the server and the number of the frame in one. */
export function stampOf(life: number, sequence: number): number {
  return life * 2 ** 32 + sequence;
}

/** The life that a stamp tells. */
export function lifeOf(stamp: number): number {
  return Math.floor(stamp / 2 ** 32);
}

/** A message of a channel: its number, then bytes that follow from it. */
export function messageOf(number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8 + (number * 37) % 1500).map((_, index) => number + index);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** The number of a message of a channel, or `undefined` if it is not whole. */
export function numberOf(bytes: Uint8Array<ArrayBuffer>): number | undefined {
  if (bytes.length < 4) return undefined;
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const whole = messageOf(number);
  return whole.length === bytes.length && whole.every((byte, index) => byte === bytes[index])
    ? number
    : undefined;
}
