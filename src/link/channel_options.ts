import { inWords } from "../xpc/in_words.ts";

/** The size of a channel. */
export interface ChannelOptions {
  /**
   * The bytes of the ring in each direction, for each client: a multiple of 8 from 64 to 2^30. A message has at most half
   * of that.
   */
  byteLength: number;
}

/** The smallest and the largest ring, in bytes. */
const SMALLEST = 64;
const LARGEST = 2 ** 30;

/** Whether a ring may have this size. */
export function isRingLength(byteLength: number): boolean {
  return Number.isInteger(byteLength) && byteLength >= SMALLEST && byteLength <= LARGEST &&
    byteLength % 8 === 0;
}

/**
 * Checks the options of a channel.
 *
 * @throws {TypeError} or {RangeError} if an option is not valid; the message names it
 */
export function checkChannelOptions(name: string, options: unknown): asserts options is ChannelOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot make the channel "${name}" from ${inWords(options)}: its options are an object such as ` +
        `{ byteLength: 65536 }`,
    );
  }
  const { byteLength } = options as { [option: string]: unknown };
  const wrong = `Cannot make the channel "${name}": \`byteLength\` is ${inWords(byteLength)}, but must be `;
  if (typeof byteLength !== "number") throw new TypeError(`${wrong}a number of bytes`);
  if (!isRingLength(byteLength)) {
    throw new RangeError(`${wrong}a multiple of 8 from ${SMALLEST} to ${LARGEST}`);
  }
}
