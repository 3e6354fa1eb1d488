import { inWords } from "../xpc/in_words.ts";
import { MAXIMUM_SLOTS } from "./layout.ts";

/** The length of a stream's frames, and how many there are. */
export interface StreamOptions {
  /** The most bytes of a frame. */
  byteLength: number;
  /**
   * How many frames there is room for: one to write, the newest, and one for each frame that readers hold meanwhile. 2 to
   * 64. A slot that was never used takes no memory.
   *
   * @default {4}
   */
  slots?: number | undefined;
  /**
   * Whether to make all pages resident now, instead of each at its first touch.
   *
   * @default {false}
   */
  prefault?: boolean | undefined;
}

/** How many slots a stream has unless told otherwise. */
export const DEFAULT_SLOTS = 4;

/**
 * Checks the options of a stream.
 *
 * @throws {TypeError} or {RangeError} if an option is not valid; the message names it
 */
export function checkStreamOptions(name: string, options: unknown): asserts options is StreamOptions {
  const wrong = (option: string, value: unknown, want: string): string => {
    return `Cannot make the stream "${name}": \`${option}\` is ${inWords(value)}, but must be ${want}`;
  };
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot make the stream "${name}" from ${inWords(options)}: its options are an object such as ` +
        `{ byteLength: 1024, slots: 4 }`,
    );
  }
  const { byteLength, slots, prefault } = options as { [option: string]: unknown };
  if (typeof byteLength !== "number") {
    throw new TypeError(wrong("byteLength", byteLength, "a number of bytes"));
  }
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0) {
    throw new RangeError(wrong("byteLength", byteLength, "an integer above 0"));
  }
  if (slots !== undefined && typeof slots !== "number") {
    throw new TypeError(wrong("slots", slots, "a number"));
  }
  if (slots !== undefined && !(Number.isInteger(slots) && slots >= 2 && slots <= MAXIMUM_SLOTS)) {
    throw new RangeError(wrong("slots", slots, `an integer from 2 to ${MAXIMUM_SLOTS}`));
  }
  if (prefault !== undefined && typeof prefault !== "boolean") {
    throw new TypeError(wrong("prefault", prefault, "true or false"));
  }
}
