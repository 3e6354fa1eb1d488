/**
 * Builds the native library: `deno task build [--target host|all|<name>] [--check] [--quiet] [--install PREFIX]`.
 *
 * Without `--target`, builds for this system and for macOS on both processors, so that C which does not
 * compile for a Mac fails on Linux too. A build that is up to date is a few milliseconds of reading.
 *
 * @module
 */

import { compile, isFresh, type Plan, plan, sha256 } from "./build_target.ts";
import { BuildError, fetchZig, ZIG_VERSION } from "./zig.ts";
import { hostTarget, isTargetName, type Target, type TargetName, TARGETS } from "../targets.ts";
import { ROOT } from "./root.ts";

export { BuildError } from "./zig.ts";

/** Options of {@linkcode build}. */
export interface BuildOptions {
  /**
   * What to build: this system, every target, or one by name. By default this system and both Macs.
   *
   * @default {"default"}
   */
  target?: "default" | "host" | "all" | TargetName;
  /**
   * What to do about `ffi/checksums.ts`: leave it alone, write it (which needs every target), or fail if it
   * does not hold what was built. The latter two also look whether the libraries will load where they should.
   *
   * @default {"leave"}
   */
  checksums?: "leave" | "write" | "check";
  /**
   * Print nothing but errors.
   *
   * @default {false}
   */
  quiet?: boolean;
  /** The project's folder. By default the one that this file is in. */
  root?: string;
  /** The folder for the compiler's cache. By default `.build/zig-cache` in the root. */
  cache?: string;
}

/** A library that {@linkcode build} made or found up to date. */
export interface BuiltLibrary {
  /** The target. */
  target: TargetName;
  /** The path of the library. */
  path: string;
  /** Whether it was compiled now. */
  compiled: boolean;
}

/** What {@linkcode build} returns. */
export interface BuildResult {
  /** The libraries, in the order of the targets. */
  libraries: BuiltLibrary[];
  /** Whether `ffi/checksums.ts` was written. */
  checksumsWritten: boolean;
}

/**
 * Builds the native library for one or more targets; does nothing for those that are up to date.
 *
 * @param options what to build and where
 * @returns the libraries
 * @throws {BuildError} if a library cannot be built, or does not stand its checks
 */
export async function build(options: BuildOptions = {}): Promise<BuildResult> {
  const root = options.root ?? ROOT;
  const cache = options.cache ?? `${root}/.build/zig-cache`;
  const { target = "default", checksums = "leave" } = options;
  const targets = selectTargets(target);
  const folder = (target: Target) => `${root}/.build/${target.name}`;
  const stale = async () => {
    const plans = await Promise.all(targets.map((target) => plan(root, target)));
    const fresh = await Promise.all(plans.map((plan) => isFresh(folder(plan.target), plan)));
    return plans.filter((_, i) => !fresh[i]);
  };

  let compiled: Plan[] = [];
  if ((await stale()).length > 0) {
    await Deno.mkdir(`${root}/.build`, { recursive: true });
    // One build at a time; the system lets the lock go when the process ends, however it ends.
    using lock = await Deno.open(`${root}/.build/lock`, { create: true, write: true });
    await lock.lock(true);
    compiled = await stale();
    if (compiled.length > 0) {
      await compileAll(root, cache, compiled, options.quiet ?? false);
    }
  }

  const libraries = targets.map((target) => ({
    target: target.name,
    path: `${folder(target)}/${target.library}`,
    compiled: compiled.some((plan) => plan.target === target),
  }));
  if (checksums === "leave") return { libraries, checksumsWritten: false };

  const { verifyLibraries } = await import("./verify.ts");
  const { readFacts } = await import("./facts.ts");
  const { updateChecksums } = await import("./checksum_table.ts");
  const facts = await readFacts(await fetchZig({ cache }), root);
  const problems = await verifyLibraries(root, libraries, facts);
  if (problems.length > 0) throw new BuildError(`Cannot accept the libraries:\n${problems.join("\n")}`);
  return { libraries, checksumsWritten: await updateChecksums(root, targets, checksums === "check") };
}

