import { isLayout, structureOf } from "./layout.ts";
import { reasonAgainstInC } from "./names.ts";
import type { Field, Structure } from "./structure.ts";

/** A structure that is declared in another language, under a name. */
export interface Declared {
  readonly name: string;
  readonly structure: Structure;
}

/** All structures that a declaration has, those that others contain first. */
export interface Declarations {
  readonly all: readonly Declared[];
  /** The name of the structure of a field. */
  nameOf(structure: Structure): string;
}

/**
 * Names the layouts among the exports of a module, and those nested in them: an exported one as the export, another by
 * the first field that it is in, as in `Frame_origin`.
 *
 * @param exports the exports, by name; what is not a layout is left out
 * @param defaultName the name of a default export
 * @throws {TypeError} if a name cannot be declared in C
 */
export function nameLayouts(exports: Readonly<Record<string, unknown>>, defaultName: string): Declarations {
  const names = new Map<Structure, string>();
  const roots: Declared[] = [];
  for (const [exported, value] of Object.entries(exports)) {
    if (!isLayout(value)) continue;
    const name = exported === "default" ? defaultName : exported;
    const reason = reasonAgainstInC(name);
    if (reason !== undefined) {
      throw new TypeError(
        `Cannot declare the layout ${JSON.stringify(name)}: its name ${reason}; export it by another`,
      );
    }
    const structure = structureOf(value);
    if (names.has(structure)) continue; // exported twice: the first name counts
    names.set(structure, name);
    roots.push({ name, structure });
  }
  const taken = new Set(names.values());
  const all: Declared[] = [];
  const add = ({ name, structure }: Declared): void => {
    if (all.some((other) => other.structure === structure)) return;
    for (const field of structure.fields) {
      const nested = nestedIn(field);
      if (nested === undefined) continue;
      let nestedName = names.get(nested) ?? `${name}_${field.name}`;
      while (!names.has(nested) && taken.has(nestedName)) nestedName += "_";
      names.set(nested, nestedName);
      taken.add(nestedName);
      add({ name: nestedName, structure: nested });
    }
    all.push({ name, structure });
  };
  roots.forEach(add);
  return { all, nameOf: (structure) => names.get(structure) ?? "" };
}

function nestedIn({ type }: Field): Structure | undefined {
  return typeof type === "object" ? type : undefined;
}
