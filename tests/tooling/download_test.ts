import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { download, type DownloadOptions } from "../../ffi/download.ts";
import type { Plug } from "../../ffi/plug.ts";
import { hostTarget, TARGETS } from "../../ffi/targets.ts";

const BASE = "https://registry.example/@xpc/shmem/1.0.0/ffi/download.ts";
const URL_OF_LIBRARY = "https://registry.example/@xpc/shmem/1.0.0/ffi/lib/x86_64-linux/libxpc_shmem.so";
const target = TARGETS["x86_64-linux"];

const LIBRARY = new TextEncoder().encode("the library");
const TRUNCATED = LIBRARY.subarray(0, 5);
const SHA256 = new Uint8Array(await crypto.subtle.digest("SHA-256", LIBRARY)).toHex();
const CHECKSUMS = {
  "x86_64-linux": { file: target.library, sha256: SHA256, byteLength: LIBRARY.length },
};

/** A folder, and a plug that answers each download with the next of its contents. */
class Bench implements AsyncDisposable {
  readonly caches: string[] = [];
  readonly locations: string[] = [];
  readonly urls: string[] = [];
  #contents: readonly (Uint8Array | Error)[];

  private constructor(readonly folder: string, contents: readonly (Uint8Array | Error)[]) {
    this.#contents = contents;
  }

  static async create(...contents: (Uint8Array | Error)[]): Promise<Bench> {
    return new Bench(await Deno.makeTempDir({ prefix: "xpc-download-test-" }), contents);
  }

  get path(): string {
    return `${this.folder}/${SHA256}/${target.library}`;
  }

  readonly #plug: Plug = {
    download: async ({ url, location, cache }) => {
      console.log(`Downloading ${url}`);
      const content = this.#contents[this.urls.length] ?? new Error("there is nothing more");
      this.urls.push(url);
      this.locations.push(location);
      this.caches.push(cache);
      if (content instanceof Error) throw content;
      const path = `${location}/0123.so`;
      await Deno.writeFile(path, content);
      return path;
    },
  };

  async download(options: DownloadOptions = {}): Promise<string> {
    const { folder } = this;
    return await download(target, {
      base: BASE,
      checksums: CHECKSUMS,
      folder,
      plug: () => Promise.resolve(this.#plug),
      ...options,
    });
  }

  /** What lies in the folder, but for the library's own place. */
  async leftovers(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.folder)) if (name !== SHA256) names.push(name);
    return names;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Runs with a `console.log` that remembers. */
async function logged(run: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...data: unknown[]) => void lines.push(data.join(" "));
  try {
    await run();
  } finally {
    console.log = log;
  }
  return lines;
}

Deno.test("download() takes the file beside the module, and leaves nothing else", async () => {
  await using bench = await Bench.create(LIBRARY);
  assertEquals(await bench.download(), bench.path);
  assertEquals(await Deno.readFile(bench.path), LIBRARY);
  assertEquals(bench.urls, [URL_OF_LIBRARY]);
  assertEquals(await bench.leftovers(), []);
});

Deno.test("download() needs no plug for what is in the cache", async () => {
  await using bench = await Bench.create(LIBRARY);
  await bench.download();
  const path = await bench.download({ plug: () => Promise.reject(new Error("must not be called")) });
  assertEquals(path, bench.path);
});

for (const [what, content] of [["truncated", TRUNCATED], ["altered", LIBRARY.toReversed()]] as const) {
  Deno.test(`download() replaces a cached file that is ${what}`, async () => {
    await using bench = await Bench.create(LIBRARY, LIBRARY);
    await bench.download();
    await Deno.writeFile(bench.path, content);
    const inode = (await Deno.stat(bench.path)).ino;
    assertEquals(await bench.download(), bench.path);
    assertEquals(await Deno.readFile(bench.path), LIBRARY);
    // Never in place: another process may have mapped it.
    assertEquals((await Deno.stat(bench.path)).ino === inode, false);
  });

  Deno.test(`download() tries once more where what came is ${what}`, async () => {
    await using bench = await Bench.create(content, LIBRARY);
    assertEquals(await bench.download(), bench.path);
    assertEquals(bench.caches, ["use", "reloadAll"]);
  });

  Deno.test(`download() gives up where what comes stays ${what}`, async () => {
    await using bench = await Bench.create(content, content);
    const error = await assertRejects(() => bench.download(), Deno.errors.InvalidData, "Cannot use");
    const found = new Uint8Array(await crypto.subtle.digest("SHA-256", new Uint8Array(content))).toHex();
    for (const part of [URL_OF_LIBRARY, SHA256, found, "XPC_SHMEM_LIBRARY"]) {
      assertStringIncludes(error.message, part);
    }
    assertEquals(bench.urls.length, 2);
    assertEquals(await bench.leftovers(), []);
  });
}

