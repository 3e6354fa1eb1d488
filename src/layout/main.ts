/**
 * Layouts: structures in shared memory, with names. As a program, this module prints the layouts that a file exports as C
 * or as Swift, with checks that the other language places every field at the same byte.
 *
 * ```sh
 * deno run -R jsr:@xpc/shmem/layout frame.ts --c > frame.h
 * deno run -R jsr:@xpc/shmem/layout frame.ts --swift > Frame.swift
 * ```
 *
 * The file is imported, so it needs the permissions of what it does. It exits with 1 if there is nothing to print, and
 * with 64 if its arguments are not valid.
 *
 * @example A file of layouts
 * ```ts
 * import { layout } from "@xpc/shmem/layout";
 *
 * export const Point = layout({ x: "f64", y: "f64" });
 * export const Frame = layout({ width: "u32", height: "u32", origin: Point, title: ["utf8", 32] });
 * ```
 *
 * @module
 */
import { parseArgs } from "node:util";
import { nameLayouts } from "./declared.ts";
import { declareInC } from "./declare_c.ts";
import { declareInSwift } from "./declare_swift.ts";

export type { ReadOnlyView } from "../memory/read_only_view.ts";
export { describeDifference, type LayoutSides } from "./difference.ts";
export { layout } from "./layout.ts";
export type {
  FieldType,
  FieldValue,
  Layout,
  LayoutArrays,
  LayoutFields,
  LayoutScalar,
  LayoutView,
  ReadOnlyFieldValue,
  ReadOnlyLayoutView,
} from "./types.ts";

const USAGE = `Prints the layouts that a file exports as C or as Swift.

Usage: deno run -R jsr:@xpc/shmem/layout FILE --c|--swift   (in a checkout: deno task layout FILE --c|--swift)

  --c       a header for C11 and C++11: a struct for each layout, and static assertions of every offset
  --swift   a structure of accessors over raw memory for each layout
  --help`;

/** What the command line asks for. */
interface Arguments {
  readonly language: "c" | "swift" | "help";
  readonly file: string;
}

/** Thrown for a command line that is not valid. */
class UsageError extends Error {}

function parseArguments(args: string[]): Arguments {
  const options = { c: { type: "boolean" }, swift: { type: "boolean" }, help: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ options, args, allowPositionals: true });
  if (values.help === true) return { language: "help", file: "" };
  const [file, ...others] = positionals;
  if (file === undefined || others.length > 0) {
    throw new UsageError(`want one FILE, not ${positionals.length}`);
  }
  if (values.c === values.swift) throw new UsageError("want either --c or --swift");
  return { language: values.c === true ? "c" : "swift", file };
}

/** The address of a file or of a module. */
function addressOf(file: string): URL {
  if (/^[a-z][a-z0-9+.-]+:/i.test(file)) return new URL(file);
  const path = file.split("/").map(encodeURIComponent).join("/");
  return new URL(path, file.startsWith("/") ? "file:///" : `file://${encodeURI(Deno.cwd())}/`);
}

/** Imports a file and declares its layouts. */
async function declare({ language, file }: Arguments): Promise<string> {
  const address = addressOf(file);
  const exports: Readonly<Record<string, unknown>> = await import(address.href);
  const name = decodeURIComponent(address.pathname.slice(address.pathname.lastIndexOf("/") + 1));
  const stem = name.replace(/\..*$/, "").replaceAll(/[^A-Za-z0-9_]/g, "_");
  const declarations = nameLayouts(exports, stem);
  if (declarations.all.length === 0) {
    throw new Error('it exports no layout; write "export const Frame = layout({ … })"');
  }
  return language === "c" ? declareInC(declarations, name) : declareInSwift(declarations, name);
}

async function main(args: string[]): Promise<number> {
  let parsed: Arguments;
  try {
    parsed = parseArguments(args);
  } catch (error) {
    console.error(`Cannot understand the arguments: ${(error as Error).message} (see --help)`);
    return 64;
  }
  if (parsed.language === "help") {
    console.log(USAGE);
    return 0;
  }
  try {
    const text = new TextEncoder().encode(await declare(parsed));
    for (let at = 0; at < text.length;) at += await Deno.stdout.write(text.subarray(at));
    return 0;
  } catch (error) {
    const advice = error instanceof Deno.errors.NotCapable ? " (run it with -R, or with -A)" : "";
    console.error(
      `Cannot print the layouts of ${parsed.file}: ${(error as Error).message ?? error}${advice}`,
    );
    return 1;
  }
}

// Not awaited here: the file may import this very module, which would then wait for itself.
if (import.meta.main) void main(Deno.args).then((status) => Deno.exit(status));
