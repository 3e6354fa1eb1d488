import { assertEquals } from "@std/assert";
import { parseModule } from "./modules.ts";
import { findUnused } from "./unused.ts";

/** What is unused in modules that are given by their paths; `mod.ts` is the entry point. */
function find(texts: Readonly<Record<string, string>>): string[] {
  return findUnused(Object.entries(texts).map(([path, text]) => parseModule(path, text)), ["mod.ts"]);
}

const who = (name: string): string => `Cannot find who imports ${name}: delete it, or do not export it`;

Deno.test("findUnused() passes what is imported, re-exported to an entry point, or taken as a whole", () => {
  assertEquals(
    find({
      "mod.ts": 'export { a } from "./src/a.ts"; export * from "./src/b.ts"; export const own = 1;',
      "src/a.ts": 'import { c as d } from "./c.ts"; export function a() { return d; }',
      "src/b.ts": 'export { inner as outer } from "./e.ts"; export class B {}',
      "src/c.ts": "export const c = 1;",
      "src/e.ts": 'export const inner = 1; import * as all from "./f.ts"; await import("./g.ts");',
      "src/f.ts": 'export const f = 1; new Worker(new URL("./h.ts", import.meta.url), { type: "module" });',
      "src/g.ts": "export enum G {}",
      "src/h.ts": "export let h = 1;",
    }),
    [],
  );
});

Deno.test("findUnused() finds what nobody imports, and what is re-exported to nobody", () => {
  assertEquals(
    find({
      "mod.ts": 'export { a } from "./src/a.ts";',
      "src/a.ts":
        "\nexport const a = 1;\nexport const b = a,\n  c = 2;\nexport class D {}\nfunction e() {}\nexport { e };",
      "src/front.ts": 'export { f } from "./f.ts";\nexport * from "./g.ts";',
      "src/f.ts": "export function f() {}",
      "src/g.ts": "export function g() {}",
    }),
    [
      `src/a.ts:3: ${who("b")}`,
      `src/a.ts:4: ${who("c")}`,
      `src/a.ts:5: ${who("D")}`,
      `src/a.ts:7: ${who("e")}`,
      `src/f.ts:1: ${who("f")}`,
      `src/g.ts:1: ${who("g")}`,
    ],
  );
});

Deno.test("findUnused() takes a name that another module has as a string for one that is looked up", () => {
  const lookUp = 'const module = await import(new URL(`${root}/src/a.ts`).href); console.log(module["a"]);';
  assertEquals(find({ "src/a.ts": "export const a = 1;", "src/b.ts": lookUp }), []);
});

Deno.test("findUnused() lets a module export the types that its exports mention", () => {
  const text =
    "export interface Options {}\nexport type Lost = number;\nexport function run(options: Options) {}";
  assertEquals(find({ "mod.ts": 'export { run } from "./src/a.ts";', "src/a.ts": text }), [
    `src/a.ts:2: ${who("Lost")}`,
  ]);
});

Deno.test("findUnused() finds functions of a table for dlopen that only tests call", () => {
  const table = `export const shim = {
    shim_used: { parameters: [], result: "void" },
    shim_tested: { parameters: [], result: "void" },
  } as const satisfies Deno.ForeignLibraryInterface;`;
  assertEquals(
    find({
      "mod.ts": 'import { shim } from "./ffi/shim.ts"; Deno.dlopen("", shim).symbols.shim_used();',
      "ffi/shim.ts": table,
      "tests/shim_test.ts":
        'import { shim } from "../ffi/shim.ts"; Deno.dlopen("", shim).symbols.shim_tested();',
    }),
    ["ffi/shim.ts:3: Cannot find who calls shim_tested: delete it"],
  );
});
