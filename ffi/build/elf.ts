/**
 * Reads the few facts about an ELF library that decide whether it loads on a Linux system. The reader follows the
 * program headers, as the dynamic linker does, and ignores the sections. It exists because no package on npm is
 * maintained and knows symbol versions. It reads 64-bit little-endian libraries only.
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
  /** The symbol versions that other libraries must provide, as "GLIBC_2.28". */
  versions: string[];
  /** The names of the symbols that it exports, sorted. */
  exports: string[];
  /** The symbols that it takes from other libraries; weak ones may be missing. */
  imports: { name: string; weak: boolean }[];
}

const MAGIC = 0x7f454c46;
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NULL = 0;
const DT_NEEDED = 1;
const DT_HASH = 4;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_SONAME = 14;
const DT_FLAGS_1 = 0x6ffffffb;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;
const DF_1_NODELETE = 0x8;
const STB_LOCAL = 0;
const STB_WEAK = 2;
const SYMBOL_SIZE = 24;
const DYNAMIC_SIZE = 16;
const ARCHS: Readonly<Record<number, Elf["arch"]>> = { 183: "aarch64", 62: "x86_64" };

/**
 * Reads an ELF library.
 *
 * @param bytes the file
 * @returns what the file says about itself
 * @throws {TypeError} if it is not a 64-bit ELF library, or a required part is missing
 * @throws {RangeError} if the file is truncated
 */
export function readElf(bytes: Uint8Array<ArrayBuffer>): Elf {
  const file = new ElfFile(bytes);
  return {
    arch: file.arch,
    soname: file.soname(),
    dependencies: file.dependencies(),
    isNoDelete: file.isNoDelete(),
    versions: file.versions(),
    ...file.symbols(),
  };
}

/** A stretch of the file and the address that it is loaded at. */
interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly length: number;
}

/** An open file: the header and the dynamic table are read once, the rest on demand. */
class ElfFile {
  readonly arch: Elf["arch"];
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #segments: readonly Segment[];
  /** The entries of the dynamic table that occur once, by tag. */
  readonly #dynamic = new Map<number, number>();
  /** Where the names of the needed libraries begin in the string table. */
  readonly #needed: number[] = [];
  readonly #strings: number;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.arch = this.#readArch();
    this.#segments = this.#readSegments();
    this.#readDynamicTable();
    this.#strings = this.#offsetOf(this.#required(DT_STRTAB, "DT_STRTAB"));
  }

  soname(): string {
    const index = this.#dynamic.get(DT_SONAME);
    return index === undefined ? "" : this.#string(index);
  }

  dependencies(): string[] {
    return this.#needed.map((index) => this.#string(index));
  }

  isNoDelete(): boolean {
    return ((this.#dynamic.get(DT_FLAGS_1) ?? 0) & DF_1_NODELETE) !== 0;
  }

  symbols(): Pick<Elf, "exports" | "imports"> {
    const exports: string[] = [];
    const imports: Elf["imports"] = [];
    // Only the hash table says how many symbols there are. The first symbol is a placeholder.
    const count = this.#u32(this.#offsetOf(this.#required(DT_HASH, "DT_HASH")) + 4);
    const table = this.#offsetOf(this.#required(DT_SYMTAB, "DT_SYMTAB"));
    for (let at = table + SYMBOL_SIZE; at < table + count * SYMBOL_SIZE; at += SYMBOL_SIZE) {
      const binding = this.#view.getUint8(at + 4) >>> 4;
      if (binding === STB_LOCAL) continue;
      const name = this.#string(this.#u32(at));
      const isUndefined = this.#u16(at + 6) === 0;
      if (isUndefined) imports.push({ name, weak: binding === STB_WEAK });
      else exports.push(name);
    }
    return { exports: exports.sort(), imports };
  }

  /** One list entry for each library, and in it one for each version: both lists say where the next entry is. */
  versions(): string[] {
    const found: string[] = [];
    const count = this.#dynamic.get(DT_VERNEEDNUM) ?? 0;
    if (count === 0) return found;
    let library = this.#offsetOf(this.#required(DT_VERNEED, "DT_VERNEED"));
    for (let libraries = count; libraries > 0; libraries--) {
      let version = library + this.#u32(library + 8);
      for (let versions = this.#u16(library + 2); versions > 0; versions--) {
        found.push(this.#string(this.#u32(version + 8)));
        version += this.#u32(version + 12);
      }
      library += this.#u32(library + 12);
    }
    return found;
  }

  #readArch(): Elf["arch"] {
    const isElf = this.#view.getUint32(0) === MAGIC;
    const isLittleEndian64 = this.#u16(4) === 0x0102;
    const isLibrary = this.#u16(16) === ET_DYN;
    const arch = ARCHS[this.#u16(18)];
    if (!isElf || !isLittleEndian64 || !isLibrary || arch === undefined) {
      throw new TypeError("Cannot read as an ELF library for arm64 or x86_64");
    }
    return arch;
  }

  #readSegments(): Segment[] {
    const [table, size, count] = [this.#u64(32), this.#u16(54), this.#u16(56)];
    return Array.from({ length: count }, (_, index) => {
      const at = table + index * size;
      const [type, offset, address] = [this.#u32(at), this.#u64(at + 8), this.#u64(at + 16)];
      return { type, offset, address, length: this.#u64(at + 32) };
    });
  }

  #readDynamicTable(): void {
    const table = this.#segments.find(({ type }) => type === PT_DYNAMIC);
    if (table === undefined) throw new TypeError("Cannot read as an ELF library: nothing dynamic in it");
    for (let at = table.offset; at < table.offset + table.length; at += DYNAMIC_SIZE) {
      const [tag, value] = [this.#u64(at), this.#u64(at + 8)];
      if (tag === DT_NULL) return;
      if (tag === DT_NEEDED) this.#needed.push(value);
      else this.#dynamic.set(tag, value);
    }
  }

  #required(tag: number, name: string): number {
    const value = this.#dynamic.get(tag);
    if (value === undefined) throw new TypeError(`Cannot read as an ELF library: it has no ${name}`);
    return value;
  }

  /** Where in the file an address of the loaded library is. */
  #offsetOf(address: number): number {
    const segment = this.#segments.find((segment) =>
      segment.type === PT_LOAD && address >= segment.address && address < segment.address + segment.length
    );
    if (segment === undefined) throw new TypeError(`Cannot find the address ${address} in the ELF file`);
    return address - segment.address + segment.offset;
  }

  #string(index: number): string {
    const start = this.#strings + index;
    const end = this.#bytes.indexOf(0, start);
    if (end < 0) throw new RangeError("Cannot read a string: the file ends in it");
    return new TextDecoder().decode(this.#bytes.subarray(start, end));
  }

  #u16(at: number): number {
    return this.#view.getUint16(at, true);
  }

  #u32(at: number): number {
    return this.#view.getUint32(at, true);
  }

  #u64(at: number): number {
    return Number(this.#view.getBigUint64(at, true));
  }
}
