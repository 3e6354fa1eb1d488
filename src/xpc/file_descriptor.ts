import { describeError } from "../../ffi/errno.ts";
import { type Library, load } from "../../ffi/load.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { HeldObject } from "./_held.ts";

/**
 * A file descriptor that can be sent, or came in a message. It is a duplicate: whoever opened the original closes
 * the original.
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
    const object = isDescriptor(fd) ? library.xpc.xpc_fd_create(fd) : null;
    if (object === null) throw new RangeError(`Cannot duplicate descriptor ${fd}: it is not open`);
    return new FileDescriptor(library, object);
  }

  /**
   * Makes a new descriptor of this process, which the caller closes.
   *
   * @returns its number
   * @throws {TypeError} if this is disposed
   * @throws {Error} if the process has no descriptor left
   */
  dup(): number {
    const fd = this.held.library.xpc.xpc_fd_dup(this.held.borrow("duplicate a descriptor"));
    if (fd < 0) {
      throw new Error("Cannot duplicate a descriptor: the process has no descriptor left (see ulimit -n)");
    }
    return fd;
  }

  /**
   * Closes a descriptor that {@linkcode dup} gave.
   *
   * @param fd its number
   * @throws {RangeError} if it is not open
   */
  close(fd: number): void {
    // Checked first: the native call would take 3.7 for 3, and close another's descriptor.
    if (!isDescriptor(fd)) throw new RangeError(`Cannot close descriptor ${fd}: it is not open`);
    const result = this.held.library.shim.shim_descriptor_close(fd);
    if (result !== 0) throw new RangeError(`Cannot close descriptor ${fd}: ${describeError(result)}`);
  }

  /** Closes the duplicate. */
  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}

/** Whether it could be a descriptor: C takes 32 bits. */
function isDescriptor(fd: number): boolean {
  return Number.isInteger(fd) && fd >= 0 && fd <= 0x7fff_ffff;
}