Deno.test("download() of two at once writes into two folders", async () => {
  await using bench = await Bench.create(LIBRARY, LIBRARY);
  assertEquals(await Promise.all([bench.download(), bench.download()]), [bench.path, bench.path]);
  assertEquals(new Set(bench.locations).size, 2);
});

Deno.test("download() says what failed", async () => {
  await using bench = await Bench.create(new Error("Could not find it"));
  const error = await assertRejects(() => bench.download(), Deno.errors.NotFound, "Could not find it");
  assertStringIncludes(error.message, URL_OF_LIBRARY);
  assertEquals(await bench.leftovers(), []);
});

Deno.test("download() passes on which permission is missing", async () => {
  await using bench = await Bench.create(new Deno.errors.NotCapable("Requires net access"));
  await assertRejects(() => bench.download(), Deno.errors.NotCapable, "Requires net access");
});

Deno.test("download() refuses a target that has no checksum", async () => {
  await using bench = await Bench.create(LIBRARY);
  await assertRejects(() => bench.download({ checksums: {} }), Deno.errors.NotFound, "no checksum");
});

Deno.test("download() keeps plug's line off stdout, and no other line", async () => {
  await using bench = await Bench.create(LIBRARY);
  const { log } = console;
  const lines = await logged(async () => {
    const before = console.log;
    const downloading = bench.download({
      plug: () =>
        Promise.resolve({
          download: async ({ location, url }) => {
            console.log("\x1b[32mDownloading\x1b[39m", url);
            console.log("from the program");
            await Deno.writeFile(`${location}/x.so`, LIBRARY);
            return `${location}/x.so`;
          },
        }),
    });
    await downloading;
    assertEquals(console.log, before);
  });
  assertEquals(lines, ["from the program"]);
  assertEquals(console.log, log);
});

Deno.test("download() hides no line after downloads that overlapped, whichever ended first", async () => {
  await using bench = await Bench.create();
  const ends = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const url = `Downloading ${URL_OF_LIBRARY}`;
  const lines = await logged(async () => {
    const started = ends.map(() => Promise.withResolvers<void>());
    const downloads = ends.map((end, index) =>
      bench.download({
        plug: () =>
          Promise.resolve({
            download: async ({ location, url }) => {
              started[index]!.resolve();
              await end.promise;
              console.log("Downloading", url);
              await Deno.writeFile(`${location}/x.so`, LIBRARY);
              return `${location}/x.so`;
            },
          }),
      })
    );
    await Promise.all(started.map(({ promise }) => promise));
    for (const [index, end] of ends.entries()) {
      end.resolve();
      await downloads[index];
    }
    console.log(url);
  });
  assertEquals(lines, [url]);
});

/** Runs a module text with exactly these flags; nobody can be asked for more. */
async function run(
  text: string,
  flags: readonly string[],
  env: Record<string, string>,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-permissions-" });
  try {
    await Deno.mkdir(`${folder}/run`, { mode: 0o700 });
    await Deno.writeTextFile(`${folder}/main.ts`, text);
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--no-lock", "--no-config", "--quiet", ...flags, `${folder}/main.ts`],
      env: { XDG_RUNTIME_DIR: `${folder}/run`, NO_COLOR: "1", ...env },
      stdin: "null",
    }).output();
    const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => new TextDecoder().decode(bytes));
    return { code: output.code, stdout: stdout!, stderr: stderr! };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ROOT = new URL("../..", import.meta.url).href;
