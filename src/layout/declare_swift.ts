import type { Declarations, Declared } from "./declared.ts";
import { describe, hashOf } from "./description.ts";
import { alignmentOf, elementBytes, type Field, type Structure } from "./structure.ts";
import type { LayoutScalar } from "./types.ts";

const TYPES: Readonly<Record<LayoutScalar, string>> = {
  u8: "UInt8",
  i8: "Int8",
  u16: "UInt16",
  i16: "Int16",
  u32: "UInt32",
  i32: "Int32",
  u64: "UInt64",
  i64: "Int64",
  f32: "Float",
  f64: "Double",
  bool: "UInt8",
};

/** Names of fields that are keywords of Swift, and so stand in backticks there. */
const KEYWORDS = new Set(
  `Any actor any as associatedtype async await borrowing consuming convenience deinit didSet dynamic each extension
  fallthrough fileprivate final func get guard import in indirect infix init inout internal is isolated lazy left let
  macro mutating nil none nonisolated nonmutating open operator optional override package postfix precedence
  precedencegroup prefix protocol repeat required rethrows right sending set some subscript super throws unowned
  var weak where willSet Protocol Type`.split(/\s+/),
);

/** What can be done with the memory that a Swift structure shows. */
interface Flavour {
  /** Stands before the name of the structure. */
  readonly prefix: string;
  /** Stands in the names of Swift's pointers. */
  readonly mutable: string;
}

const FLAVOURS: readonly Flavour[] = [
  { prefix: "", mutable: "Mutable" },
  { prefix: "ReadOnly", mutable: "" },
];

/**
 * Declares layouts in Swift. Swift promises nothing about where the members of a `struct` lie, so each layout is a
 * structure of accessors over raw memory: one that writes, and one that only reads.
 *
 * @param declarations the layouts
 * @param source the file that they are from, for the comment
 * @returns the text of a source file
 * @throws {TypeError} if a layout has a name that Swift has a use for
 */
export function declareInSwift(declarations: Declarations, source: string): string {
  checkNames(declarations.all);
  const parts = FLAVOURS.flatMap((flavour) =>
    declarations.all.map((declared) => structOf(declared, declarations, flavour))
  );
  return `// Made by @xpc/shmem/layout from ${source}: change that file in place of this one.
// swift-format-ignore-file

${parts.join("\n")}`;
}

function checkNames(all: readonly Declared[]): void {
  const taken = new Set([
    ...Object.values(TYPES),
    ...KEYWORDS,
    ...["Array", "Bool", "Int", "MemoryLayout", "Self", "String", "Swift", "UTF8"],
    ...FLAVOURS.flatMap(({ mutable }) =>
      ["RawBufferPointer", "BufferPointer"].map((name) => `Unsafe${mutable}${name}`)
    ),
  ]);
  for (const { prefix } of FLAVOURS) {
    for (const { name } of all) {
      const declared = `${prefix}${name}`;
      if (taken.has(declared)) {
        throw new TypeError(
          `Cannot declare the layout "${name}" in Swift: "${declared}" is taken; export it by another name`,
        );
      }
      taken.add(declared);
    }
  }
}

function structOf(
  { name, structure }: Declared,
  declarations: Declarations,
  flavour: Flavour,
): string {
  const { fields, byteLength, alignment } = structure;
  const description = describe(structure);
  const pointer = `Unsafe${flavour.mutable}RawBufferPointer`;
  return `/// ${byteLength} bytes of memory, ${
    flavour.mutable === "" ? "which are only read" : "which are read and written"
  }.
public struct ${flavour.prefix}${name} {
  public static let byteLength = ${byteLength}
  public static let alignment = ${alignment}
  /// What the two sides compare.
  public static let layout = "${description}"
  public static let layoutHash: UInt64 = 0x${hashOf(description)}

  private let __memory: ${pointer}

  /// Shows the first bytes of the memory. There must be enough of them, and they must be aligned.
  public init(_ memory: ${pointer}) {
    precondition(memory.count >= Self.byteLength, "${name}: the memory is too short")
    precondition(Int(bitPattern: memory.baseAddress) % Self.alignment == 0, "${name}: the memory is not aligned")
${checksOf(structure).join("\n")}
    __memory = ${pointer}(rebasing: memory[..<Self.byteLength])
  }
${fields.map((field) => accessorOf(field, declarations, flavour)).join("")}}
`;
}

