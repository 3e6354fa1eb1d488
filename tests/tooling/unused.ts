/**
 * What nobody uses: a step of `deno task check`. Exports that no other module imports, and entries of the tables for
 * `Deno.dlopen` that nobody calls. The entry points of the package count as used.
 *
 * @module
 */
import { ROOT } from "../../ffi/build/root.ts";
import { type Export, type Module, readModules } from "./modules.ts";

/**
 * Finds what nobody uses.
 *
 * @param modules the modules of a project
 * @param entries the paths of its entry points, whose exports are for others
 * @returns a line for each, which begins with the file and the line
 */
export function findUnused(modules: readonly Module[], entries: readonly string[]): string[] {
  const uses = new Uses(modules);
  for (const path of entries) uses.add(path, "all");
  for (const { path, exports } of modules) {
    for (const { name } of exports) if (isLookedUp(path, name, modules)) uses.add(path, name);
  }
  return modules.flatMap((module) => [
    ...module.exports.filter((each) => !uses.has(module.path, each.name) && !isPartOfModule(module, each))
      .map(({ line, name }) =>
        `${module.path}:${line}: Cannot find who imports ${name}: delete it, or do not export it`
      ),
    ...(module.path.startsWith("tests/") ? [] : module.tableEntries)
      .filter(({ name }) => !isCalled(module, name, modules))
      .map(({ line, name }) => `${module.path}:${line}: Cannot find who calls ${name}: delete it`),
  ]);
}

/** Whether another module has the name as a string: it may import a module under a computed URL and take that from it. */
function isLookedUp(path: string, name: string, modules: readonly Module[]): boolean {
  return modules.some((other) => other.path !== path && other.strings.has(name));
}

/** A type may be exported only because another export of its module mentions it, as an options type does. */
function isPartOfModule({ mentions }: Module, { name, isType }: Export): boolean {
  return isType && (mentions.get(name) ?? 0) > 1;
}

/** Whether code mentions an entry of a table, beside the entry itself. Tests do not count: they are no reason to keep it. */
function isCalled(table: Module, name: string, modules: readonly Module[]): boolean {
  if ((table.mentions.get(name) ?? 0) > 1) return true;
  return modules.some((other) =>
    other !== table && !other.path.startsWith("tests/") && other.mentions.has(name)
  );
}

/** The exports that somebody uses, followed through re-exports to where they are declared. */
class Uses {
  readonly #modules: ReadonlyMap<string, Module>;
  readonly #used = new Set<string>();

  constructor(modules: readonly Module[]) {
    this.#modules = new Map(modules.map((module) => [module.path, module]));
    for (const { imports, reExports } of modules) {
      for (const { path, names, loads } of imports) {
        const isReExport = reExports.some((each) => each.path === path && each.name === "all");
        // Who takes a module by its URL may do anything with it.
        if (names === "all" ? !isReExport : !loads) this.add(path, "all");
        else if (names !== "all") { for (const name of names) this.add(path, name); }
      }
    }
  }

  add(path: string, name: string): void {
    const key = `${path} ${name}`;
    if (this.#used.has(key)) return;
    this.#used.add(key);
    for (const each of this.#modules.get(path)?.reExports ?? []) {
      if (each.name === "all") this.add(each.path, name);
      else if (name === "all" || each.as === name) this.add(each.path, each.name);
    }
  }

  has(path: string, name: string): boolean {
    return this.#used.has(`${path} ${name}`) || this.#used.has(`${path} all`);
  }
}

if (import.meta.main) {
  const root = Deno.args[0] ?? ROOT;
  const { exports } = JSON.parse(await Deno.readTextFile(`${root}/deno.json`)) as {
    exports: Record<string, string>;
  };
  const findings = findUnused(
    await readModules(root),
    Object.values(exports).map((path) => path.replace("./", "")),
  );
  for (const finding of findings) console.error(finding);
  if (findings.length > 0) Deno.exit(1);
}
