import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type AbiFacts,
  compareExports,
  compareHeaders,
  compareMacros,
  compareTable,
  compareVersions,
  type Declarations,
  expectedLinuxExports,
  expectedShimExports,
  exportsOfEveryMac,
} from "../../ffi/build/compare.ts";
import { readSystemExports } from "../../ffi/build/exports.ts";
import { readFacts } from "../../ffi/build/facts.ts";
import { ROOT } from "../../ffi/build/root.ts";
import { fetchZig, type Zig } from "../../ffi/build/zig.ts";
import { checkAbi } from "../../ffi/build/check_abi.ts";
import { libxpc } from "../../ffi/libxpc.ts";
import { shim } from "../../ffi/shim.ts";

let zig: Promise<Zig> | undefined;
function compiler(): Promise<Zig> {
  return zig ??= fetchZig({ cache: `${ROOT}/.build/zig-cache` });
}

let facts: Promise<AbiFacts> | undefined;
function realFacts(): Promise<AbiFacts> {
  return facts ??= compiler().then((zig) => readFacts(zig, ROOT));
}

/** What is wrong with a table that is loaded from libSystem. */
async function compare(table: Deno.ForeignLibraryInterface): Promise<string[]> {
  const facts = await realFacts();
  return compareTable(table, {
    name: "libxpc",
    declarations: facts.apple,
    exports: exportsOfEveryMac(facts),
    library: "libSystem",
  });
}

/** The facts of a copy of the headers in which some text was replaced. */
async function factsWith(path: string, before: string | RegExp, after: string): Promise<AbiFacts> {
  const root = await Deno.makeTempDir({ prefix: "xpc-abi-test-" });
  try {
    await copy(`${ROOT}/ffi/native`, `${root}/ffi/native`);
    const text = await Deno.readTextFile(`${root}/${path}`);
    const changed = text.replace(before, after);
    assert(changed !== text, `there is something to replace in ${path}`);
    await Deno.writeTextFile(`${root}/${path}`, changed);
    return await readFacts(await compiler(), root);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    await (entry.isDirectory ? copy(source, target) : Deno.copyFile(source, target));
  }
}

const XPC_H = "ffi/native/linux/include/xpc/xpc.h";

Deno.test("compareTable() passes right entries of each form", async () => {
  const table = {
    xpc_retain: { parameters: ["pointer"], result: "pointer" },
    xpc_data_create: { parameters: ["buffer", "usize"], result: "pointer" },
    xpc_array_apply: { parameters: ["pointer", "function"], result: "bool" },
    xpc_connection_get_pid: { parameters: ["pointer"], result: "i32" },
    xpc_double_create: { parameters: ["f64"], result: "pointer" },
    dispatch_release: { parameters: ["pointer"], result: "void" }, // a transparent union in C
    dispatch_get_global_queue: { parameters: ["isize", "usize"], result: "pointer" },
    release: { name: "xpc_release", parameters: ["pointer"], result: "void" },
    _xpc_type_dictionary: { type: "pointer" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), []);
});

Deno.test("compareTable() finds a parameter of the wrong width", async () => {
  assertEquals(await compare({ xpc_int64_create: { parameters: ["i32"], result: "pointer" } }), [
    "libxpc: xpc_int64_create: parameter 1 is i64 in C, i32 in the table",
  ]);
});

Deno.test("compareTable() finds a parameter of the wrong sign", async () => {
  assertEquals(await compare({ xpc_uint64_create: { parameters: ["i64"], result: "pointer" } }), [
    "libxpc: xpc_uint64_create: parameter 1 is u64 in C, i64 in the table",
  ]);
});

Deno.test("compareTable() finds a number in place of a pointer, a double, a bool or a struct", async () => {
  const table = {
    xpc_data_create: { parameters: ["u64", "usize"], result: "pointer" },
    xpc_double_create: { parameters: ["f32"], result: "pointer" },
    xpc_bool_create: { parameters: ["u8"], result: "pointer" },
    xpc_uuid_create: { parameters: [{ struct: ["u64", "u64"] }], result: "pointer" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), [
    "libxpc: xpc_data_create: parameter 1 is pointer in C, u64 in the table",
    "libxpc: xpc_double_create: parameter 1 is f64 in C, f32 in the table",
    "libxpc: xpc_bool_create: parameter 1 is bool in C, u8 in the table",
    "libxpc: xpc_uuid_create: parameter 1 is pointer in C, struct in the table",
  ]);
});

