import { ROOT } from "../../../ffi/build/root.ts";
import { CHECKSUMS } from "../../../ffi/checksums.ts";
import { hostTarget, TARGETS } from "../../../ffi/targets.ts";
import type { Package } from "./registry.ts";

/** What is large, made, or none of the package's. */
const LEFT_OUT = [".git", ".build", "ffi/lib", "node_modules", "coverage"];

/** What is read of deno.json. */
export interface Configuration {
  readonly name: string;
  readonly version: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

/** The project's deno.json. */
export async function readConfiguration(root = ROOT): Promise<Configuration> {
  return JSON.parse(await Deno.readTextFile(`${root}/deno.json`)) as Configuration;
}

/** A copy of the project in which the libraries lie where publishing takes them from. */
export class StagedProject implements AsyncDisposable {
  private constructor(readonly root: string) {}

  /** Takes this system's library from the build, and a few bytes for each of the others. */
  static async create(): Promise<StagedProject> {
    const project = new StagedProject(await Deno.makeTempDir({ prefix: "xpc-publish-" }));
    await copy(ROOT, project.root, "");
    const host = hostTarget();
    for (const target of Object.values(TARGETS)) {
      await Deno.mkdir(`${project.root}/ffi/lib/${target.name}`, { recursive: true });
      const path = `${project.root}/ffi/lib/${target.name}/${target.library}`;
      if (target === host) await Deno.copyFile(`${ROOT}/.build/${target.name}/${target.library}`, path);
      else await Deno.writeTextFile(path, `stands for the library of ${target.name}`);
    }
    return project;
  }

  /** Asks Deno what it would publish. */
  async dryRun(): Promise<{ code: number; paths: string[]; output: string }> {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["publish", "--dry-run", "--allow-dirty"],
      cwd: this.root,
      env: { NO_COLOR: "1" },
    }).output();
    const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const prefix = `file://${await Deno.realPath(this.root)}/`;
    const paths = output.split("\n").map((line) => line.trim().replace(/ \([\d.]+[KM]?B\)$/, ""))
      .filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
    return { code, paths: paths.sort(), output };
  }

  /** The package as JSR would have it: these files, the import map applied to them. */
  async package(paths: readonly string[]): Promise<Package> {
    const { name, version, exports, imports } = await readConfiguration(this.root);
    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const path of paths) {
      const bytes = await Deno.readFile(`${this.root}/${path}`);
      files.set(path, path.endsWith(".ts") ? applyImports(bytes, imports) : bytes);
    }
    const host = hostTarget();
    if (host !== undefined) await fitChecksum(files, host.name, `ffi/lib/${host.name}/${host.library}`);
    return { name, version, exports, files };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

async function copy(from: string, to: string, path: string): Promise<void> {
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${from}/${path}`)) {
    const inside = path === "" ? name : `${path}/${name}`;
    if (LEFT_OUT.includes(inside)) continue;
    if (isDirectory) {
      await Deno.mkdir(`${to}/${inside}`, { recursive: true });
      await copy(from, to, inside);
    } else if (isFile) {
      await Deno.copyFile(`${from}/${inside}`, `${to}/${inside}`);
    }
  }
}

/** Publishing writes the targets of the import map into the modules. */
function applyImports(
  bytes: Uint8Array<ArrayBuffer>,
  imports: Configuration["imports"],
): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder().decode(bytes).replaceAll(
    /\b((?:from|import)\s*\(?\s*)"([^"]+)"/g,
    (whole, before: string, specifier: string) => {
      const mapped = imports[specifier];
      return mapped === undefined ? whole : `${before}"${mapped}"`;
    },
  );
  return new TextEncoder().encode(text);
}

/**
 * The table in the tree may be older than the sources while they are worked on, which
 * `deno task build --check` tells. What is served here fits the library that is served.
 */
async function fitChecksum(files: Package["files"], target: string, path: string): Promise<void> {
  const table = files.get("ffi/checksums.ts");
  const library = files.get(path);
  const listed = CHECKSUMS[target]?.sha256;
  if (table === undefined || library === undefined || listed === undefined) return;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", library)).toHex();
  const text = new TextDecoder().decode(table).replace(listed, digest);
  files.set("ffi/checksums.ts", new TextEncoder().encode(text));
}
