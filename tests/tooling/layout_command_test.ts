/** `deno task layout`: what it prints, and that C, C++ and Swift agree with it about every byte. */
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { ROOT } from "../../ffi/build/root.ts";
import { fetchZig, runZig } from "../../ffi/build/zig.ts";
import { layout, type LayoutView } from "../../mod.ts";
import { declareInC } from "../../src/layout/declare_c.ts";
import { declareInSwift } from "../../src/layout/declare_swift.ts";
import { nameLayouts } from "../../src/layout/declared.ts";
import { viewLayout } from "../../src/layout/view.ts";
import { Sample, Size } from "../support/layout/shapes.ts";
import { findSwift, output } from "../support/swift.ts";

const SHAPES = "tests/support/layout/shapes.ts";
const FLAGS = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/** Runs the command as its users do. */
async function command(
  args: string[],
  flags = ["-R"],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", ...flags, "src/layout/main.ts", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A folder with the declarations in both languages and the programs that use them. */
async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-layouts-" });
  try {
    for (const [flag, file] of [["--c", "shapes.h"], ["--swift", "Shapes.swift"]] as const) {
      const { code, stdout, stderr } = await command([SHAPES, flag]);
      assertEquals([code, stderr], [0, ""]);
      await Deno.writeTextFile(`${folder}/${file}`, stdout);
    }
    for (const file of ["sample.c", "main.swift"]) {
      await Deno.copyFile(`${ROOT}/tests/support/layout/${file}`, `${folder}/${file}`);
    }
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Compiles C with the project's compiler. */
async function compile(folder: string, args: string[]): Promise<void> {
  const zig = await fetchZig({ cache: `${ROOT}/.build/zig-cache` });
  await runZig(zig, ["cc", "-std=c11", ...FLAGS, ...args], "compile a layout", folder);
}

function sampleIn(memory: Uint8Array<ArrayBuffer>): LayoutView<typeof Sample> {
  return viewLayout(Sample, memory, {
    what: "the sample",
    byteOffset: 0,
    length: undefined,
    access: "write",
  });
}

/** What `sample.c` and `main.swift` write. */
function checkSample(bytes: Uint8Array): void {
  const s = sampleIn(Uint8Array.from(bytes));
  assertEquals(bytes.length, Sample.byteLength);
  assertEquals([s.flag, s.u8, s.i8, s.u16, s.i16, s.u32, s.i32], [true, 200, -100, 60000, -30000, 4e9, -2e9]);
  assertEquals([s.u64, s.i64], [18000000000000000000n, -9000000000000000000n]);
  assertEquals([s.f32, s.f64, s.title, [...s.flags]], [0.5, 0.1, "héllo", [0, 0, 1]]);
  assertEquals([[...s.camera], [...s.ids], s.in], [[0, 0, 0, 0, 1.25], [0n, 7n], -2]);
  assertEquals([s.odd.a, s.odd.b, s.odds[2]?.a, s.odds[2]?.b], [0, 9, 10, 11]);
  assertEquals([s.origin.x, s.origin.y, s.corners[1]?.x, s.size.h, s.last], [0, -0.25, 1e300, 480, 255]);
}

/** A sample that Deno writes: other values than those of the programs. */
function ownSample(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(Sample.byteLength);
  const s = sampleIn(bytes);
  Object.assign(s, {
    flag: true,
    u8: 1,
    i8: -2,
    u16: 3,
    i16: -4,
    u32: 5,
    i32: -6,
    u64: 7n,
    i64: -8n,
    f32: 9.5,
  });
  Object.assign(s, { f64: 10.25, title: "ééééééx", in: -17, last: 24 }); // a text that fills its place
  s.flags[2] = 1;
  s.camera[4] = 14.5;
  s.ids[1] = 15n;
  s.odd.b = 18;
  s.odds[2]!.a = 19;
  s.odds[2]!.b = 20;
  s.origin.y = 21.5;
  s.corners[1]!.x = 22.5;
  s.size.h = 23;
  return bytes;
}

const OWN = "1 -2 3 -4 5 -6 7 -8 9.5 10.25 ééééééx 1 14.5 15 -17 18 19 20 21.5 22.5 23 24\n";

Deno.test("layout --c: the header compiles, and C and Deno read what the other wrote", async () => {
  await withFolder(async (folder) => {
    await compile(folder, ["sample.c", "-o", "sample"]);
    checkSample(await output(["./sample", "write"], folder));
    const read = await output(["./sample", "read"], folder, ownSample());
    assertEquals(new TextDecoder().decode(read), `1 ${OWN}`);
  });
});

Deno.test("layout --c: the header compiles for all systems, and as C++", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/empty.c`, '#include "shapes.h"\n#include "shapes.h"\n');
    for (const target of ["x86_64-linux-gnu", "aarch64-linux-gnu", "x86_64-macos", "aarch64-macos"]) {
      await compile(folder, ["-target", target, "-c", "empty.c", "-o", "empty.o"]);
      await compile(folder, ["-target", target, "-x", "c++", "-std=c++11", "-c", "empty.c", "-o", "empty.o"]);
    }
  });
});

for (const compiler of ["clang", "gcc", "g++"]) {
  const isThere = await output([compiler, "--version"], ROOT).then(() => true, () => false);
  Deno.test({
    name: `layout --c: ${compiler} takes the header` + (isThere ? "" : ` (skipped: there is no ${compiler})`),
    ignore: !isThere,
    fn: () =>
      withFolder(async (folder) => {
        const source = compiler === "g++" ? "empty.cc" : "empty.c";
        await Deno.writeTextFile(`${folder}/${source}`, '#include "shapes.h"\n');
        await output([compiler, ...FLAGS, "-c", source, "-o", "empty.o"], folder);
      }),
  });
}

Deno.test("layout --c: a header whose offset is wrong does not compile", async () => {
  await withFolder(async (folder) => {
    const header = await Deno.readTextFile(`${folder}/shapes.h`);
    const wrong = header.replace("  uint8_t u8;\n", "").replace(/^_Static_assert.*Sample, u8\).*\n/m, "");
    assert(wrong.length < header.length - 80);
    await Deno.writeTextFile(`${folder}/shapes.h`, wrong);
    await Deno.writeTextFile(`${folder}/empty.c`, '#include "shapes.h"\n');
    const error = await assertRejects(() => compile(folder, ["-c", "empty.c", "-o", "empty.o"]), Error);
    assertStringIncludes(error.message, "Sample.i8 is not at byte 2");
  });
});

const swift = await findSwift();

Deno.test({
  name: "layout --swift: the source compiles, and Swift and Deno read what the other wrote" +
    (swift === undefined ? " (skipped: there is no Swift)" : ""),
  ignore: swift === undefined,
  fn: () =>
    withFolder(async (folder) => {
      const build =
        "swiftc -swift-version 6 -warnings-as-errors -module-cache-path cache -o sample main.swift Shapes.swift";
      await swift!.run(folder, build);
      checkSample(await swift!.run(folder, "./sample write"));
      const read = await swift!.run(folder, "./sample read", ownSample());
      assertEquals(new TextDecoder().decode(read), `true ${OWN}`);
    }),
});

Deno.test("layout names what is nested, and declares it first and once", () => {
  const Point = layout({ x: "f32" });
  const text = declareInC(
    nameLayouts({ Frame: layout({ a: Point, b: [Point, 2], c: Size }), Size, Same: Size, other: 5 }, "file"),
    "file.ts",
  );
  assertEquals([...text.matchAll(/^struct (\w+) \{$/gm)].map(([, name]) => name), [
    "Frame_a",
    "Size",
    "Frame",
  ]);
  assertStringIncludes(text, "  struct Frame_a b[2];\n  struct Size c;\n");
  const both = nameLayouts(
    { Frame: layout({ a: Point }), Frame_a: Size, default: layout({ b: Point }) },
    "file",
  );
  assertEquals(both.all.map(({ name }) => name), ["Frame_a_", "Frame", "Frame_a", "file"]);
});

Deno.test("layout refuses names that the other language has a use for", () => {
  const Point = layout({ x: "f32" });
  for (const name of ["auto", "class", "größe", "_Frame"]) {
    let message = "";
    try {
      nameLayouts({ [name]: Point }, "file");
    } catch (error) {
      message = (error as Error).message;
    }
    assertMatch(message, /^Cannot declare the layout ".*": its name .*; export it by another$/);
  }
  for (
    const exports of [{ Float: Point }, { String: Point }, { Frame: Point, ReadOnlyFrame: Size }, {
      Type: Point,
    }]
  ) {
    let message = "";
    try {
      declareInSwift(nameLayouts(exports, "file"), "file.ts");
    } catch (error) {
      message = (error as Error).message;
    }
    assertMatch(
      message,
      /^Cannot declare the layout ".*" in Swift: ".*" is taken; export it by another name$/,
    );
  }
});

Deno.test("layout prints the layouts of a file that imports another copy of the library", async () => {
  const folder = await Deno.makeTempDir({ prefix: "xpc-layouts-" });
  try {
    // Under another address, a module is loaded anew: the command gets layouts that its own copy did not make.
    const copy = `${new URL("../../src/layout/layout.ts", import.meta.url).href}?copy`;
    const own = new URL("../../src/layout/main.ts", import.meta.url).href;
    await Deno.writeTextFile(
      `${folder}/my file.ts`,
      `import { layout } from ${JSON.stringify(copy)};
       import { layout as same } from ${JSON.stringify(own)};
       const Point = layout({ x: "f32" });
       export default layout({ a: Point, b: [Point, 2] });
       export const Own = same({ x: "u8" });`,
    );
    const { code, stdout, stderr } = await command([`${folder}/my file.ts`, "--c"]);
    assertEquals([code, stderr], [0, ""]);
    assertEquals([...stdout.matchAll(/^struct (\w+) \{$/gm)].map(([, name]) => name), [
      "Own",
      "my_file_a",
      "my_file",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("layout says what is wrong with its arguments, and exits with 64", async () => {
  for (
    const args of [[], [SHAPES], ["--c"], [SHAPES, "--c", "--swift"], [SHAPES, "more.ts", "--c"], [
      SHAPES,
      "--d",
    ]]
  ) {
    const { code, stdout, stderr } = await command(args);
    assertEquals([code, stdout], [64, ""]);
    assertMatch(stderr, /^Cannot understand the arguments: .*\(see --help\)\n$/s);
  }
  const help = await command(["--help"]);
  assertEquals([help.code, help.stderr], [0, ""]);
  assertStringIncludes(help.stdout, "--swift");
});

Deno.test("layout says why it cannot print, and exits with 1", async () => {
  const cases: [string, string[], string][] = [
    ["tests/support/nothing.ts", ["-R"], "Module not found"],
    ["tests/support/socket_path.ts", ["-R"], "it exports no layout"],
    [SHAPES, [], "run again with the --allow-read flag"],
  ];
  for (const [file, flags, text] of cases) {
    const { code, stdout, stderr } = await command([file, "--c"], flags);
    assertEquals([code, stdout], [1, ""]);
    assert(stderr.startsWith(`Cannot print the layouts of ${file}: `), stderr);
    assertStringIncludes(stderr, text);
  }
});

Deno.test("layout does nothing when it is imported", async () => {
  const { layout: again } = await import("../../src/layout/main.ts");
  assertEquals(again, layout);
});