Deno.test("compareTable() finds a wrong result", async () => {
  const table = {
    xpc_retain: { parameters: ["pointer"], result: "void" },
    xpc_release: { parameters: ["pointer"], result: "pointer" },
    xpc_connection_get_euid: { parameters: ["pointer"], result: "i32" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), [
    "libxpc: xpc_retain: the result is pointer in C, void in the table",
    "libxpc: xpc_release: the result is void in C, pointer in the table",
    "libxpc: xpc_connection_get_euid: the result is u32 in C, i32 in the table",
  ]);
});

Deno.test("compareTable() finds a wrong count of parameters", async () => {
  const table = {
    xpc_retain: { parameters: ["pointer", "pointer"], result: "pointer" },
    xpc_null_create: { parameters: ["pointer"], result: "pointer" },
    xpc_shmem_create: { parameters: ["pointer"], result: "pointer" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), [
    "libxpc: xpc_retain: has 1 parameters in C, 2 in the table",
    "libxpc: xpc_null_create: has 0 parameters in C, 1 in the table",
    "libxpc: xpc_shmem_create: has 2 parameters in C, 1 in the table",
  ]);
});

Deno.test("compareTable() finds a symbol that there is not, by its own name too", async () => {
  const table = {
    xpc_retian: { parameters: ["pointer"], result: "pointer" },
    xpc_retain: { name: "xpc_retayn", parameters: ["pointer"], result: "pointer" },
    _xpc_type_dictionnary: { type: "pointer" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), [
    "libxpc: xpc_retian: libSystem does not export it",
    "libxpc: xpc_retian: no header declares it",
    "libxpc: xpc_retayn: libSystem does not export it",
    "libxpc: xpc_retayn: no header declares it",
    "libxpc: _xpc_type_dictionnary: libSystem does not export it",
    "libxpc: _xpc_type_dictionnary: no header declares it",
  ]);
});

Deno.test("compareTable() finds a symbol that a header declares but the library lacks", async () => {
  const facts = await realFacts();
  const { apple } = facts;
  const exports = exportsOfEveryMac(facts);
  exports.delete("xpc_retain");
  const table = { xpc_retain: { parameters: ["pointer"], result: "pointer" } } as const;
  assertEquals(compareTable(table, { name: "libxpc", declarations: apple, exports, library: "libSystem" }), [
    "libxpc: xpc_retain: libSystem does not export it",
  ]);
});

Deno.test("compareTable() finds a variadic function", async () => {
  assertEquals(await compare({ fcntl: { parameters: ["i32", "i32"], result: "i32" } }), [
    "libxpc: fcntl: is variadic in C: the FFI cannot call it",
  ]);
});

Deno.test("compareTable() finds a symbol that is too new, unless it is optional", async () => {
  const parameters = ["pointer", "pointer", "u64", "function", "pointer"] as const;
  assertEquals(await compare({ xpc_listener_create: { parameters, result: "pointer" } }), [
    "libxpc: xpc_listener_create: is new in macOS 14.0, but we support 13.0: make it optional",
  ]);
  assertEquals(await compare({ xpc_listener_create: { parameters, result: "pointer", optional: true } }), []);
});

Deno.test("compareTable() finds a symbol that macOS does not have", async () => {
  const { apple } = await realFacts();
  const release = apple.get("xpc_release")!;
  const declarations: Declarations = new Map([["xpc_release", { ...release, unavailable: true }]]);
  const table = { xpc_release: { parameters: ["pointer"], result: "void" } } as const;
  assertEquals(compareTable(table, { name: "libxpc", declarations, library: "libSystem" }), [
    "libxpc: xpc_release: is not available on macOS, but we support 13.0: make it optional",
  ]);
});

