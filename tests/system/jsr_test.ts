import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ROOT } from "../../ffi/build/root.ts";
import { RELEASE } from "../../src/broker/release.ts";
import { hostTarget, TARGETS } from "../../ffi/targets.ts";
import type { Diagnosis } from "../../src/doctor/main.ts";
import { readConfiguration, StagedProject } from "../support/jsr/package.ts";
import { findPlug } from "../support/jsr/plug.ts";
import { type Package, Registry } from "../support/jsr/registry.ts";
import { parseModule } from "../tooling/modules.ts";

const host = hostTarget();
if (host === undefined) throw new Error("there is no library for this system");
const LIBRARY = `ffi/lib/${host.name}/${host.library}`;

/** What ships, but for the modules in src/ and agent/, all of which do. */
const SHIPPED = [
  "LICENSE",
  "README.md",
  "agent/PROTOCOL.md",
  "deno.json",
  ...[
    "_ctypes",
    "bind",
    "checksums",
    "download",
    "errno",
    "libc",
    "libdispatch",
    "libxpc",
    "load",
    "memory",
    "shim",
  ]
    .concat("plug", "targets", "types").map((name) => `ffi/${name}.ts`),
  ...Object.values(TARGETS).map(({ name, library }) => `ffi/lib/${name}/${library}`),
  "mod.ts",
  "src/link/PROTOCOL.md",
];

let published: Promise<{ code: number; output: string; paths: string[]; shipped: Package }> | undefined;

/** What `deno publish` says, asked once. */
function publish(): NonNullable<typeof published> {
  published ??= (async () => {
    await using project = await StagedProject.create();
    const { code, output, paths } = await project.dryRun();
    return { code, output, paths, shipped: await project.package(paths) };
  })();
  return published;
}

Deno.test("deno publish ships what is needed and nothing else", async () => {
  const { code, output, paths } = await publish();
  assertEquals(code, 0, output);
  const modules = /^(agent|agent\/install|src\/\w+)\/\w+\.ts$/;
  assertEquals(paths.filter((path) => !modules.test(path)), SHIPPED.toSorted());
  assertEquals(paths.filter((path) => /_test\.ts$|\.[ch]$|\.swift$/.test(path)), []);
  for (const [entry, path] of Object.entries((await readConfiguration()).exports)) {
    assert(paths.includes(path.slice(2)), `${entry} is shipped`);
  }
});

Deno.test("deno publish finds no slow types", async () => {
  const { output } = await publish();
  assertStringIncludes(output, "Checking for slow types");
  assert(!/slow-types|missing-explicit/i.test(output), output);
  // Two things are to be warned of, which are meant: plug is imported by a full specifier, and only when it is needed;
  // the command that prints layouts imports the file that it is told.
  const warning = "warning[unanalyzable-dynamic-import]:";
  assertEquals(output.match(/warning\S*/gi), [warning, warning]);
  assertStringIncludes(output, "await import(PLUG)");
  assertStringIncludes(output, "await import(address.href)");
});

Deno.test("what is shipped imports nothing that is not", async () => {
  const { shipped } = await publish();
  for (const [path, bytes] of shipped.files) {
    if (!path.endsWith(".ts")) continue;
    const { imports, externals } = parseModule(path, new TextDecoder().decode(bytes));
    for (const each of imports) {
      assert(shipped.files.has(each.path), `${path}:${each.line} imports ${each.path}`);
    }
    for (const { line, specifier } of externals) {
      assert(/^(jsr:|npm:|node:)/.test(specifier), `${path}:${line} imports "${specifier}"`);
    }
  }
});

Deno.test("the release that brokers tell is the version in deno.json", async () => {
  assertEquals((await readConfiguration()).version, RELEASE);
});

Deno.test("deno doc has every export documented", async () => {
  const entries = Object.values((await readConfiguration()).exports);
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...entries],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
  }).output();
  assertEquals(code, 0, new TextDecoder().decode(stderr));
});

const SERVER = `
  import { serve } from "jsr:@xpc/shmem";
  await using server = await serve("com.example.jsr", { regions: { frame: { byteLength: 4096 } } });
  const frame = server.region("frame");
  frame.view(Uint32Array)[0] = 42;
  frame.commit();
  for await (const { revision } of frame.changes({ after: 1 })) if (revision >= 2) break;
  console.log("client wrote", frame.view(Uint32Array)[1]);
`;
const CLIENT = `
  import { connect } from "jsr:@xpc/shmem";
  await using client = await connect("com.example.jsr");
  const frame = await client.open("frame", { write: true });
  for await (const { revision } of frame.changes()) if (revision >= 1) break;
  console.log("server wrote", frame.view(Uint32Array)[0]);
  frame.view(Uint32Array)[1] = 43;
  frame.commit();
`;

/** A project of somebody else's, with a cache of its own, and the registry it takes packages from. */
class Project implements AsyncDisposable {
  private constructor(readonly root: string, readonly registry: Registry) {}

  static async create(change: (shipped: Package) => void = () => {}): Promise<Project> {
    const { shipped } = await publish();
    const served = { ...shipped, files: new Map(shipped.files) };
    change(served);
    const { packages, upstream } = await findPlug();
    const root = await Deno.makeTempDir({ prefix: "xpc-jsr-" });
    await Deno.mkdir(`${root}/run`, { mode: 0o700 });
    await Deno.writeTextFile(`${root}/deno.json`, "{}");
    await Deno.writeTextFile(`${root}/server.ts`, SERVER);
    await Deno.writeTextFile(`${root}/client.ts`, CLIENT);
    return new Project(root, new Registry([served, ...packages], upstream));
  }

