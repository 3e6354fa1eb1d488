/**
 * Messages that tell their number, and whose length and content follow from it.
 *
 * @module
 */

/** The longest, in bytes. */
const LONGEST = 1000;

/** The message of a number. */
export function messageOf(number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4 + (number * 37) % (LONGEST - 3));
  bytes.fill(number % 251);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

/** The number of a message; throws if it is not whole. */
export function numberOf(bytes: Uint8Array<ArrayBuffer>): number {
  const number = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  const expected = messageOf(number);
  const isWhole = bytes.length === expected.length && bytes.every((byte, index) => byte === expected[index]);
  if (!isWhole) throw new Error(`message ${number} is not whole`);
  return number;
}
