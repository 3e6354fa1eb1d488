import { describeError } from "../../ffi/errno.ts";
import { type Library, load } from "../../ffi/load.ts";
import { bufferOf, handleAt, offset } from "../../ffi/memory.ts";
import type { Address } from "../../ffi/types.ts";
import { FileDescriptor } from "../xpc/file_descriptor.ts";
import { SharedMemory } from "../xpc/shared_memory.ts";
import { makeView, type ViewConstructor } from "./views.ts";

/** Options of {@linkcode Mapping.create}. */
export interface MappingOptions {
  /**
   * Whether the kernel keeps everybody else from writing.
   *
   * @default {false}
   */
  readOnlyForOthers?: boolean;
  /**
   * Whether to make all pages resident now, instead of each at its first touch.
   *
   * @default {false}
   */
  prefault?: boolean;
}

/** What must be undone when a mapping ends; the native side of {@linkcode Mapping}. */
interface Native {
  readonly library: Library;
  readonly address: Address;
  readonly mapped: bigint;
  readonly fd: number;
}

function unmap({ library, address, mapped, fd }: Native): void {
  library.shim.shim_memory_close(address, mapped);
  if (fd >= 0) library.shim.shim_descriptor_close(fd);
}

/**
 * Keyed by the buffer as soon as there is one, not by the mapping: views keep the buffer, and so the memory, and
 * nothing else.
 */
const registry = new FinalizationRegistry<Native>(unmap);

/**
 * Memory of this process that others may share, with one owner: it is unmapped by {@linkcode Mapping.close}, after
 * all views were detached, or when neither the mapping nor a view of it can be reached any more.
 */
export class Mapping implements Disposable {
  /** The length that was asked for, in bytes. */
  readonly byteLength: number;
  /** Whether this process may write to it. */
  readonly writable: boolean;
  readonly #native: Native;
  /** Made at the first view: V8 takes its length for memory that it should collect, and does so, for milliseconds. */
  #buffer: ArrayBuffer | undefined;
  #closed = false;

  private constructor(native: Native, byteLength: number, writable: boolean) {
    this.#native = native;
    this.byteLength = byteLength;
    this.writable = writable;
    registry.register(this, native, this);
  }

  /**
   * Makes zeroed memory.
   *
   * @param byteLength how much, in bytes
   * @param options who may write, and whether to touch it now
   * @returns the mapping
   * @throws {RangeError} if the length is not a positive integer, or more than this machine has
   */
  static async create(byteLength: number, options: MappingOptions = {}): Promise<Mapping> {
    const library = await load();
    checkLength(library, byteLength);
    const { readOnlyForOthers = false, prefault = false } = options;
    const { shim } = library;
    const make = readOnlyForOthers ? shim.shim_memory_create_read_only : shim.shim_memory_create;
    const native = take(
      library,
      `make a region of ${byteLength} bytes`,
      (out) => make(BigInt(byteLength), out),
    );
    return Mapping.#finish(native, byteLength, true, prefault);
  }

  /**
   * Maps memory that came in a message.
   *
   * @param memory the writable memory, or the descriptor of read-only memory; stays the caller's
   * @param byteLength the length that the sender tells; checked against the kernel's
   * @param prefault whether to make all pages resident now
   * @returns the mapping
   * @throws {RangeError} if the length is not valid, or the memory is shorter or could become so
   */
  static open(memory: SharedMemory | FileDescriptor, byteLength: number, prefault = false): Mapping {
    const { held } = memory;
    const { library } = held;
    checkLength(library, byteLength);
    const object = held.borrow("map memory");
    const { shim } = library;
    const isWritable = memory instanceof SharedMemory;
    const map = isWritable ? shim.shim_memory_open : shim.shim_memory_open_read_only;
    const native = take(library, `map a region of ${byteLength} bytes`, (out) => {
      return map(object, BigInt(byteLength), out);
    });
    return Mapping.#finish(native, byteLength, isWritable, prefault);
  }