function selectTargets(name: NonNullable<BuildOptions["target"]>): Target[] {
  if (name === "all") return Object.values(TARGETS);
  if (isTargetName(name)) return [TARGETS[name]];
  const host = hostTarget();
  if (host === undefined) {
    throw new BuildError(
      `Cannot build for this system: there is no library for ${Deno.build.os} on ${Deno.build.arch}. ` +
        `Name a target: --target all, or one of ${Object.keys(TARGETS).join(", ")}`,
    );
  }
  if (name === "host") return [host];
  return [...new Set([host, TARGETS["aarch64-macos"], TARGETS["x86_64-macos"]])];
}

async function compileAll(root: string, cache: string, plans: Plan[], quiet: boolean): Promise<void> {
  const progress = new Progress(quiet);
  try {
    const zig = await fetchZig({
      cache,
      onFetch: () => progress.line(`Fetching Zig ${ZIG_VERSION}, the C compiler, from npm (82 MB, once)`),
    });
    progress.start(`Compiling the native library for ${plans.map((plan) => plan.target.name).join(", ")}`);
    const results = await Promise.allSettled(
      plans.map((plan) => compile(zig, root, `${root}/.build/${plan.target.name}`, plan)),
    );
    progress.stop();
    for (const result of results) {
      if (result.status === "fulfilled" && result.value !== "") progress.line(result.value.trimEnd());
    }
    const errors = results.flatMap((result) => result.status === "rejected" ? [result.reason as Error] : []);
    const [first, ...others] = errors;
    if (first === undefined) return;
    if (others.length === 0 || errors.some((error) => !(error instanceof BuildError))) throw first;
    throw new BuildError(errors.map((error) => error.message).join("\n\n"));
  } finally {
    progress.stop();
  }
}

/** Says on stderr what takes time: a line whose seconds run on a terminal, a plain line elsewhere. */
class Progress {
  #quiet: boolean;
  #timer: ReturnType<typeof setInterval> | undefined;
  #text = "";
  #since = 0;

  constructor(quiet: boolean) {
    this.#quiet = quiet;
  }

  line(text: string): void {
    this.#write(`${text}\n`);
  }

  start(text: string): void {
    if (!Deno.stderr.isTerminal()) return this.line(text);
    this.#text = text;
    this.#since = performance.now();
    this.#draw();
    this.#timer = setInterval(() => this.#draw(), 200);
  }

  stop(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#draw();
    this.#write("\n");
  }

  #draw(): void {
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
    this.#write(`\r\x1b[K${this.#text} (${seconds} s)`);
  }

  #write(text: string): void {
    if (this.#quiet) return;
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  }
}

async function main(): Promise<void> {
  const { parseArgs } = await import("@std/cli/parse-args");
  const args = parseArgs(Deno.args, {
    string: ["target", "install"],
    boolean: ["check", "quiet"],
    unknown: (argument: string) => {
      throw new BuildError(
        `Cannot understand the argument: ${argument}. Known: --target, --check, --quiet, --install`,
      );
    },
  });
  // A check is of the whole table unless one says otherwise.
  const target = args.target ?? (args.install !== undefined ? "host" : args.check ? "all" : "default");
  if (args.install === "") {
    throw new BuildError("Cannot install: --install needs a folder, as in --install /usr/local");
  }
  if (!["default", "host", "all"].includes(target) && !isTargetName(target)) {
    const names = ["host", "all", ...Object.keys(TARGETS)].join(", ");
    throw new BuildError(`Cannot build for the target ${JSON.stringify(target)}. Known: ${names}`);
  }
  const result = await build({
    target: target as NonNullable<BuildOptions["target"]>,
    checksums: args.check ? "check" : target === "all" ? "write" : "leave",
    quiet: args.quiet,
  });
  if (args.install !== undefined) {
    const { install } = await import("./install.ts");
    const host = hostTarget();
    if (host === undefined) throw new BuildError("Cannot install: there is no library for this system");
    await build({ target: "host", quiet: args.quiet });
    for (const path of await install({ root: ROOT, target: host, prefix: args.install })) {
      if (!args.quiet) console.error(path);
    }
  }
  if (args.quiet) return;
  for (const { path, compiled } of result.libraries) {
    if (compiled) {
      const data = await Deno.readFile(path);
      console.error(`${path}: ${data.byteLength} bytes, SHA-256 ${(await sha256(data)).slice(0, 16)}…`);
    }
  }
  if (result.checksumsWritten) console.error("ffi/checksums.ts written");
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(`error: ${error.message}`);
    Deno.exit(1);
  }
}
