/**
 * A value as an error message shows it: short, and so that `"4096"` and `4096` differ.
 *
 * @param value what a caller passed
 * @returns its text
 */
export function describe(value: unknown): string {
  return Deno.inspect(value, { depth: 0, strAbbreviateSize: 60, breakLength: Infinity });
}