  get cache(): string {
    return `${this.root}/cache/xpc-shmem`;
  }

  /** The README's table, for a package that is not from jsr.io but from here. */
  get permissions(): string[] {
    const { cache, registry } = this;
    return [
      "--allow-ffi",
      "--allow-env=DENO_DIR,XDG_CACHE_HOME,HOME",
      `--allow-read=${cache}`,
      `--allow-write=${cache}`,
      `--allow-net=${registry.host}`,
    ];
  }

  /** What it needs once the library is in the cache. */
  get fewerPermissions(): string[] {
    return ["--allow-ffi", "--allow-env=DENO_DIR", `--allow-read=${this.cache}`];
  }

  async run(
    program: string,
    flags: readonly string[],
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const tooLate = new AbortController();
    const timer = setTimeout(() => tooLate.abort(), 60_000);
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", ...flags, ...program.split(" ")],
      cwd: this.root,
      env: {
        DENO_DIR: `${this.root}/cache`,
        JSR_URL: this.registry.url,
        NO_COLOR: "1",
        XDG_RUNTIME_DIR: `${this.root}/run`,
      },
      stdin: "null",
      signal: tooLate.signal,
    }).output().finally(() => clearTimeout(timer));
    const [stdout = "", stderr = ""] = [output.stdout, output.stderr].map((bytes) =>
      new TextDecoder().decode(bytes)
    );
    return { code: output.code, stdout, stderr };
  }

  /** Runs both programs, and sees that they wrote to each other and that nobody else wrote to stdout. */
  async exchange(flags: readonly string[]): Promise<void> {
    const [server, client] = await Promise.all([this.run("server.ts", flags), this.run("client.ts", flags)]);
    assertEquals([server.code, server.stdout], [0, "client wrote 43\n"], server.stderr);
    assertEquals([client.code, client.stdout], [0, "server wrote 42\n"], client.stderr);
  }

  /** The library in the cache. */
  async library(): Promise<string> {
    for await (const { name, isDirectory } of Deno.readDir(this.cache)) {
      if (isDirectory) return `${this.cache}/${name}/${host!.library}`;
    }
    throw new Error("there is no library in the cache");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await Deno.remove(this.root, { recursive: true });
  }
}

const withPlug = (await findPlug()).description;

Deno.test(`import from JSR: two processes of another project share memory, with ${withPlug}`, async () => {
  await using project = await Project.create();
  await project.exchange(project.permissions);
  const fetched = project.registry.count(LIBRARY);
  assert(fetched >= 1 && fetched <= 2, "each process fetched it, or the first one");
  // What is in the cache is used, and needs neither the network nor a place to write.
  await project.exchange(project.fewerPermissions);
  assertEquals(project.registry.count(LIBRARY), fetched);
});

Deno.test(`import from JSR: a damaged library in the cache is fetched anew, with ${withPlug}`, async () => {
  await using project = await Project.create();
  await project.exchange(project.permissions);
  const path = await project.library();
  const right = await Deno.readFile(path);
  for (const wrong of [right.subarray(0, 1000), right.map((byte, index) => index === 1000 ? ~byte : byte)]) {
    const before = project.registry.count(LIBRARY);
    await Deno.writeFile(path, wrong);
    await project.exchange(project.permissions);
    assertEquals(await Deno.readFile(path), right);
    assert(project.registry.count(LIBRARY) > before);
  }
});

Deno.test(`import from JSR: an altered library at the registry is refused, with ${withPlug}`, async () => {
  await using project = await Project.create(({ files }) => {
    files.set(LIBRARY, files.get(LIBRARY)!.map((byte, index) => index === 1000 ? ~byte : byte));
  });
  const { code, stdout, stderr } = await project.run("server.ts", project.permissions);
  assertEquals([code, stdout], [1, ""]);
  assertMatch(
    stderr,
    /InvalidData: Cannot use "http:.*\/ffi\/lib\/.*": its SHA-256 is [0-9a-f]{64}, want [0-9a-f]{64}/,
  );
  assertStringIncludes(stderr, "XPC_SHMEM_LIBRARY");
  assertEquals(project.registry.count(LIBRARY), 2);
});

Deno.test("import from JSR: without a folder for the library, the error says what to allow", async () => {
  await using project = await Project.create();
  const cached = await project.run("server.ts", ["--allow-ffi"]);
  assertStringIncludes(cached.stderr, "Cannot download the native library: no folder for it is known");
});

Deno.test(`import from JSR: the doctor runs, and its children, with ${withPlug}`, async () => {
  await using project = await Project.create();
  const { code, stdout, stderr } = await project.run("jsr:@xpc/shmem/doctor --json", ["-A"]);
  assertEquals(code, 0, stdout + stderr);
  const { findings } = JSON.parse(stdout) as Diagnosis;
  const of = (check: string): string => findings.find((finding) => finding.check === check)?.found ?? "";
  assertStringIncludes(of("library"), project.cache);
  assertStringIncludes(of("checksum"), "that of this release");
  assertStringIncludes(of("exchange"), "round trips with another process");
  assertMatch(of("read-only"), /the memory is unharmed/);
});
