import { MAX_DESCRIPTION_LENGTH } from "./description.ts";
import { reasonAgainst } from "./names.ts";
import {
  alignmentOf,
  type Field,
  isScalar,
  MAX_DEPTH,
  MAX_LAYOUT_BYTES,
  type Structure,
} from "./structure.ts";

/**
 * Reads the description of a layout, which may come from a peer: of a bounded length and depth, and nothing but what
 * `describe()` can write, except that the offsets need not be those that this side would choose.
 *
 * @param text the description
 * @returns the structure
 * @throws {SyntaxError} if it is not a description; the message says where and why
 */
export function parseDescription(text: unknown): Structure {
  if (typeof text !== "string") throw new SyntaxError("Cannot read the layout: it is not a text");
  if (text.length > MAX_DESCRIPTION_LENGTH) {
    throw new SyntaxError(
      `Cannot read the layout: it has ${text.length} characters, but at most ${MAX_DESCRIPTION_LENGTH} may be`,
    );
  }
  const reader = new Reader(text);
  const structure = reader.structure(1);
  reader.end();
  return structure;
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  structure(level: number): Structure {
    if (level > MAX_DEPTH) this.#fail(`layouts are nested more than ${MAX_DEPTH} deep`);
    this.#take("{");
    const fields: Field[] = [];
    const names = new Set<string>();
    do {
      const field = this.#field(level);
      if (names.has(field.name)) this.#fail(`there are two fields "${field.name}"`);
      names.add(field.name);
      fields.push(field);
    } while (this.#takes(","));
    this.#take("}");
    const byteLength = this.#integer();
    const nested = fields.flatMap(({ type }) => typeof type === "object" ? [type.depth] : []);
    return {
      fields,
      byteLength,
      alignment: Math.max(...fields.map(({ type }) => alignmentOf(type))),
      depth: 1 + Math.max(0, ...nested),
    };
  }

  end(): void {
    if (this.#at < this.#text.length) this.#fail("something follows it");
  }

  #field(level: number): Field {
    const name = this.#word();
    if (reasonAgainst(name) !== undefined) this.#fail("a name of a field is not valid");
    this.#take(":");
    const type = this.#text[this.#at] === "{" ? this.structure(level + 1) : this.#word();
    if (typeof type === "string" && type !== "utf8" && !isScalar(type)) this.#fail("a type is not known");
    const length = this.#takes("[") ? this.#integer() : undefined;
    if (length !== undefined) this.#take("]");
    if (length === 0 || type === "utf8" && length === undefined) this.#fail("an array has no length");
    this.#take("@");
    return { name, byteOffset: this.#integer(), type, length };
  }

  #word(): string {
    return this.#match(/[A-Za-z0-9_]{1,64}/y) ?? this.#fail("a word is missing");
  }

  #integer(): number {
    const digits = this.#match(/(?:0|[1-9][0-9]{0,13})(?![0-9])/y) ?? this.#fail("a number is missing");
    const value = Number(digits);
    return value <= MAX_LAYOUT_BYTES ? value : this.#fail("a number is too large");
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  #takes(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #take(character: string): void {
    if (!this.#takes(character)) this.#fail(`"${character}" is missing`);
  }

  #fail(reason: string): never {
    throw new SyntaxError(`Cannot read the layout: at character ${this.#at}, ${reason}`);
  }
}
