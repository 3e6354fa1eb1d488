/**
 * The few facts about a Mach-O library that decide whether it loads on a Mac. A reader of our own: what npm
 * has for Mach-O was last touched years ago and knows neither LC_BUILD_VERSION nor export tries. It reads
 * 64-bit little-endian libraries and refuses everything else.
 *
 * @module
 */

import { sha256 } from "./build_target.ts";

/** What {@linkcode readMachO} finds. */
export interface MachO {
  /** The processor. */
  arch: "aarch64" | "x86_64";
  /** The name that others load the library by. */
  installName: string;
  /** The libraries that it needs. */
  dependencies: string[];
  /** The oldest macOS that it says to run on, as "13.0". */
  minimumMacos: string;
  /** The C names of the symbols that it exports, sorted. */
  exports: string[];
  /** The C names of the symbols that it takes from other libraries; weak ones may be missing. */
  imports: { name: string; weak: boolean }[];
  /** The code signature; "broken" if it is not that of these bytes. */
  signature: "none" | "ad-hoc" | "broken" | "other";
}

const MAGIC_64 = 0xfeedfacf;
const FILE_TYPE_DYLIB = 6;
const LC_SYMTAB = 0x2;
const LC_LOAD_DYLIB = 0xc;
const LC_ID_DYLIB = 0xd;
const LC_CODE_SIGNATURE = 0x1d;
const LC_BUILD_VERSION = 0x32;
const LC_LOAD_WEAK_DYLIB = 0x80000018;
const LC_DYLD_INFO_ONLY = 0x80000022;
const LC_DYLD_EXPORTS_TRIE = 0x80000033;
const PLATFORM_MACOS = 1;
const ARCHS: Readonly<Record<number, MachO["arch"]>> = { 0x0100000c: "aarch64", 0x01000007: "x86_64" };

/**
 * Reads a Mach-O library.
 *
 * @param bytes the file
 * @returns what it says of itself
 * @throws {TypeError} if it is not a 64-bit Mach-O library, or a part that should be there is not
 * @throws {RangeError} if it is cut off
 */
export async function readMachO(bytes: Uint8Array<ArrayBuffer>): Promise<MachO> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (at: number) => view.getUint32(at, true);
  const arch = ARCHS[u32(4)];
  if (u32(0) !== MAGIC_64 || u32(12) !== FILE_TYPE_DYLIB || arch === undefined) {
    throw new TypeError("Cannot read as a Mach-O library for arm64 or x86_64");
  }
  const found: MachO = {
    arch,
    installName: "",
    dependencies: [],
    minimumMacos: "",
    exports: [],
    imports: [],
    signature: "none",
  };
  let at = 32;
  for (let i = 0, count = u32(16); i < count; i++) {
    const command = u32(at);
    if (command === LC_ID_DYLIB) {
      found.installName = cString(bytes, at + u32(at + 8));
    } else if (command === LC_LOAD_DYLIB || command === LC_LOAD_WEAK_DYLIB) {
      found.dependencies.push(cString(bytes, at + u32(at + 8)));
    } else if (command === LC_BUILD_VERSION && u32(at + 8) === PLATFORM_MACOS) {
      found.minimumMacos = `${u32(at + 12) >>> 16}.${(u32(at + 12) >>> 8) & 0xff}`;
    } else if (command === LC_DYLD_EXPORTS_TRIE) {
      found.exports = readTrie(bytes.subarray(u32(at + 8), u32(at + 8) + u32(at + 12)));
    } else if (command === LC_DYLD_INFO_ONLY) {
      found.exports = readTrie(bytes.subarray(u32(at + 40), u32(at + 40) + u32(at + 44)));
    } else if (command === LC_SYMTAB) {
      found.imports = readImports(bytes, view, u32(at + 8), u32(at + 12), u32(at + 16));
    } else if (command === LC_CODE_SIGNATURE) {
      found.signature = await readSignature(bytes, u32(at + 8));
    }
    at += u32(at + 4);
  }
  return found;
}

function cString(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at);
  if (end < 0) throw new RangeError("Cannot read a string: the file ends in it");
  return new TextDecoder().decode(bytes.subarray(at, end));
}

/** C names have an underscore in front on macOS. */
function cName(symbol: string): string {
  return symbol.startsWith("_") ? symbol.slice(1) : symbol;
}

/** The export trie: what the loader looks names up in. Edges are labelled with parts of names. */
function readTrie(trie: Uint8Array): string[] {
  const names: string[] = [];
  const uleb = (at: number): [value: number, next: number] => {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = trie[at++];
      if (byte === undefined) throw new RangeError("Cannot read the export trie: it is cut off");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return [value, at];
    }
  };
  const walk = (node: number, prefix: string, depth: number): void => {
    // Damaged tries can point back at themselves.
    if (depth > 200) throw new RangeError("Cannot read the export trie: it does not end");
    const [terminal, content] = uleb(node);
    if (terminal > 0) names.push(cName(prefix));
    let at = content + terminal;
    for (let children = trie[at++] ?? 0; children > 0; children--) {
      const edge = cString(trie, at);
      const [child, next] = uleb(at + new TextEncoder().encode(edge).byteLength + 1);
      walk(child, prefix + edge, depth + 1);
      at = next;
    }
  };
  if (trie.byteLength > 0) walk(0, "", 0);
  return names.sort();
}

/** The undefined symbols of the symbol table. */
function readImports(
  bytes: Uint8Array,
  view: DataView,
  table: number,
  count: number,
  strings: number,
): MachO["imports"] {
  const imports: MachO["imports"] = [];
  for (let at = table; at < table + count * 16; at += 16) {
    const type = bytes[at + 4] ?? 0;
    const isDebug = (type & 0xe0) !== 0;
    const isUndefined = (type & 0x0e) === 0;
    if (isDebug || !isUndefined) continue;
    const weak = (view.getUint16(at + 6, true) & 0x40) !== 0;
    imports.push({ name: cName(cString(bytes, strings + view.getUint32(at, true))), weak });
  }
  return imports;
}

/** Big-endian, unlike the rest. Compares the hash of each page, as the kernel does when it maps it. */
async function readSignature(bytes: Uint8Array<ArrayBuffer>, start: number): Promise<MachO["signature"]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset + start);
  if (view.getUint32(0) !== 0xfade0cc0) return "broken";
  for (let i = 0, count = view.getUint32(8); i < count; i++) {
    const directory = view.getUint32(12 + i * 8 + 4);
    if (view.getUint32(directory) !== 0xfade0c02) continue;
    const isAdHoc = (view.getUint32(directory + 12) & 0x2) !== 0;
    const hashes = start + directory + view.getUint32(directory + 16);
    const slots = view.getUint32(directory + 28);
    const limit = view.getUint32(directory + 32);
    const isSha256 = view.getUint8(directory + 36) === 32 && view.getUint8(directory + 37) === 2;
    const pageSize = 2 ** view.getUint8(directory + 39);
    if (!isSha256 || limit !== start || slots !== Math.ceil(limit / pageSize)) return "broken";
    for (let slot = 0; slot < slots; slot++) {
      const page = bytes.subarray(slot * pageSize, Math.min((slot + 1) * pageSize, limit));
      const signed = bytes.subarray(hashes + slot * 32, hashes + slot * 32 + 32).toHex();
      if (await sha256(page) !== signed) return "broken";
    }
    return isAdHoc ? "ad-hoc" : "other";
  }
  return "broken";
}
