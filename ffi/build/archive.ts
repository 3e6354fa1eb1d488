/**
 * What a static archive defines, from the index that the linker uses.
 *
 * @module
 */

/**
 * Reads the index of an archive in the GNU form: the first member, named "/", has a count, that many
 * offsets, and that many names that end in NUL.
 *
 * @param bytes the file
 * @returns the names, sorted
 * @throws {TypeError} if it is not an archive with an index
 */
export function readArchiveSymbols(bytes: Uint8Array<ArrayBuffer>): string[] {
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 68));
  const length = Number(text.slice(56, 66));
  if (!text.startsWith("!<arch>\n/ ") || !(length >= 4)) {
    throw new TypeError("Cannot read as a static archive with an index");
  }
  const count = new DataView(bytes.buffer, bytes.byteOffset + 68).getUint32(0);
  const names = new TextDecoder().decode(bytes.subarray(72 + count * 4, 68 + length)).split("\0");
  return names.slice(0, count).sort();
}
