import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { ROOT } from "../../ffi/build/root.ts";
import { checkLayout } from "../../ffi/build/layout.ts";
import { BuildError, fetchZig, type Zig } from "../../ffi/build/zig.ts";

const HEADER = "ffi/native/include/shmem_layout.h";
const SHIM = "ffi/native/include/shim.h";
const COPY = "src/link/layout.ts";

let zig: Promise<Zig> | undefined;
function compiler(): Promise<Zig> {
  return zig ??= fetchZig({ cache: `${ROOT}/.build/zig-cache` });
}

/** What is wrong with a copy of the layout in which some text was replaced. */
async function problemsWith(path: string, before: string | RegExp, after: string): Promise<string[]> {
  const root = await Deno.makeTempDir({ prefix: "xpc-layout-test-" });
  try {
    for (const folder of ["ffi/native/include", "src/link"]) {
      await Deno.mkdir(`${root}/${folder}`, { recursive: true });
    }
    for (const file of [HEADER, SHIM, COPY]) await Deno.copyFile(`${ROOT}/${file}`, `${root}/${file}`);
    const text = await Deno.readTextFile(`${root}/${path}`);
    const changed = text.replace(before, after);
    assert(changed !== text, `there is something to replace in ${path}`);
    await Deno.writeTextFile(`${root}/${path}`, changed);
    return (await checkLayout(await compiler(), root)).problems;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("checkLayout() finds nothing wrong with the project", async () => {
  const { problems, count } = await checkLayout(await compiler(), ROOT);
  assertEquals(problems, []);
  assert(count >= 20, `${count} numbers`);
});

Deno.test("checkLayout() finds an offset, a length, a bit and a version that differ", async () => {
  assertEquals(await problemsWith(COPY, "index * STRIDE + 16;", "index * STRIDE + 20;"), [
    "layout: serverMutexAt of region 0: is 16 in C (SHMEM_SERVER_MUTEX_AT), 20 in layout.ts",
  ]);
  assertEquals(await problemsWith(COPY, "return index * 4;", "return index * 8;"), [
    "layout: clientParkedAt of region 1: is 4 in C (SHMEM_CLIENT_PARKED_AT), 8 in layout.ts",
  ]);
  assertEquals(await problemsWith(COPY, "MUTEX_ABANDONED = 0x4000_0000", "MUTEX_ABANDONED = 0x2000_0000"), [
    "layout: MUTEX_ABANDONED: is 1073741824 in C (SHMEM_MUTEX_ABANDONED), 536870912 in layout.ts",
  ]);
  assertEquals(await problemsWith(HEADER, /(SHMEM_LAYOUT_VERSION) \d+/, "$1 99"), [
    "layout: LAYOUT_VERSION: is 99 in C (SHMEM_LAYOUT_VERSION), 3 in layout.ts",
  ]);
});

Deno.test("checkLayout() finds what only one side has", async () => {
  assertEquals(await problemsWith(COPY, "export const GONE_AT", "const GONE_AT"), [
    "layout: GONE_AT: is 1024 in C (SHMEM_CLIENT_GONE_AT), undefined in layout.ts",
  ]);
  assertEquals(
    await problemsWith(COPY, "export const GONE_AT", "export const MORE = 1;\nexport const GONE_AT"),
    [
      "layout: MORE: shmem_layout.h has no such number",
    ],
  );
  assertEquals(
    await problemsWith(HEADER, "#define SHMEM_STRIDE", "#define SHMEM_MORE 1\n#define SHMEM_STRIDE"),
    [
      "layout: SHMEM_MORE: ffi/build/layout.ts does not know what it is called in layout.ts",
    ],
  );
});

Deno.test("checkLayout() finds a bit that shim.h says otherwise", async () => {
  assertEquals(await problemsWith(SHIM, "SHIM_PARKED_THREAD 2u", "SHIM_PARKED_THREAD 4u"), [
    "layout: SHIM_PARKED_THREAD: is 4 in shim.h, 2 in shmem_layout.h",
  ]);
});

Deno.test("a structure of shmem_layout.h that does not fit its numbers does not compile", async () => {
  const error = await assertRejects(
    () => problemsWith(HEADER, "uint32_t mutex;      /*", "uint32_t before, mutex;      /*"),
    BuildError,
  );
  assertStringIncludes(error.message, "struct shmem_server_words.regions[0].mutex");
});
