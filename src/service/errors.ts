/**
 * Thrown by `connect` with `wait: false` when nobody serves the name, or its server cannot be reached.
 *
 * @example
 * ```ts
 * import { assert, assertRejects } from "@std/assert";
 * import { connect, ServiceNotFoundError } from "@xpc/shmem";
 *
 * const connecting = connect("com.example.nobody", { wait: false });
 * const error = await assertRejects(() => connecting, ServiceNotFoundError);
 * assert(error.serviceName === "com.example.nobody");
 * ```
 */
export class ServiceNotFoundError extends Error {
  /** The name that nobody serves. */
  readonly serviceName: string;

  /**
   * Makes the error.
   *
   * @param serviceName the name that nobody serves
   * @param found what was found instead
   * @param options the cause
   */
  constructor(serviceName: string, found: string, options?: ErrorOptions) {
    super(`Cannot find the service "${serviceName}": ${found}`, options);
    this.name = "ServiceNotFoundError";
    this.serviceName = serviceName;
  }
}

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
