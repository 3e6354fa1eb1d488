/**
 * The order of the layers: a step of `deno task check`. A module imports only from its own layer and from those below,
 * never a private file of another folder, and no modules import each other in a circle. Types count as imports.
 *
 * @module
 */
import { dirname } from "@std/path/posix";
import { ROOT } from "../../ffi/build/root.ts";
import { checkIncludes } from "./c_includes.ts";
import { findCircles } from "./circles.ts";
import { type Import, type Module, readModules } from "./modules.ts";

/** The library, from the top to the bottom. */
const LAYERS = [
  "mod.ts",
  "src/testing",
  "src/doctor",
  "src/testing",
  "src/service",
  "src/exchange",
  "src/link",
  "src/broker",
  "src/layout",
  "src/sync",
  "src/memory",
  "src/xpc",
  "ffi",
] as const;

/** What lies beside the library, and what of it each may import. */
const BESIDE: Readonly<Record<string, readonly string[]>> = {
  agent: ["src/service", "src/broker", "src/xpc", "ffi"],
  "ffi/build": ["ffi"],
  examples: LAYERS,
  bench: [...LAYERS, "ffi/build"],
  tests: [...LAYERS, "agent", "ffi/build", "examples", "bench"],
};

/**
 * Checks the modules of a project.
 *
 * @param modules the modules
 * @returns what is wrong: a line each, which begins with the file and the line
 */
export function checkLayers(modules: readonly Module[]): string[] {
  const findings: string[] = [];
  for (const module of modules) {
    const area = areaOf(module.path);
    if (area === undefined) {
      findings.push(
        `${module.path}:1: Cannot tell the layer of this file: name its folder in tests/tooling/layers.ts`,
      );
    }
    for (const each of module.imports) findings.push(...checkImport(module, area, each));
    findings.push(...checkExternals(module, area), ...checkFront(module));
  }
  return [...findings, ...findCircles(modules)];
}

/** The layer, or the area beside the layers, that a file belongs to. */
function areaOf(path: string): string | undefined {
  // The deepest folder counts: ffi/build lies in ffi and is not of its layer.
  const areas = [...Object.keys(BESIDE), ...LAYERS].filter((area) =>
    path === area || path.startsWith(`${area}/`)
  );
  return areas.sort((a, b) => b.length - a.length)[0];
}

function checkImport(module: Module, area: string | undefined, { path, line }: Import): string[] {
  const findings: string[] = [];
  const other = areaOf(path);
  const cannot = `${module.path}:${line}: Cannot import ${path}`;
  if (area !== undefined && other !== undefined && area !== other && !mayImport(area, other)) {
    findings.push(`${cannot}: ${area} imports only from ${allowed(area).join(", ") || "itself"}`);
  }
  if (/(^|\/)_[^/]*$/.test(path) && dirname(path) !== dirname(module.path)) {
    findings.push(`${cannot}: it is private to ${dirname(path)}`);
  }
  return findings;
}

function allowed(area: string): readonly string[] {
  return BESIDE[area] ?? LAYERS.slice((LAYERS as readonly string[]).indexOf(area) + 1);
}

function mayImport(area: string, other: string): boolean {
  return allowed(area).includes(other);
}

/** The library has no dependencies, so that an app which imports it downloads nothing else. */
function checkExternals({ path, externals }: Module, area: string | undefined): string[] {
  if (area === undefined || !(LAYERS as readonly string[]).includes(area)) return [];
  return externals.filter(({ specifier }) => !specifier.startsWith("node:"))
    .map(({ line, specifier }) =>
      `${path}:${line}: Cannot import "${specifier}": the library has no dependencies`
    );
}

/** A `mod.ts` is the front of its folder: it declares nothing itself. */
function checkFront({ path, ownLines }: Module): string[] {
  if (path !== "mod.ts" && !path.endsWith("/mod.ts")) return [];
  return ownLines.map((line) => `${path}:${line}: Cannot declare anything here: mod.ts re-exports only`);
}

if (import.meta.main) {
  const root = Deno.args[0] ?? ROOT;
  const findings = [...checkLayers(await readModules(root)), ...await checkIncludes(root)];
  for (const finding of findings) console.error(finding);
  if (findings.length > 0) Deno.exit(1);
}
