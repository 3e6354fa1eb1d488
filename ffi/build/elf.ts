/**
 * The few facts about an ELF library that decide whether it loads on a Linux system, read as the dynamic
 * linker reads them: through the program headers, not the sections. A reader of our own, since npm has none
 * that is kept up and knows symbol versions. It reads 64-bit little-endian libraries and refuses the rest.
 *
 * @module
 */

/** What {@linkcode readElf} finds. */
export interface Elf {
  /** The processor. */
  arch: "aarch64" | "x86_64";
  /** The name that others load the library by. */
  soname: string;
  /** The libraries that it needs. */
  dependencies: string[];
  /** Whether it stays in memory after the last dlclose. */
  isNoDelete: boolean;
  /** The versions of other libraries' symbols that it needs, as "GLIBC_2.28". */
  versions: string[];
  /** The names of the symbols that it exports, sorted. */
  exports: string[];
  /** The names of the symbols that it takes from other libraries. */
  imports: { name: string; weak: boolean }[];
}

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_SONAME = 14;
const DT_FLAGS_1 = 0x6ffffffb;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;
const DF_1_NODELETE = 0x8;
const ARCHS: Readonly<Record<number, Elf["arch"]>> = { 183: "aarch64", 62: "x86_64" };

/**
 * Reads an ELF library.
 *
 * @param bytes the file
 * @returns what it says of itself
 * @throws {TypeError} if it is not a 64-bit ELF library, or a part that should be there is not
 * @throws {RangeError} if it is cut off
 */
export function readElf(bytes: Uint8Array<ArrayBuffer>): Elf {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (at: number) => view.getUint16(at, true);
  const u32 = (at: number) => view.getUint32(at, true);
  const u64 = (at: number) => Number(view.getBigUint64(at, true));
  const arch = ARCHS[u16(18)];
  const isElf = view.getUint32(0) === 0x7f454c46 && u16(4) === 0x0102 && u16(16) === 3;
  if (!isElf || arch === undefined) {
    throw new TypeError("Cannot read as an ELF library for arm64 or x86_64");
  }

  const segments: { address: number; offset: number; length: number }[] = [];
  let dynamic: { offset: number; length: number } | undefined;
  for (let i = 0, at = u64(32), size = u16(54), count = u16(56); i < count; i++, at += size) {
    const segment = { offset: u64(at + 8), address: u64(at + 16), length: u64(at + 32) };
    if (u32(at) === PT_LOAD) segments.push(segment);
    if (u32(at) === PT_DYNAMIC) dynamic = segment;
  }
  if (dynamic === undefined) throw new TypeError("Cannot read as an ELF library: nothing dynamic in it");
  /** Where in the file an address of the loaded library is. */
  const offsetOf = (address: number): number => {
    const segment = segments.find((s) => address >= s.address && address < s.address + s.length);
    if (segment === undefined) throw new TypeError(`Cannot find the address ${address} in the ELF file`);
    return address - segment.address + segment.offset;
  };

  const tags = new Map<number, number>();
  const needed: number[] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.length; at += 16) {
    const tag = u64(at);
    if (tag === 0) break;
    if (tag === DT_NEEDED) needed.push(u64(at + 8));
    else tags.set(tag, u64(at + 8));
  }
  const required = (tag: number, name: string): number => {
    const value = tags.get(tag);
    if (value === undefined) throw new TypeError(`Cannot read as an ELF library: it has no ${name}`);
    return value;
  };
  const strings = offsetOf(required(DT_STRTAB, "DT_STRTAB"));
  const string = (index: number): string => {
    const end = bytes.indexOf(0, strings + index);
    return new TextDecoder().decode(bytes.subarray(strings + index, end));
  };

  const found: Elf = {
    arch,
    soname: tags.has(DT_SONAME) ? string(required(DT_SONAME, "DT_SONAME")) : "",
    dependencies: needed.map(string),
    isNoDelete: ((tags.get(DT_FLAGS_1) ?? 0) & DF_1_NODELETE) !== 0,
    versions: [],
    exports: [],
    imports: [],
  };

  // The hash table is the only place that tells how many symbols there are.
  const count = u32(offsetOf(required(DT_HASH, "DT_HASH")) + 4);
  const symbols = offsetOf(required(DT_SYMTAB, "DT_SYMTAB"));
  for (let at = symbols + 24; at < symbols + count * 24; at += 24) {
    const binding = (bytes[at + 4] ?? 0) >>> 4;
    if (binding === 0) continue;
    const name = string(u32(at));
    if (u16(at + 6) === 0) found.imports.push({ name, weak: binding === 2 });
    else found.exports.push(name);
  }
  found.exports.sort();

  let at = tags.has(DT_VERNEED) ? offsetOf(required(DT_VERNEED, "DT_VERNEED")) : 0;
  for (let libraries = tags.get(DT_VERNEEDNUM) ?? 0; libraries > 0; libraries--) {
    let version = at + u32(at + 8);
    for (let versions = u16(at + 2); versions > 0; versions--) {
      found.versions.push(string(u32(version + 8)));
      version += u32(version + 12);
    }
    at += u32(at + 12);
  }
  return found;
}
