import { assertEquals } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path/posix";
import { checkLayers } from "./layers.ts";
import { parseModule } from "./modules.ts";

/** What the check finds in modules that are given by their paths. */
function check(texts: Readonly<Record<string, string>>): string[] {
  return checkLayers(Object.entries(texts).map(([path, text]) => parseModule(path, text)));
}

const BELOW_LINK = "src/broker, src/layout, src/sync, src/memory, src/xpc, ffi";

Deno.test("checkLayers() passes imports that go downward, and those within a folder", () => {
  assertEquals(
    check({
      "mod.ts": 'export { connect } from "./src/service/client.ts";',
      "src/service/client.ts":
        'import { Link } from "../link/link.ts"; export function connect() { return Link; }',
      "src/link/link.ts":
        'import { open } from "./_open.ts"; import "../../ffi/load.ts"; export const Link = open;',
      "src/link/_open.ts": "export const open = 1;",
      "ffi/load.ts": 'import { constants } from "node:os"; export const load = constants;',
      "ffi/build/main.ts": 'import "../load.ts"; import "npm:yaml@2.9.1";',
      "agent/main.ts": 'import "../src/service/client.ts"; import "../ffi/load.ts";',
      "tests/unit/link_test.ts": 'import "../../src/link/link.ts"; import "../../ffi/build/main.ts";',
    }),
    [],
  );
});

Deno.test("checkLayers() finds an upward import, of whatever form", () => {
  const upward = "Cannot import src/exchange/region.ts: src/link imports only from " + BELOW_LINK;
  const forms = [
    'import { Region } from "../exchange/region.ts";',
    'import type { Region } from "../exchange/region.ts";',
    'import { type Region } from "../exchange/region.ts";',
    'import * as region from "../exchange/region.ts";',
    'import "../exchange/region.ts";',
    'export { Region } from "../exchange/region.ts";',
    'export * from "../exchange/region.ts";',
    'export type Made = import("../exchange/region.ts").Region;',
    'await import("../exchange/region.ts");',
    'new Worker(new URL("../exchange/region.ts", import.meta.url), { type: "module" });',
  ];
  for (const form of forms) {
    assertEquals(check({ "src/link/host.ts": `// one line before\n${form}` }), [
      `src/link/host.ts:2: ${upward}`,
    ], form);
  }
});

Deno.test("checkLayers() takes no comment and no string for an import", () => {
  const text = `/** \`\`\`ts\nimport { Region } from "../exchange/region.ts";\n\`\`\` */
    const text = 'import { Region } from "../exchange/region.ts"';`;
  assertEquals(check({ "src/link/host.ts": text }), []);
});

Deno.test("checkLayers() lets nothing of the library import what lies beside it", () => {
  const beside = [
    "agent/main.ts",
    "tests/support/app.ts",
    "bench/row.ts",
    "examples/a.ts",
    "ffi/build/zig.ts",
  ];
  for (const path of beside) {
    for (const from of ["mod.ts", "src/service/client.ts", "ffi/load.ts"]) {
      const specifier = `${"../".repeat(from.split("/").length - 1) || "./"}${path}`;
      const findings = check({ [from]: `export * from "${specifier}";` });
      assertEquals(findings.map((finding) => finding.split(": ").slice(0, 2)), [[
        `${from}:1`,
        `Cannot import ${path}`,
      ]]);
    }
  }
  assertEquals(check({ "agent/main.ts": 'import "../src/link/link.ts";' }), [
    "agent/main.ts:1: Cannot import src/link/link.ts: " +
    "agent imports only from src/service, src/broker, src/xpc, ffi",
  ]);
});

Deno.test("checkLayers() finds the import of another folder's private file", () => {
  const text = '\n\nimport { open } from "../../src/link/_open.ts";';
  assertEquals(check({ "tests/unit/link_test.ts": text }), [
    "tests/unit/link_test.ts:3: Cannot import src/link/_open.ts: it is private to src/link",
  ]);
});

