import type { Declarations, Declared } from "./declared.ts";
import { describe, hashOf } from "./description.ts";
import type { Field } from "./structure.ts";
import type { LayoutScalar } from "./types.ts";

/** A `bool` is a byte: to read another value than 0 and 1 as C's `bool` is undefined, and a peer may write one. */
const TYPES: Readonly<Record<LayoutScalar, string>> = {
  u8: "uint8_t",
  i8: "int8_t",
  u16: "uint16_t",
  i16: "int16_t",
  u32: "uint32_t",
  i32: "int32_t",
  u64: "uint64_t",
  i64: "int64_t",
  f32: "float",
  f64: "double",
  bool: "uint8_t",
};

/**
 * Declares layouts in C11, which C++11 takes too: a struct each, and assertions that the compiler places every field
 * where the views have it.
 *
 * @param declarations the layouts
 * @param source the file that they are from, for the comment
 * @returns the text of a header
 */
export function declareInC(declarations: Declarations, source: string): string {
  const guard = `XPC_SHMEM_LAYOUT_${source.toUpperCase().replaceAll(/[^A-Z0-9]+/g, "_")}_H`;
  const parts = declarations.all.map((declared) => structOf(declared, declarations));
  return `/* Made by @xpc/shmem/layout from ${source}: change that file in place of this one. */
#ifndef ${guard}
#define ${guard}

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus) && !defined(_Static_assert)
#define _Static_assert static_assert
#endif

${parts.join("\n")}
#endif
`;
}

function structOf({ name, structure }: Declared, declarations: Declarations): string {
  const { fields, byteLength } = structure;
  const description = describe(structure);
  const lines = fields.map((field) => `  ${declarationOf(field, declarations)}`);
  const assertions = fields.map(({ name: field, byteOffset }) =>
    `_Static_assert(offsetof(struct ${name}, ${field}) == ${byteOffset}, "${name}.${field} is not at byte ${byteOffset}");`
  );
  return `/* ${byteLength} bytes. The text and its hash are what the two sides compare. */
#define ${name}_LAYOUT "${description}"
#define ${name}_LAYOUT_HASH UINT64_C(0x${hashOf(description)})
struct ${name} {
${lines.join("\n")}
};
${assertions.join("\n")}
_Static_assert(sizeof(struct ${name}) == ${byteLength}, "${name} has not ${byteLength} bytes");
`;
}

function declarationOf({ name, type, length }: Field, { nameOf }: Declarations): string {
  const count = length === undefined ? "" : `[${length}]`;
  if (typeof type === "object") return `struct ${nameOf(type)} ${name}${count};`;
  if (type === "utf8") return `char ${name}${count}; /* UTF-8, then zeros; none if it is full */`;
  return `${TYPES[type]} ${name}${count};${type === "bool" ? " /* bool: 0 is false */" : ""}`;
}
