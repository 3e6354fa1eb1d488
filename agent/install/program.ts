import { load } from "../../ffi/load.ts";
import { TARGETS } from "../../ffi/targets.ts";
import type { Arguments, Runtime } from "./arguments.ts";
import { AgentError, type Machine } from "./machine.ts";
import { RELEASE } from "../../src/broker/release.ts";

/** The program that runs as the broker. */
export interface Program {
  /** The implementation. */
  readonly runtime: Runtime;
  /** The program's absolute path and its arguments. */
  readonly command: readonly string[];
  /** Its environment. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The folder of this checkout; `undefined` if the package came from a registry, which has no Swift sources. */
function checkout(): string | undefined {
  const root = new URL("../..", import.meta.url);
  return root.protocol === "file:" ? decodeURIComponent(root.pathname).replace(/\/$/, "") : undefined;
}

/**
 * Puts the program of a service into `folder`.
 *
 * @throws {AgentError} if it cannot be built
 */
export async function prepareProgram(machine: Machine, options: Arguments, folder: string): Promise<Program> {
  const { service, requirement } = options;
  const names = ["--service", service, ...requirement === undefined ? [] : ["--requirement", requirement]];
  const runtime = options.runtime ?? await defaultRuntime(machine);
  return runtime === "swift"
    ? { runtime, command: [await buildSwift(machine, folder), ...names], environment: {} }
    : { runtime, ...await prepareDeno(machine, folder, names) };
}

/** Swift if there is a toolchain, since that agent is far smaller, else Deno. */
async function defaultRuntime(machine: Machine): Promise<Runtime> {
  if (checkout() === undefined) return "deno";
  if (machine.dryRun || await machine.has(["swift", "--version"])) return "swift";
  machine.say("There is no Swift toolchain here: Deno will run the broker (--runtime deno).");
  return "deno";
}

async function buildSwift(machine: Machine, folder: string): Promise<string> {
  const root = checkout();
  if (root === undefined) {
    throw new AgentError(
      "Cannot build the Swift agent: its sources are only in a checkout of the project. Use --runtime deno",
    );
  }
  const build = [
    "swift",
    "build",
    "-c",
    "release",
    "--package-path",
    root,
    "--product",
    "xpc-shmem-agent",
  ];
  await machine.run(build, {
    hint: machine.platform === "darwin"
      ? `Install Apple's tools with "xcode-select --install", or use --runtime deno`
      : "Install Swift 6 (https://swift.org/install), or use --runtime deno",
  });
  const program = `${folder}/xpc-shmem-agent`;
  await machine.copy(`${root}/.build/release/xpc-shmem-agent`, program, 0o755);
  return program;
}

async function prepareDeno(
  machine: Machine,
  folder: string,
  names: readonly string[],
): Promise<Omit<Program, "runtime">> {
  const root = checkout();
  const from = await libraryPath(machine, root);
  const library = `${folder}/${from.slice(from.lastIndexOf("/") + 1)}`;
  await machine.copy(from, library, 0o755);
  // A checkout's lock file is for its tests. The registry's manifest protects what comes from there.
  const script = root === undefined
    ? [`jsr:@xpc/shmem@${RELEASE}/agent`]
    : ["--no-lock", "--config", `${root}/deno.json`, `${root}/agent/main.ts`];
  const permissions = ["--no-prompt", "--allow-ffi", "--allow-env=XPC_SHMEM_LIBRARY", "--allow-sys=uid"];
  return {
    command: [await denoPath(), "run", "--quiet", ...permissions, ...script, "run", ...names],
    environment: { XPC_SHMEM_LIBRARY: library },
  };
}

/** The native library for the machine: the one in use here, or, for another system, where it would be. */
async function libraryPath(machine: Machine, root: string | undefined): Promise<string> {
  if (!machine.dryRun) return (await load()).path;
  const os = machine.platform === "darwin" ? "macos" : "linux";
  const target = Object.values(TARGETS).find((target) => target.os === os && target.arch === Deno.build.arch);
  if (target === undefined) {
    throw new AgentError(`Cannot install on ${os} ${Deno.build.arch}: there is no library for it`);
  }
  return `${root ?? "$DENO_DIR"}/.build/${target.name}/${target.library}`;
}

/** A path of Deno that stays valid after an update: package managers put each version into another folder. */
async function denoPath(): Promise<string> {
  const own = Deno.execPath();
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    if (!folder.startsWith("/")) continue;
    const path = `${folder}/deno`;
    if (await Deno.realPath(path).catch(() => undefined) === own) return path;
  }
  return own;
}
