/**
 * A value as an error message shows it: short, on one line, whatever the value is.
 *
 * @param value any value, perhaps of another type than was asked for
 */
export function inWords(value: unknown): string {
  if (typeof value === "string") {
    return JSON.stringify(value.length > 64 ? `${value.slice(0, 61)}...` : value);
  }
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "function") return `the function ${value.name || "(anonymous)"}`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return String(value); // a number, a boolean, a symbol, null or undefined
}