/** Checks that Swift's types have the lengths and alignments that the offsets assume; the compiler knows the answer. */
function checksOf({ fields }: Structure): string[] {
  const types = new Set(
    fields.flatMap(({ type }) => typeof type === "object" || type === "utf8" ? [] : [type]),
  );
  return [...types].map((type) => {
    const memory = `MemoryLayout<${TYPES[type]}>`;
    const [bytes, alignment] = [elementBytes(type), alignmentOf(type)];
    return `    precondition(${memory}.stride == ${bytes} && ${memory}.alignment <= ${alignment})`;
  });
}

function accessorOf(field: Field, { nameOf }: Declarations, flavour: Flavour): string {
  const { type, length, byteOffset } = field;
  const name = KEYWORDS.has(field.name) ? `\`${field.name}\`` : field.name;
  const end = byteOffset + elementBytes(type) * (length ?? 1);
  if (type === "utf8") return textOf(name, field, flavour);
  if (typeof type === "object") {
    const nested = `${flavour.prefix}${nameOf(type)}`;
    if (length === undefined) return computed(name, nested, `${nested}(${part(byteOffset, end, flavour)})`);
    return computed(name, `[${nested}]`, "", [
      `(0..<${length}).map {`,
      `  let start = ${byteOffset} + $0 * ${type.byteLength}`,
      `  return ${nested}(${part("start", `start + ${type.byteLength}`, flavour)})`,
      "}",
    ]);
  }
  const swift = TYPES[type];
  if (length !== undefined) {
    const buffer = `Unsafe${flavour.mutable}BufferPointer<${swift}>`;
    return computed(name, buffer, `${part(byteOffset, end, flavour)}.bindMemory(to: ${swift}.self)`);
  }
  const load = `__memory.load(fromByteOffset: ${byteOffset}, as: ${swift}.self)`;
  const store = (value: string): string =>
    `__memory.storeBytes(of: ${value}, toByteOffset: ${byteOffset}, as: ${swift}.self)`;
  if (type === "bool") return accessors(name, "Bool", [`${load} != 0`], [store("newValue ? 1 : 0")], flavour);
  return accessors(name, swift, [load], [store("newValue")], flavour);
}

function textOf(name: string, { byteOffset, length = 0 }: Field, flavour: Flavour): string {
  const bytes = `__memory[${byteOffset}..<${byteOffset + length}]`;
  return accessors(name, "String", [
    "// A copy: a peer may write while the text is decoded.",
    `String(decoding: Array(${bytes}).prefix { $0 != 0 }, as: UTF8.self)`,
  ], [
    "let bytes = Array(newValue.utf8)",
    `precondition(bytes.count <= ${length}, "the text is longer than ${length} bytes")`,
    `for index in 0..<${length} {`,
    `  __memory[${byteOffset} + index] = index < bytes.count ? bytes[index] : 0`,
    "}",
  ], flavour);
}

/** A part of the memory, as a pointer of its own. */
function part(from: number | string, to: number | string, { mutable }: Flavour): string {
  return `Unsafe${mutable}RawBufferPointer(rebasing: __memory[${from}..<${to}])`;
}

function computed(name: string, type: string, expression: string, lines = [expression]): string {
  return `
  public var ${name}: ${type} {
${lines.map((line) => `    ${line}`).join("\n")}
  }
`;
}

function accessors(
  name: string,
  type: string,
  get: readonly string[],
  set: readonly string[],
  { mutable }: Flavour,
): string {
  if (mutable === "") return computed(name, type, "", [...get]);
  return `
  public var ${name}: ${type} {
    get {
${get.map((line) => `      ${line}`).join("\n")}
    }
    nonmutating set {
${set.map((line) => `      ${line}`).join("\n")}
    }
  }
`;
}
