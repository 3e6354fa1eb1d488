/**
 * Thrown by `serve` when another app serves the name, and the reason of a server that was replaced.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { NameTakenError, serve } from "@xpc/shmem";
 *
 * await using _first = await serve("com.example.taken", { regions: { frame: { byteLength: 4096 } } });
 * try {
 *   await using _second = await serve("com.example.taken", { regions: { frame: { byteLength: 4096 } } });
 * } catch (error) {
 *   assert(error instanceof NameTakenError && error.pid === Deno.pid);
 * }
 * ```
 */
export class NameTakenError extends Error {
  /** The process that serves the name. */
  readonly pid: number;

  /**
   * Makes the error.
   *
   * @param name the name
   * @param pid who serves it
   */
  constructor(name: string, pid: number) {
    super(`Cannot serve "${name}": process ${pid} serves it`);
    this.name = "NameTakenError";
    this.pid = pid;
  }
}