const LOAD = `import { load } from "${ROOT}ffi/load.ts"; await load(); console.log("loaded");`;

/** Server and client wait for each other's commits, and the client for those of what it only reads. */
const EXCHANGE = `
  import { connect, serve } from "${ROOT}mod.ts";
  const regions = { shared: { byteLength: 4096 }, sealed: { byteLength: 4096, clients: "read" } };
  await using server = await serve("com.example.permissions", { regions });
  await using client = await connect("com.example.permissions");
  const commits = {
    shared: [server.region("shared"), await client.open("shared", { write: true })],
    sealed: [server.region("sealed"), await client.open("sealed")],
  };
  for (const [name, [ours, theirs]] of Object.entries(commits)) {
    ours.view(Uint32Array)[0] = 7;
    setTimeout(() => ours.commit(), 30); // long after the reader has parked
    for await (const { revision } of theirs.changes({ after: 0, spin: 0 })) if (revision === 1) break;
    console.log(name, theirs.view(Uint32Array)[0]);
  }
  const [ours, theirs] = commits.shared;
  setTimeout(() => theirs.commit(), 30);
  for await (const { revision } of ours.changes({ after: 1, spin: 0 })) if (revision === 2) break;
  using _ = await theirs.mutex.lock();
  console.log("back");
`;
const EXCHANGED = "shared 7\nsealed 7\nback\n";

/** What the README says is needed in a checkout. */
const PERMISSIONS = ["--allow-ffi"];

Deno.test("load() needs --allow-ffi in a checkout", async () => {
  const { code, stdout, stderr } = await run(LOAD, ["--allow-ffi"], {});
  assertEquals([code, stdout, stderr], [0, "loaded\n", ""]);
});

Deno.test("load() says which permission is missing", async () => {
  const { code, stdout, stderr } = await run(LOAD, [], {});
  assertEquals([code, stdout], [1, ""]);
  assertStringIncludes(stderr, "--allow-ffi");
});

Deno.test(`serve() and connect() do with ${PERMISSIONS.join(" ")}: a native thread waits`, async () => {
  const { code, stdout, stderr } = await run(EXCHANGE, PERMISSIONS, {});
  assertEquals([code, stdout, stderr], [0, EXCHANGED, ""]);
});

Deno.test("serve() and connect() use a doorbell with read, write and net", async () => {
  const flags = [...PERMISSIONS, "--allow-read", "--allow-write", "--allow-net"];
  const { code, stdout, stderr } = await run(EXCHANGE, flags, {});
  assertEquals([code, stdout, stderr], [0, EXCHANGED, ""]);
});

Deno.test("load() takes the library that XPC_SHMEM_LIBRARY names, where it may read that", async () => {
  const host = hostTarget();
  if (host === undefined) throw new Error("there is no library for this system");
  const folder = await Deno.makeTempDir({ prefix: "xpc-library-" });
  try {
    const copy = `${folder}/another.so`;
    const built = new URL(`../../.build/${host.name}/${host.library}`, import.meta.url);
    await Deno.copyFile(built, copy);
    const text = `import { load } from "${ROOT}ffi/load.ts"; console.log((await load()).path);`;
    const env = { XPC_SHMEM_LIBRARY: copy };
    const allowed = await run(text, ["--allow-ffi", "--allow-env=XPC_SHMEM_LIBRARY"], env);
    assertEquals([allowed.code, allowed.stdout, allowed.stderr], [0, `${copy}\n`, ""]);
    const denied = await run(text, ["--allow-ffi"], env);
    assertEquals([denied.code, denied.stdout], [0, `${decodeURIComponent(built.pathname)}\n`]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("load() says where it looked for a library that is not there", async () => {
  const env = { XPC_SHMEM_LIBRARY: "/nowhere/libxpc_shmem.so" };
  const { code, stderr } = await run(LOAD, ["--allow-ffi", "--allow-env=XPC_SHMEM_LIBRARY"], env);
  assertEquals(code, 1);
  assertStringIncludes(stderr, "Cannot open the native library");
  assertStringIncludes(stderr, "/nowhere/libxpc_shmem.so");
});
