import { describeError } from "../../ffi/errno.ts";
import { type Library, load } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { HeldObject } from "./_held.ts";

/**
 * A file descriptor that can be sent, or came in a message. It is a duplicate: the one that it was made of stays
 * its owner's.
 *
 * @example
 * ```ts
 * import { FileDescriptor } from "@xpc/shmem/xpc";
 *
 * using output = await FileDescriptor.from(1);
 * const copy = output.dup();
 * output.close(copy);
 * ```
 */
export class FileDescriptor implements Disposable {
  /** @internal */
  readonly held: HeldObject;

  /** @internal */
  constructor(library: Library, object: XpcObject) {
    this.held = new HeldObject(library, object);
  }

  /**
   * Duplicates a descriptor of this process.
   *
   * @param fd the descriptor; it stays the caller's
   * @returns the duplicate
   * @throws {RangeError} if it is not an open descriptor
   */
  static async from(fd: number): Promise<FileDescriptor> {
    const library = await load();
    const object = Number.isInteger(fd) && fd >= 0 ? library.xpc.xpc_fd_create(fd) : null;
    if (object === null) throw new RangeError(`Cannot duplicate descriptor ${fd}: it is not open`);
    return new FileDescriptor(library, object);
  }

  /**
   * A new descriptor of this process, which the caller closes.
   *
   * @returns its number
   * @throws {TypeError} if this is disposed
   * @throws {Error} if the process has no descriptor left
   */
  dup(): number {
    const fd = this.held.library.xpc.xpc_fd_dup(this.held.borrow("duplicate a descriptor"));
    if (fd < 0) throw new Error("Cannot duplicate a descriptor: is the process at its limit (ulimit -n)?");
    return fd;
  }

  /**
   * Closes a descriptor that {@linkcode dup} gave.
   *
   * @param fd its number
   * @throws {RangeError} if it is not open
   */
  close(fd: number): void {
    const result = this.held.library.shim.shim_descriptor_close(fd);
    if (result !== 0) throw new RangeError(`Cannot close descriptor ${fd}: ${describeError(result)}`);
  }

  /** Gives the duplicate up. */
  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}
