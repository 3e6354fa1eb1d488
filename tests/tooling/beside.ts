/**
 * Runs commands beside each other, so that the output of each stays in one piece.
 *
 * @module
 */

/** A command, and what its output is about. */
export interface Run {
  readonly title: string;
  readonly command: readonly [string, ...string[]];
}

/** Where the commands run, and what they find in their environment. */
export interface BesideOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** The signals that end a command of the shell: by Ctrl+C, by a runner whose time is over, by a closed terminal. */
const ENDING: readonly Deno.Signal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/**
 * Runs commands beside each other. The first one's output is seen as it comes. Those of the others follow when it is
 * done, one after the other. Where there are several, a title stands before each. A signal that ends this process ends all of them.
 *
 * @param runs what to run
 * @param options where
 * @returns the first exit status that is not 0, or 0
 */
export async function runBeside(runs: readonly Run[], options: BesideOptions): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "xpc-beside-" });
  const processes: Deno.ChildProcess[] = [];
  const end = ENDING.map((signal) => ({ signal, listener: () => endAll(processes, signal) }));
  for (const { signal, listener } of end) Deno.addSignalListener(signal, listener);
  try {
    for (const [index, { title, command }] of runs.entries()) {
      if (index === 0 && runs.length > 1) say(`== ${title}\n`);
      processes.push(start(command, index === 0 ? undefined : `${folder}/${index}`, options));
    }
    let code = 0;
    const failures: string[] = [];
    for (const [index, { title }] of runs.entries()) {
      const status = await processes[index]!.status;
      if (index > 0) say(`\n== ${title}\n`, await Deno.readFile(`${folder}/${index}`));
      if (status.success) continue;
      if (code === 0) code = status.code;
      failures.push(`"${title}" (exit status ${status.code})`);
    }
    // What failed may be far above the output of what did not.
    if (failures.length > 0 && runs.length > 1) say(`\nCannot pass: failed is ${failures.join(", and ")}\n`);
    return code;
  } finally {
    endAll(processes, "SIGTERM"); // only after an error of our own: else they have ended
    for (const { signal, listener } of end) Deno.removeSignalListener(signal, listener);
    await Deno.remove(folder, { recursive: true });
  }
}

/** Starts a command whose output goes where ours goes, or into a file. */
function start(command: Run["command"], file: string | undefined, options: BesideOptions): Deno.ChildProcess {
  if (file === undefined) {
    const [program, ...args] = command;
    return new Deno.Command(program, { args, stdin: "inherit", ...options }).spawn();
  }
  // Both of its streams go into one file, so that they keep their order. A pipe would do that too, but it ends only when
  // all processes that a test has left behind have ended.
  const args = ["-c", 'file=$1; shift; exec "$@" > "$file" 2>&1', "sh", file, ...command];
  return new Deno.Command("sh", { args, stdin: "null", ...options }).spawn();
}

function endAll(processes: readonly Deno.ChildProcess[], signal: Deno.Signal): void {
  for (const process of processes) {
    try {
      process.kill(signal);
    } catch {
      // it has ended
    }
  }
}

function say(text: string, data = new Uint8Array()): void {
  for (const part of [new TextEncoder().encode(text), data]) {
    for (let rest = part; rest.length > 0;) rest = rest.subarray(Deno.stdout.writeSync(rest));
  }
}
