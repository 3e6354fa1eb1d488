import { type Access, type MemoryClass, StructureMemory } from "./_accessors.ts";
import type { Field, Structure } from "./structure.ts";

const classes: Readonly<Record<Access, WeakMap<Structure, MemoryClass>>> = {
  read: new WeakMap(),
  write: new WeakMap(),
};

/**
 * The class of the views of a structure, which has an accessor on its prototype for each field. One that only reads has no
 * setters, so that an assignment through a cast is an error, where the kernel would end the process.
 */
export function classOf(structure: Structure, access: Access): MemoryClass {
  let known = classes[access].get(structure);
  if (known === undefined) classes[access].set(structure, known = makeClass(structure, access));
  return known;
}

function makeClass(structure: Structure, access: Access): MemoryClass {
  const { fields } = structure;
  const parts = fields.filter(isPart);
  class LayoutView extends StructureMemory {
    constructor(data: DataView<ArrayBuffer>, base: number) {
      super(data, base, parts.length);
    }

    /** Shows the fields, which are accessors, to `console.log`. */
    [Symbol.for("Deno.customInspect")](inspect: typeof Deno.inspect, options: Deno.InspectOptions): string {
      return inspect(StructureMemory.plain(this, fields), options);
    }
  }
  for (const field of fields) {
    const set = access === "write" ? setterOf(field) : undefined;
    Object.defineProperty(LayoutView.prototype, field.name, {
      get: getterOf(field, parts.indexOf(field), access),
      ...(set && { set }),
      enumerable: true,
      configurable: false,
    });
  }
  return LayoutView;
}

function getterOf(field: Field, index: number, access: Access): () => unknown {
  const { type, byteOffset, length } = field;
  if (typeof type === "object") return StructureMemory.structureGetter(field, classOf(type, access), index);
  if (type === "utf8") return StructureMemory.textGetter(byteOffset, length ?? 0);
  if (length === undefined) return StructureMemory.scalarGetter(type, byteOffset);
  return StructureMemory.arrayGetter(type, byteOffset, length, index);
}

/** What writes a field; `undefined` for arrays and nested structures, whose elements are written. */
function setterOf({ name, type, byteOffset, length }: Field): ((value: unknown) => void) | undefined {
  if (typeof type === "object" || type !== "utf8" && length !== undefined) return undefined;
  if (type === "utf8") return StructureMemory.textSetter(name, byteOffset, length ?? 0);
  return StructureMemory.scalarSetter(name, type, byteOffset);
}

/** Whether a field is an object of its own in a view: an array or a nested structure. */
function isPart({ type, length }: Field): boolean {
  return typeof type === "object" || type !== "utf8" && length !== undefined;
}
