import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { libxpc, LIBXPC_LATER } from "../../ffi/libxpc.ts";
import { load } from "../../ffi/load.ts";
import { shim, SHIM_LATER } from "../../ffi/shim.ts";

const { path } = await load();

/** What a process says that loads the library. */
async function loading(environment: Record<string, string>, flags: string[]): Promise<string> {
  const module = new URL("../../ffi/load.ts", import.meta.url).href;
  const code = `import { load } from ${JSON.stringify(module)};
    console.log(await load().then(({ path }) => "loaded " + path, (error) => error.name + ": " + error.message));`;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      ...flags,
      `data:application/typescript,${encodeURIComponent(code)}`,
    ],
    env: environment,
    stderr: "inherit",
  }).output();
  return new TextDecoder().decode(stdout).trim();
}

Deno.test("load() opens what was built here, with --allow-ffi alone", async () => {
  assertEquals(await loading({}, ["--allow-ffi", "--allow-import"]), `loaded ${path}`);
});

Deno.test("load() opens the library that XPC_SHMEM_LIBRARY names, if it may read that", async () => {
  const copy = await Deno.makeTempFile({ suffix: ".so" });
  try {
    await Deno.copyFile(path, copy);
    const flags = ["--allow-ffi", "--allow-env=XPC_SHMEM_LIBRARY"];
    assertEquals(await loading({ XPC_SHMEM_LIBRARY: copy }, flags), `loaded ${copy}`);
    assertEquals(await loading({ XPC_SHMEM_LIBRARY: copy }, ["--allow-ffi"]), `loaded ${path}`);
  } finally {
    await Deno.remove(copy);
  }
});

Deno.test("load() lists what it tried, and says what to do", async () => {
  const message = await loading({ XPC_SHMEM_LIBRARY: "/nowhere/lib.so" }, ["-A"]);
  assertStringIncludes(
    message,
    "NotFound: Cannot open the native library. Tried XPC_SHMEM_LIBRARY: /nowhere/lib.so;",
  );
  assertStringIncludes(message, 'run "deno task build"');
});

Deno.test({
  name: "load() refuses a library of another kind",
  ignore: Deno.build.os !== "linux", // where there is a library of that name
  async fn() {
    const message = await loading({ XPC_SHMEM_LIBRARY: "libc.so.6" }, ["-A"]);
    assertStringIncludes(message, "Could not obtain symbol from the library");
  },
});

Deno.test("load() without --allow-ffi names the permission", async () => {
  assertStringIncludes(await loading({}, []), "NotCapable: Requires ffi access");
});

Deno.test("load() with --allow-ffi=PATH says that FFI must be allowed without a path", async () => {
  const said = await loading({}, [`--allow-ffi=${path}`]);
  assertStringIncludes(said, "Run Deno with --allow-ffi");
});

Deno.test("load() binds what a first connection does not need at its first use, and finds all of it", async () => {
  const { shim: functions, xpc } = await load();
  assert(Object.keys(shim).every((name) => functions[name as keyof typeof functions] !== null));
  assert(Object.keys(libxpc).every((name) => xpc[name as keyof typeof xpc] !== undefined));
  assertEquals(functions.shim_memory_page_size() % 4096n, 0n);
  for (const [table, names] of [[functions, SHIM_LATER], [xpc, LIBXPC_LATER]] as const) {
    for (const name of names) assert(!Object.hasOwn(table, name) && name in table, name);
  }
});