  static #finish(native: Native, byteLength: number, writable: boolean, prefault: boolean): Mapping {
    if (prefault) {
      const result = native.library.shim.shim_memory_prefault(native.address, BigInt(byteLength), writable);
      if (result !== 0) {
        unmap(native);
        throw new RangeError(`Cannot make ${byteLength} bytes resident: ${describeError(result)}`);
      }
    }
    return new Mapping(native, byteLength, writable);
  }

  /** Whether the mapping was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** The libraries that its words are worked on with. */
  get library(): Library {
    return this.#native.library;
  }

  /**
   * A view of the memory, no copy.
   *
   * @typeParam V the view, such as `Float32Array`
   * @param Type its class
   * @param byteOffset where it begins, a multiple of the element's size
   * @param length how many elements (bytes for `DataView`); all there is room for by default
   * @returns the view, whose length becomes 0 when the mapping is closed
   * @throws {TypeError} if the mapping is closed
   * @throws {RangeError} if the part is not inside of the mapping, or not aligned
   */
  view<V extends ArrayBufferView>(Type: ViewConstructor<V>, byteOffset = 0, length?: number): V {
    if (this.#closed) throw new TypeError("Cannot view a region: it is closed");
    if (this.#buffer === undefined) {
      this.#buffer = bufferOf(this.#native.address, this.byteLength);
      registry.unregister(this);
      registry.register(this.#buffer, this.#native, this);
    }
    return makeView(Type, this.#buffer, byteOffset, length);
  }

  /**
   * The address of a word, for the functions of the shim.
   *
   * @throws {TypeError} if the mapping is closed
   * @throws {RangeError} if the word is not inside of it
   */
  word(byteOffset: number, byteLength: 4 | 8 = 4): Address {
    if (this.#closed) throw new TypeError("Cannot use a word of a region: it is closed");
    if (!(byteOffset >= 0 && byteOffset + byteLength <= this.byteLength && byteOffset % byteLength === 0)) {
      throw new RangeError(`Cannot use the word at byte ${byteOffset} of ${this.byteLength}`);
    }
    return offset(this.#native.address, byteOffset);
  }

  /**
   * What another process needs to map this memory too.
   *
   * @returns writable memory, or the descriptor of memory that is read-only for others; the caller disposes it
   * @throws {TypeError} if the mapping is closed
   * @throws {Error} if no descriptor is left
   */
  share(): SharedMemory | FileDescriptor {
    if (this.#closed) throw new TypeError("Cannot share a region: it is closed");
    const { library, address, mapped, fd } = this.#native;
    const object = fd >= 0 ? library.xpc.xpc_fd_create(fd) : library.xpc.xpc_shmem_create(address, mapped);
    if (object === null) {
      throw new Error("Cannot share a region: the process has no descriptor left (see ulimit -n)");
    }
    return fd >= 0 ? new FileDescriptor(library, object) : new SharedMemory(library, object);
  }

  /** Detaches every view, then unmaps. Others that share the memory keep it. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    registry.unregister(this);
    this.#buffer?.transfer(0); // every view has length 0 from now on, and none the memory
    this.#buffer = undefined;
    unmap(this.#native);
  }

  /** The same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Checks a length before anything is asked of the kernel. */
function checkLength(library: Library, byteLength: number): void {
  if (!Number.isSafeInteger(byteLength) || byteLength <= 0) {
    throw new RangeError(`Cannot make a region of ${byteLength} bytes: want an integer above 0`);
  }
  const physical = Number(library.shim.shim_memory_physical());
  if (physical > 0 && byteLength > physical) {
    throw new RangeError(
      `Cannot make a region of ${byteLength} bytes: this machine has ${physical} bytes of memory and swap`,
    );
  }
}

/** Calls a function that fills a `shim_mapping`. */
function take(library: Library, doing: string, call: (out: Uint8Array<ArrayBuffer>) => number): Native {
  const out = new Uint8Array(24);
  const result = call(out);
  if (result !== 0) throw new RangeError(`Cannot ${doing}: ${describeError(result)}`);
  const view = new DataView(out.buffer);
  const address = handleAt<Address>(view, 0);
  if (address === null) throw new RangeError(`Cannot ${doing}: it has no address`);
  return { library, address, mapped: view.getBigUint64(8, true), fd: Number(view.getBigInt64(16, true)) };
}
