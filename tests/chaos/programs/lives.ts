/**
 * Whether there is such a process for sure, one that is not dead and only waits for its parent to notice. A program
 * without descriptors cannot look.
 */
export async function lives(pid: number): Promise<boolean> {
  try {
    return !/^State:\s+[ZX]/m.test(await Deno.readTextFile(`/proc/${pid}/status`));
  } catch {
    return false;
  }
}
