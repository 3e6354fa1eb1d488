/** The longest text that {@linkcode inWords} gives. */
const MAX_LENGTH = 100;

/**
 * A value as an error message shows it: short, on one line, and so that `"4096"` and `4096` differ.
 *
 * @param value what a caller passed
 * @returns its text
 */
export function inWords(value: unknown): string {
  const options = { depth: 0, strAbbreviateSize: 60, iterableLimit: 4, breakLength: Infinity };
  const text = Deno.inspect(value, options);
  return text.length <= MAX_LENGTH ? text : `${text.slice(0, MAX_LENGTH - 3)}...`;
}