Deno.test("checkLayers() finds circles, also through types, and names each import of the shortest", () => {
  assertEquals(
    check({
      "src/sync/a.ts": '\nimport type { B } from "./b.ts"; export type A = B;',
      "src/sync/b.ts": 'import { c } from "./c.ts"; export type B = typeof c;',
      "src/sync/c.ts": 'import "./a.ts"; import "./d.ts"; export const c = 1;',
      "src/sync/d.ts": 'import "./d.ts";',
    }),
    [
      "src/sync/d.ts:1: Cannot import in a circle: src/sync/d.ts:1 imports src/sync/d.ts",
      "src/sync/a.ts:2: Cannot import in a circle: src/sync/a.ts:2 imports src/sync/b.ts, " +
      "src/sync/b.ts:1 imports src/sync/c.ts, src/sync/c.ts:1 imports src/sync/a.ts",
    ],
  );
});

Deno.test("checkLayers() lets a module start as a worker what imports it", () => {
  assertEquals(
    check({
      "src/broker/broker.ts": 'new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });',
      "src/broker/worker.ts": 'import "./broker.ts";',
    }),
    [],
  );
});

Deno.test("checkLayers() refuses dependencies of the library, and a mod.ts that declares something", () => {
  assertEquals(check({ "src/xpc/mod.ts": 'export { x } from "./x.ts";\nexport const y = 1;' }), [
    "src/xpc/mod.ts:2: Cannot declare anything here: mod.ts re-exports only",
  ]);
  assertEquals(check({ "src/xpc/x.ts": 'import { delay } from "@std/async";' }), [
    'src/xpc/x.ts:1: Cannot import "@std/async": the library has no dependencies',
  ]);
});

Deno.test("checkLayers() asks for the layer of a folder that it does not know", () => {
  assertEquals(check({ "src/streams/mod.ts": "" }), [
    "src/streams/mod.ts:1: Cannot tell the layer of this file: name its folder in tests/tooling/layers.ts",
  ]);
});

/** Runs the check on a project of these files. */
async function run(texts: Readonly<Record<string, string>>): Promise<{ code: number; lines: string[] }> {
  const root = await Deno.makeTempDir({ prefix: "xpc-layers-" });
  try {
    for (const [path, text] of Object.entries(texts)) {
      await Deno.mkdir(dirname(join(root, path)), { recursive: true });
      await Deno.writeTextFile(join(root, path), text);
    }
    await new Deno.Command("git", { args: ["init", "--quiet"], cwd: root }).output();
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--quiet", fromFileUrl(new URL("layers.ts", import.meta.url)), root],
    }).output();
    return { code, lines: new TextDecoder().decode(stderr).split("\n").filter((line) => line !== "") };
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("the step of the check fails on an upward import, a circle, a private import and a wrong include", async () => {
  const right = {
    "src/link/link.ts": 'import "./_open.ts"; import "../sync/mutex.ts";',
    "src/link/_open.ts": "",
    "src/sync/mutex.ts": "",
    "ffi/native/shim/memory.c": '#include "internal.h"\n#include <xpc/xpc.h>\n',
    "ffi/native/shim/internal.h": "",
    "ffi/native/linux/internal.h": "",
    "ffi/native/linux/include/xpc/xpc.h": "",
  };
  assertEquals(await run(right), { code: 0, lines: [] });
  const wrong = {
    ...right,
    "src/sync/mutex.ts": '// upward\nimport "../link/link.ts";',
    "tests/unit/a_test.ts": 'import "../../src/link/_open.ts";',
    "ffi/native/shim/memory.c": '#include "internal.h"\n\n# include "../linux/internal.h"\n',
  };
  assertEquals(await run(wrong), {
    code: 1,
    lines: [
      "src/sync/mutex.ts:2: Cannot import src/link/link.ts: src/sync imports only from src/memory, src/xpc, ffi",
      "tests/unit/a_test.ts:1: Cannot import src/link/_open.ts: it is private to src/link",
      "src/link/link.ts:1: Cannot import in a circle: src/link/link.ts:1 imports src/sync/mutex.ts, " +
      "src/sync/mutex.ts:2 imports src/link/link.ts",
      "ffi/native/shim/memory.c:3: Cannot include ffi/native/linux/internal.h: " +
      "the shim sees only the headers in ffi/native/linux/include",
    ],
  });
});
