/**
 * The Swift compiler, where there is one: on the path, or in the root that `.ci/run` installs on a Debian without Swift.
 *
 * @module
 */

/** Runs a shell command in a folder where `swiftc` is found. */
export interface Swift {
  /** Gives what the command printed; throws what it complained of. */
  run(folder: string, command: string, input?: Uint8Array): Promise<Uint8Array>;
}

const ROOT = Deno.env.get("XPC_SHMEM_SWIFT_ROOT") ?? "/opt/xpc-shmem-swift-6.0";

/** The mounts belong to the command's own mount namespace, so they end with the command. */
const IN_ROOT = `
  mkdir -p "$1/work"
  mountpoint -q "$1/proc" || mount -t proc proc "$1/proc"
  mount --bind "$2" "$1/work"
  exec chroot "$1" sh -euc "cd /work; $3"
`;

/**
 * Finds the compiler.
 *
 * @returns the compiler, or `undefined` where there is none
 */
export async function findSwift(): Promise<Swift | undefined> {
  if (await succeeds(["swiftc", "--version"])) {
    return { run: (folder, command, input) => output(["sh", "-euc", command], folder, input) };
  }
  if (!await exists(`${ROOT}/complete`) || !await succeeds(["unshare", "--mount", "true"])) return undefined;
  const enter = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", IN_ROOT, "sh", ROOT];
  return { run: (folder, command, input) => output([...enter, folder, command], folder, input) };
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

async function succeeds([program = "", ...args]: string[]): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
    return success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs a program, with `input` as what it reads, and gives what it printed. */
export async function output(
  [program = "", ...args]: readonly string[],
  cwd: string,
  input: Uint8Array = new Uint8Array(),
): Promise<Uint8Array> {
  const process = new Deno.Command(program, {
    args: [...args],
    cwd,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  })
    .spawn();
  const writer = process.stdin.getWriter();
  // A program that reads nothing has closed its end, and that is no error.
  const written = writer.write(input).then(() => writer.close()).catch(() => {});
  const { success, stdout, stderr } = await process.output();
  await written;
  if (!success) {
    throw new Error(`Cannot run ${[program, ...args].join(" ")}: ${new TextDecoder().decode(stderr)}`);
  }
  return stdout;
}
