/**
 * How C types look to a caller of machine code: width, signedness, pointer or not.
 *
 * @module
 */

/** A place in a source text. */
interface Place {
  offset?: number;
  tokLen?: number;
  expansionLoc?: Place;
}

/** A type as the compiler prints it. */
export interface AstType {
  /** As written, with typedefs. */
  qualType: string;
}

/** A node of the compiler's syntax tree, as far as it is used. */
export interface AstNode {
  id?: string;
  kind: string;
  name?: string;
  type?: AstType;
  storageClass?: string;
  variadic?: boolean;
  isImplicit?: boolean;
  fixedUnderlyingType?: AstType;
  ownedTagDecl?: { id: string };
  value?: string;
  loc?: Place;
  range?: { begin?: Place; end?: Place };
  inner?: AstNode[];
}

/** The 64-bit data model of macOS and Linux. Plain char is signed on all Macs and on x86-64 Linux. */
const BUILT_IN: Readonly<Record<string, string>> = {
  "void": "void",
  "_Bool": "bool",
  "bool": "bool",
  "char": "i8",
  "signed char": "i8",
  "unsigned char": "u8",
  "short": "i16",
  "unsigned short": "u16",
  "int": "i32",
  "unsigned int": "u32",
  "long": "i64",
  "unsigned long": "u64",
  "long long": "i64",
  "unsigned long long": "u64",
  "float": "f32",
  "double": "f64",
};

const QUALIFIERS =
  /\b(?:const|volatile|restrict|__restrict|_Nonnull|_Nullable|_Nullable_result|_Null_unspecified)\b/g;

/** The types of one syntax tree. */
export class Shapes {
  #typedefs = new Map<string, AstNode>();
  #enums = new Map<string, AstNode>();
  #transparent = new Map<string, AstNode>();

  /** @param unit the root of the tree */
  constructor(unit: AstNode) {
    for (const node of unit.inner ?? []) {
      if (node.kind === "TypedefDecl" && node.name !== undefined) this.#typedefs.set(node.name, node);
      if (node.kind === "RecordDecl" && node.inner?.some(isTransparent)) {
        if (node.id !== undefined) this.#transparent.set(node.id, node);
      }
      if (node.kind !== "EnumDecl") continue;
      if (node.name !== undefined) this.#enums.set(node.name, node);
      if (node.id !== undefined) this.#enums.set(node.id, node);
    }
  }

  /**
   * The shape of a type: "void", "bool", "i8" to "u64", "f32", "f64", "pointer", or, for what no table can
   * hold, the type itself.
   */
  of(type: AstType | undefined): string {
    return this.#shape(type?.qualType ?? "", 0);
  }

  /** The shape of what a function of this type returns. */
  ofResult(type: AstType | undefined): string {
    const text = type?.qualType ?? "";
    const open = text.indexOf("(");
    // "void (*(int))(void)" returns a pointer to a function, "void (^(int))(void)" a block.
    if (text[open + 1] === "*" || text[open + 1] === "^") return "pointer";
    return this.#shape(text.slice(0, open), 0);
  }

  #shape(text: string, depth: number): string {
    const name = text.replaceAll(/__attribute__\(\(.*\)\)/g, "").replaceAll(QUALIFIERS, "").trim()
      .replaceAll(/\s+/g, " ");
    if (/[*^[]/.test(name)) return "pointer";
    const builtIn = BUILT_IN[name];
    if (builtIn !== undefined) return builtIn;
    if (name.startsWith("enum ")) return this.#enumeration(this.#enums.get(name.slice(5)), depth) ?? name;
    const typedef = this.#typedefs.get(name);
    if (typedef?.type === undefined || depth > 30) return name;
    const tag = findTag(typedef) ?? "";
    // A transparent union is passed as its first member would be: dispatch_object_t is a pointer.
    const member = this.#transparent.get(tag)?.inner?.find((child) => child.kind === "FieldDecl");
    if (member !== undefined) return this.#shape(member.type?.qualType ?? "", depth + 1);
    return this.#enumeration(this.#enums.get(tag), depth) ??
      this.#shape(typedef.type.qualType, depth + 1);
  }

  #enumeration(node: AstNode | undefined, depth: number): string | undefined {
    if (node === undefined) return undefined;
    if (node.fixedUnderlyingType !== undefined) {
      return this.#shape(node.fixedUnderlyingType.qualType, depth + 1);
    }
    const values = JSON.stringify((node.inner ?? []).map((constant) => constant.inner?.[0]?.value));
    return values.includes('"-') ? "i32" : "u32";
  }
}

function isTransparent(node: AstNode): boolean {
  return node.kind === "TransparentUnionAttr";
}

/** The id of the enum or struct that a typedef defines in passing. */
function findTag(node: AstNode): string | undefined {
  for (const child of node.inner ?? []) {
    const id = child.ownedTagDecl?.id ?? findTag(child);
    if (id !== undefined) return id;
  }
  return undefined;
}