Deno.test("compareTable() finds functions and variables that are confused", async () => {
  const table = {
    xpc_retain: { type: "pointer" },
    _xpc_type_bool: { parameters: [], result: "pointer" },
    _xpc_type_data: { type: "u32" },
  } as const satisfies Deno.ForeignLibraryInterface;
  assertEquals(await compare(table), [
    "libxpc: xpc_retain: is a function in C, a variable in the table",
    "libxpc: _xpc_type_bool: is a variable in C, a function in the table",
    "libxpc: _xpc_type_data: the variable is struct _xpc_type_s in C, u32 in the table",
  ]);
});

Deno.test("compareTable() finds an entry of the shim that shim.h has changed", async () => {
  const facts = await factsWith(
    "ffi/native/include/shim.h",
    "uint32_t shim_version(void)",
    "int64_t shim_version(int old)",
  );
  const context = { declarations: facts.shim, exports: expectedShimExports(facts), library: "the shim" };
  assertEquals(compareTable(shim, { name: "shim", ...context }), [
    "shim: shim_version: has 1 parameters in C, 0 in the table",
    "shim: shim_version: the result is i64 in C, u32 in the table",
  ]);
});

Deno.test("compareTable() finds an entry of libxpc that the headers for Linux lack", async () => {
  const facts = await factsWith(XPC_H, /\bxpc_int64_create\b/, "xpc_int64_make");
  const context = { declarations: facts.linux, exports: expectedLinuxExports(facts), library: "the library" };
  assertEquals(compareTable(libxpc, { name: "libxpc", ...context }), [
    "libxpc: xpc_int64_create: the library does not export it",
    "libxpc: xpc_int64_create: no header declares it",
  ]);
});

