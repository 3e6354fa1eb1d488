/**
 * Zig from npm, the C compiler for every target. Deno fetches it when a build first needs it, checks it by npm's
 * integrity sums, and keeps it in its own cache; nothing is installed.
 *
 * @module
 */

import type { FetchAnswer } from "./fetch_zig.ts";

/** The version of Zig. Part of every build's stamp: another compiler builds anew. */
export const ZIG_VERSION = "0.16.0";

/** A build or a check failed for a reason that its message explains: no stack is needed. */
export class BuildError extends Error {
  override name = "BuildError";
}

/** A compiler that is ready to run. */
export interface Zig {
  /** The `zig` program. */
  readonly program: string;
  /** Its library folder: headers and export lists of every system. */
  readonly library: string;
  /** The environment that it needs. */
  readonly env: Readonly<Record<string, string>>;
}

/** Options of {@linkcode fetchZig}. */
export interface FetchZigOptions {
  /** The folder in which the compiler caches what it compiles of the project. */
  cache: string;
  /** Called once if the compiler has to be fetched, which takes a while. */
  onFetch?: () => void;
}

/** npm's names for the systems that Zig has a package for. */
const HOSTS: Readonly<Record<string, string>> = {
  "darwin-aarch64": "darwin-arm64",
  "darwin-x86_64": "darwin-x64",
  "linux-aarch64": "linux-arm64",
  "linux-x86_64": "linux-x64",
};

/** How many milliseconds to wait for the compiler from Deno's cache before `onFetch` is called. */
const PATIENCE = 250;

/**
 * Finds the compiler in Deno's cache, or fetches it from npm.
 *
 * @param options where the compiler keeps its cache, and whom to tell
 * @returns the compiler
 * @throws {BuildError} if there is no compiler for this system, or npm cannot be reached
 */
export async function fetchZig(options: FetchZigOptions): Promise<Zig> {
  const host = HOSTS[`${Deno.build.os}-${Deno.build.arch}`];
  if (host === undefined) {
    throw new BuildError(
      `Cannot build on this system: there is no C compiler for ${Deno.build.os} on ${Deno.build.arch}. ` +
        `Build on macOS or Linux (arm64 or x64), or set XPC_SHMEM_LIBRARY to a library built there`,
    );
  }
  const timer = setTimeout(() => options.onFetch?.(), PATIENCE);
  try {
    const packages = [host, "lib"].map((name) => `@zigc/${name}@${ZIG_VERSION}`);
    const [[program, library], global] = await Promise.all([fetchPackages(packages), globalCache()]);
    return {
      program: `${program}/bin/zig`,
      library: library!,
      env: {
        ZIG_LIB_DIR: library!,
        ZIG_GLOBAL_CACHE_DIR: global,
        ZIG_LOCAL_CACHE_DIR: options.cache,
      },
    };
  } finally {
    clearTimeout(timer);
  }
}

/**
 * The folder in which the compiler caches what it compiles of its own: libc's start files, the runtimes of sanitizers.
 * Those of the thread sanitizer take 90 seconds and are the same for every checkout, so the folder is in Deno's cache.
 */
async function globalCache(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-config"],
    stdin: "null",
    stderr: "inherit",
  }).output();
  const { denoDir } = JSON.parse(new TextDecoder().decode(stdout)) as { denoDir: string };
  return `${denoDir}/xpc-shmem/zig-${ZIG_VERSION}`;
}

/** Has Deno fetch packages from npm; returns the folders that they lie in. */
async function fetchPackages(packages: string[]): Promise<string[]> {
  const script = decodeURIComponent(new URL("./fetch_zig.ts", import.meta.url).pathname);
  // On a terminal Deno draws a progress bar while it downloads; elsewhere it would print every URL.
  const terminal = Deno.stderr.isTerminal();
  const args = ["run", "--allow-all", "--no-lock", ...(terminal ? [] : ["--quiet"]), script, ...packages];
  const output = await new Deno.Command(Deno.execPath(), {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: terminal ? "inherit" : "piped",
  }).output();
  let answer: FetchAnswer;
  try {
    answer = JSON.parse(new TextDecoder().decode(output.stdout)) as FetchAnswer;
  } catch {
    // Deno itself failed before the script could print the reason.
    const reason = terminal ? "see above" : new TextDecoder().decode(output.stderr).trim();
    answer = { failed: packages.join(", "), reason };
  }
  if ("folders" in answer) return answer.folders;
  throw new BuildError(
    `Cannot fetch the C compiler (${answer.failed}) from npm: ${answer.reason}. ` +
      `Check the network, or set NPM_CONFIG_REGISTRY to a registry that can be reached; ` +
      `a library that was built elsewhere is taken with XPC_SHMEM_LIBRARY`,
  );
}

/** What {@linkcode runZig} returns. */
export interface ZigOutput {
  /** What the compiler printed. */
  stdout: Uint8Array;
  /** Its diagnostics, which may be warnings only. */
  stderr: string;
}

/**
 * Runs the compiler to its end.
 *
 * @param zig the compiler
 * @param args its arguments
 * @param what what it does, for the error: "compile for x86_64-linux"
 * @param cwd the folder to run in
 * @returns what it printed
 * @throws {BuildError} with the compiler's diagnostics, if it failed
 */
export async function runZig(zig: Zig, args: string[], what: string, cwd: string): Promise<ZigOutput> {
  let output: Deno.CommandOutput;
  try {
    output = await new Deno.Command(zig.program, {
      args,
      cwd,
      env: zig.env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
  } catch (cause) {
    throw new BuildError(
      `Cannot run the C compiler ${zig.program}: ${cause instanceof Error ? cause.message : cause}. ` +
        "If its package is damaged, remove the folder that it lies in and build again",
      { cause },
    );
  }
  const stderr = new TextDecoder().decode(output.stderr);
  if (!output.success) {
    const how = output.signal === null ? `exit status ${output.code}` : `signal ${output.signal}`;
    throw new BuildError(`Cannot ${what} (${how})\n${stderr.trimEnd()}`);
  }
  return { stdout: output.stdout, stderr };
}
