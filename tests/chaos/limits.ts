/**
 * Takes away a process's descriptors, with prlimit of util-linux.
 *
 * @module
 */

/** Whether that can be done here. */
export const available: boolean = await run(["--version"]);

/**
 * Sets the limit to what the process has: it can open nothing more.
 *
 * @returns the limit as it was, or `undefined` if the process is gone
 */
export async function starve(pid: number): Promise<string | undefined> {
  try {
    const limits = await Deno.readTextFile(`/proc/${pid}/limits`);
    const before = limits.match(/^Max open files\s+(\S+)/m)?.[1];
    let used = 0;
    for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) used++;
    return await run(["--pid", String(pid), `--nofile=${used}:`]) ? before : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Gives the limit back; a process that is gone needs none. */
export async function restore(pid: number, limit: string | undefined): Promise<void> {
  if (limit !== undefined) await run(["--pid", String(pid), `--nofile=${limit}:`]);
}

async function run(args: string[]): Promise<boolean> {
  try {
    const command = new Deno.Command("prlimit", { args, stdin: "null", stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