Deno.test("compareHeaders() finds a header for Linux that is not as Apple's", async () => {
  const wrong = await factsWith(XPC_H, /\bxpc_int64_create\(int64_t\b/, "xpc_int64_create(int32_t");
  assertEquals(compareHeaders(wrong.linux, wrong.apple), [
    "xpc/xpc.h: xpc_int64_create: is pointer (i32), Apple's is pointer (i64)",
  ]);
  const more = await factsWith(
    XPC_H,
    /\bxpc_int64_create\(int64_t value\b/,
    "xpc_int64_create(int64_t value, ...",
  );
  assertEquals(compareHeaders(more.linux, more.apple), [
    "xpc/xpc.h: xpc_int64_create: is pointer (i64, ...), Apple's is pointer (i64)",
  ]);
});

Deno.test("compareHeaders() finds what Apple does not have, except in xpc/linux.h", async () => {
  const linux = "ffi/native/linux/include/xpc/linux.h";
  const allowed = await factsWith(
    linux,
    "#include <stddef.h>",
    "#include <stddef.h>\nint xpc_linux_new(void);",
  );
  assertEquals(compareHeaders(allowed.linux, allowed.apple), []);
  const facts = await factsWith(XPC_H, "XPC_BEGIN_DECLS", "XPC_BEGIN_DECLS\nint xpc_invented(void);");
  assertEquals(compareHeaders(facts.linux, facts.apple), [
    "xpc/xpc.h: xpc_invented: Apple's headers do not declare it",
  ]);
});

Deno.test("compareMacros() finds a constant that is not as Apple's", async () => {
  const right = await realFacts();
  assertEquals(compareMacros(right.linuxMacros, right.appleMacros), []);
  const connection = "ffi/native/linux/include/xpc/connection.h";
  const wrong = await factsWith(
    connection,
    /(XPC_CONNECTION_MACH_SERVICE_LISTENER) \(1 << 0\)/,
    "$1 (1 << 2)",
  );
  assertEquals(compareMacros(wrong.linuxMacros, wrong.appleMacros), [
    "XPC_CONNECTION_MACH_SERVICE_LISTENER: is (1 << 2), Apple's is (1 << 0)",
  ]);
});

Deno.test("compareExports() finds what is missing and what is too much", () => {
  assertEquals(compareExports("libx.so", ["a", "b"], new Set(["b", "c"])), [
    "libx.so: does not export c, which a header declares",
    "libx.so: exports a, which no header declares",
  ]);
  assertEquals(compareExports("libx.so", ["b", "a"], new Set(["a", "b"])), []);
});

Deno.test("expectedLinuxExports() has functions and constants, but no blocks runtime and no libc", async () => {
  const names = expectedLinuxExports(await realFacts());
  for (
    const name of ["xpc_retain", "_xpc_type_dictionary", "_xpc_error_connection_invalid", "shim_version"]
  ) {
    assert(names.has(name), name);
  }
  for (const name of ["_Block_copy", "_NSConcreteStackBlock", "malloc", "memcpy"]) {
    assert(!names.has(name), name);
  }
});

Deno.test("readSystemExports() follows re-exports, and is strict about the library and the processor", async () => {
  const all = await readSystemExports(await compiler());
  for (const exports of [all.aarch64, all.x86_64]) {
    for (
      const name of ["xpc_retain", "_xpc_error_connection_invalid", "dispatch_queue_create", "_Block_copy"]
    ) {
      assert(exports.has(name), name);
    }
    assert(!exports.has("objc_retain"), "it is in libobjc, which libSystem does not re-export");
  }
  assert(all.x86_64.has("fstat$INODE64"));
  assert(!all.aarch64.has("fstat$INODE64"), "Apple silicon never had the short inodes");
  assert(!exportsOfEveryMac({ systemExports: all }).has("fstat$INODE64"));
  const dispatch = await readSystemExports(await compiler(), "/usr/lib/system/libdispatch.dylib");
  assert(dispatch.aarch64.has("dispatch_queue_create"));
  assert(!dispatch.aarch64.has("xpc_retain"), "it is in libxpc");
});

Deno.test("compareVersions() compares numbers, not text", () => {
  assert(compareVersions("9.0", "13.0") < 0);
  assert(compareVersions("13.0", "13") === 0);
  assert(compareVersions("14.4", "14.10") < 0);
  assert(compareVersions("2.28", "2.4") > 0);
});

Deno.test("checkAbi() finds nothing wrong with the project", async () => {
  const { problems, summary } = await checkAbi();
  assertEquals(problems, []);
  assertStringIncludes(summary, "4 libraries agree");
});

Deno.test("the check:abi command fails and names the entry", async () => {
  const root = await Deno.makeTempDir({ prefix: "xpc-abi-test-" });
  try {
    await copy(`${ROOT}/ffi`, `${root}/ffi`);
    await copy(`${ROOT}/src/link`, `${root}/src/link`);
    // The libraries are those of the project: their sources are the same.
    await Deno.symlink(`${ROOT}/.build`, `${root}/.build`);
    const table = await Deno.readTextFile(`${root}/ffi/libxpc.ts`);
    const wrong = table.replace(
      'xpc_int64_create: { parameters: ["i64"]',
      'xpc_int64_create: { parameters: ["u64"]',
    );
    assert(wrong !== table);
    await Deno.writeTextFile(`${root}/ffi/libxpc.ts`, wrong);
    const layout = await Deno.readTextFile(`${root}/src/link/layout.ts`);
    const moved = layout.replace("STRIDE = 128", "STRIDE = 64");
    assert(moved !== layout);
    await Deno.writeTextFile(`${root}/src/link/layout.ts`, moved);
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-config", "--no-lock", `${root}/ffi/build/check_abi.ts`],
      env: { NO_COLOR: "1" },
    }).output();
    const stderr = new TextDecoder().decode(output.stderr);
    assertEquals(output.code, 1, stderr);
    assertStringIncludes(stderr, "libxpc: xpc_int64_create: parameter 1 is i64 in C, u64 in the table\n");
    assertStringIncludes(
      stderr,
      "libxpc on Linux: xpc_int64_create: parameter 1 is i64 in C, u64 in the table\n",
    );
    assertStringIncludes(stderr, "layout: STRIDE: is 128 in C (SHMEM_STRIDE), 64 in layout.ts\n");
    assertMatch(stderr, /^error: Cannot accept the ABI: \d+ things are wrong\n/m);
    assertEquals(output.stdout.byteLength, 0);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
