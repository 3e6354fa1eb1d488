import { describeError } from "../../ffi/errno.ts";
import { type Library, load } from "../../ffi/load.ts";
import { bufferOf, offset } from "../../ffi/memory.ts";
import type { Address } from "../../ffi/types.ts";
import { FileDescriptor } from "../xpc/file_descriptor.ts";
import { SharedMemory } from "../xpc/shared_memory.ts";
import { checkLength, closeDescriptor, type Native, retireViewed, take, unmap } from "./_native.ts";
import { makeView, type ViewConstructor, type ViewWindow } from "./views.ts";

/** Options of {@linkcode Mapping.open}. */
export interface OpenMappingOptions {
  /**
   * Whether to make all pages resident now, instead of each at its first touch.
   *
   * @default {false}
   */
  prefault?: boolean;
  /** The name of the region, for errors. */
  name?: string;
  /**
   * How many bytes to map behind `byteLength`: for words, no view shows them.
   *
   * @default {0}
   */
  behind?: number;
  /**
   * Whether to keep what came in the message, so that this process can share the memory on. On Linux that is a
   * descriptor for each mapping.
   *
   * @default {false}
   */
  keep?: boolean;
}

/** Options of {@linkcode Mapping.create}. */
export interface MappingOptions extends Omit<OpenMappingOptions, "keep"> {
  /**
   * Whether the kernel keeps everybody else from writing.
   *
   * @default {false}
   */
  readOnlyForOthers?: boolean;
}

/** What a new mapping is, whichever way it came to be. */
interface Description {
  readonly byteLength: number;
  readonly behind: number;
  readonly writable: boolean;
  readonly what: string;
  /** Whether this process made the memory. */
  readonly isOwn: boolean;
  /** See {@linkcode BorrowOptions.release}. */
  readonly release?: () => boolean;
}

/** Options of {@linkcode Mapping.borrow}. */
export interface BorrowOptions extends Pick<OpenMappingOptions, "name" | "behind"> {
  /** Whether this process may write to it. */
  readonly writable: boolean;
  /** Called when the mapping is closed: whether the mapping is to end the memory now, or leaves that to its lender. */
  readonly release: () => boolean;
}

/** For mappings that nobody closed, as long as there is no buffer. */
const unviewed = new FinalizationRegistry<Native>(unmap);

/**
 * For buffers of mappings that nobody closed: views keep the buffer, and so the memory, and nothing else. A buffer
 * that its user transferred cannot be told from others once it is collected: whoever got the content then sees
 * zeros, and keeps the process alive.
 */
const viewed = new FinalizationRegistry<Native>(retireViewed);

/**
 * Memory of this process that others may share, with one owner. It ends by {@linkcode Mapping.close}, or when neither
 * the mapping nor a view of it can be reached any more.
 */
export class Mapping implements Disposable {
  /** The length that views show, in bytes. */
  readonly byteLength: number;
  /** Whether this process may write to it. */
  readonly writable: boolean;
  /** How errors name it. */
  readonly #what: string;
  readonly #isOwn: boolean;
  readonly #native: Native;
  /** How many bytes there are, with those behind the ones that views show. */
  readonly #total: number;
  readonly #release: (() => boolean) | undefined;
  /** What the memory came in, where it was kept. */
  #source: SharedMemory | FileDescriptor | undefined;
  /** Made at the first view: V8 takes its length for memory that it should collect, and does so, for milliseconds. */
  #buffer: ArrayBuffer | undefined;
  /** Whether a buffer was transferred away by its user: another buffer shows the memory, and we do not know which. */
  #transferred = false;
  #closed = false;

  private constructor(native: Native, description: Description) {
    const { byteLength, behind, writable, what, isOwn, release } = description;
    this.#native = native;
    this.#what = what;
    this.#isOwn = isOwn;
    this.byteLength = byteLength;
    this.#total = byteLength + behind;
    this.writable = writable;
    this.#release = release;
    if (release === undefined) unviewed.register(this, native, this);
  }

  /**
   * Makes zeroed memory.
   *
   * @param byteLength how much, in bytes
   * @param options who may write, whether to touch it now, and its name
   * @returns the mapping
   * @throws {TypeError} if the length is not a number
   * @throws {RangeError} if the length is not a positive integer, or more than this machine has, or if `prefault` asks
   *   for more than the process may have
   */
  static async create(byteLength: number, options: MappingOptions = {}): Promise<Mapping> {
    const library = await load();
    const { readOnlyForOthers = false, prefault = false, name, behind = 0 } = options;
    const what = nameOf(name);
    checkLength(library, `make ${what}`, byteLength);
    const { shim } = library;
    const make = readOnlyForOthers ? shim.shim_memory_create_read_only : shim.shim_memory_create;
    const native = take(
      library,
      (out) => make(BigInt(byteLength) + BigInt(behind), out),
      (result) => `Cannot make ${what} of ${byteLength} bytes: ${describeError(result)}`,
    );
    return Mapping.#finish(native, { byteLength, behind, writable: true, what, isOwn: true }, prefault);
  }

  /**
   * Maps memory that came in a message.
   *
   * @param memory the writable memory, or the descriptor of read-only memory; stays the caller's
   * @param byteLength the length that the sender tells; checked against the kernel's
   * @param options whether to make all pages resident now, and the name; or only the former
   * @returns the mapping
   * @throws {TypeError} if the length is not a number
   * @throws {RangeError} if the length is not valid, if the memory is shorter or could become so, or if `prefault`
   *   asks for more than the process may have
   */
  static open(
    memory: SharedMemory | FileDescriptor,
    byteLength: number,
    options: OpenMappingOptions | boolean = {},
  ): Mapping {
    const { prefault = false, name, behind = 0, keep = false }: OpenMappingOptions =
      typeof options === "boolean" ? { prefault: options } : options;
    const what = nameOf(name);
    const { held } = memory;
    const { library } = held;
    checkLength(library, `map ${what}`, byteLength);
    const object = held.borrow(`map ${what}`);
    const { shim } = library;
    const writable = memory instanceof SharedMemory;
    const map = writable ? shim.shim_memory_open : shim.shim_memory_open_read_only;
    const native = take(
      library,
      (out) => map(object, BigInt(byteLength) + BigInt(behind), out),
      (result) => `Cannot map ${what} of ${byteLength} bytes: ${describeError(result, "map")}`,
    );
    const mapping = Mapping.#finish(native, { byteLength, behind, writable, what, isOwn: false }, prefault);
    if (keep) mapping.#source = again(memory);
    return mapping;
  }

  /**
   * Uses a mapping that a lender made, and keeps until {@linkcode Mapping.close} at the latest: it ends in no other way.
   *
   * @param library the libraries
   * @param address where it is
   * @param mapped its length in bytes, whole pages
   * @param byteLength the length that views show
   */
  static borrow(
    library: Library,
    address: Address,
    mapped: bigint,
    byteLength: number,
    { name, behind = 0, writable, release }: BorrowOptions,
  ): Mapping {
    const what = nameOf(name);
    const native = { library, address, mapped, fd: -1 };
    return new Mapping(native, { byteLength, behind, writable, what, isOwn: false, release });
  }

  static #finish(native: Native, description: Description, prefault: boolean): Mapping {
    if (prefault) {
      const { byteLength, behind, writable, what } = description;
      const length = BigInt(byteLength) + BigInt(behind);
      const result = native.library.shim.shim_memory_prefault(native.address, length, writable);
      if (result !== 0) {
        unmap(native);
        throw new RangeError(
          `Cannot make ${byteLength} bytes of ${what} resident: ${describeError(result, "prefault")}; ` +
            "leave prefault out, or make the region smaller",
        );
      }
    }
    return new Mapping(native, description);
  }

  /** Whether the mapping was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether {@linkcode share} can share it. */
  get shareable(): boolean {
    return !this.#closed && (this.#isOwn || this.#source !== undefined);
  }

  /** The bytes of address space that it takes: whole pages. */
  get mapped(): bigint {
    return this.#native.mapped;
  }

  /** How many bytes there are behind those that views show. */
  get behind(): number {
    return this.#total - this.byteLength;
  }

  /** The libraries that its words are worked on with. */
  get library(): Library {
    return this.#native.library;
  }

  /**
   * A view of the memory, no copy.
   *
   * A view whose buffer was transferred (`postMessage(view, [view.buffer])`) is empty here from then on, and the
   * receiver's view shows the memory; this method goes on making views.
   *
   * @typeParam V the view, such as `Float32Array`
   * @param Type its class
   * @param byteOffset where it begins, a multiple of the element's size
   * @param length how many elements (bytes for `DataView`); all there is room for by default
   * @returns the view, whose length becomes 0 when the mapping is closed
   * @throws {TypeError} if the mapping is closed, if `Type` is not a class of views, or if an offset or a length is
   *   not a number
   * @throws {RangeError} if the part is not inside of the mapping, or not aligned
   */
  view<V extends ArrayBufferView>(Type: ViewConstructor<V>, byteOffset = 0, length?: number): V {
    const what = this.#use("view");
    return makeView(Type, this.#bufferNow(), { what, byteOffset, length });
  }

  /**
   * A view of a part, whose offsets count from its start; otherwise as {@linkcode view}.
   *
   * @param window the part, inside of the mapping, at a multiple of every element's size
   * @param what how errors name it
   */
  viewIn<V extends ArrayBufferView>(
    window: ViewWindow,
    what: string,
    Type: ViewConstructor<V>,
    byteOffset = 0,
    length?: number,
  ): V {
    this.#use("view");
    return makeView(Type, this.#bufferNow(), { what, byteOffset, length, window });
  }

  /** The buffer that shows the memory; another one once that was transferred. */
  #bufferNow(): ArrayBuffer {
    if (this.#buffer?.detached === true) this.#lose(this.#buffer);
    this.#buffer ??= this.#makeBuffer();
    return this.#buffer;
  }

  #makeBuffer(): ArrayBuffer {
    const buffer = bufferOf(this.#native.address, this.byteLength);
    unviewed.unregister(this);
    // Once a buffer was transferred, the memory stays: the death of the buffers that we know says nothing.
    if (!this.#transferred && this.#release === undefined) viewed.register(buffer, this.#native, this);
    return buffer;
  }

  /** Lets go of a buffer that its user transferred. */
  #lose(buffer: ArrayBuffer): void {
    if (!buffer.detached) return;
    viewed.unregister(this);
    this.#transferred = true;
    this.#buffer = undefined;
  }

  /**
   * The address of the memory, for the functions of the shim.
   *
   * @throws {TypeError} if the mapping is closed
   */
  get address(): Address {
    this.#use("use the memory of");
    return this.#native.address;
  }

  /**
   * The address of a word, for the functions of the shim. It may be behind the bytes that views show.
   *
   * @param byteOffset where it begins, a multiple of its length
   * @param byteLength its length: 4 or 8 bytes
   * @throws {TypeError} if the mapping is closed
   * @throws {RangeError} if the word is not inside of it, or not aligned
   */
  word(byteOffset: number, byteLength: 4 | 8 = 4): Address {
    const what = this.#use("use a word of");
    const isInside = Number.isSafeInteger(byteOffset) && byteOffset >= 0 &&
      byteOffset + byteLength <= this.#total;
    if (!isInside || byteOffset % byteLength !== 0) {
      throw new RangeError(
        `Cannot use ${
          byteLength * 8
        } bits at byte ${byteOffset} of ${what}: byteOffset must be a multiple of ` +
          `${byteLength} from 0 to ${this.#total - byteLength}`,
      );
    }
    return offset(this.#native.address, byteOffset);
  }

  /**
   * What another process needs to map this memory too.
   *
   * @returns writable memory, or the descriptor of memory that is read-only for others; the caller disposes it
   * @throws {TypeError} if the mapping is closed, or if another process made the memory and it was not kept
   * @throws {Error} if no descriptor is left
   */
  share(): SharedMemory | FileDescriptor {
    const what = this.#use("share");
    if (this.#source !== undefined) return again(this.#source);
    if (!this.#isOwn) throw new TypeError(`Cannot share ${what}: only the process that made it can share it`);
    const { library, address, mapped, fd } = this.#native;
    const object = fd >= 0 ? library.xpc.xpc_fd_create(fd) : library.xpc.xpc_shmem_create(address, mapped);
    if (object === null) {
      throw new Error(`Cannot share ${what}: the process has no descriptor left (see ulimit -n)`);
    }
    return fd >= 0 ? new FileDescriptor(library, object) : new SharedMemory(library, object);
  }

  /**
   * Detaches every view, then gives the memory back. Others that share the memory keep it. Idempotent, and always
   * finishes:
   *
   * - An asynchronous operation that still uses a view (`file.read(view)`) ends as if nothing had happened. What it
   *   writes after the close reaches nobody.
   * - A buffer that its user transferred, to a worker or by `view.buffer.transfer()`, cannot be detached from here. The
   *   memory then stays mapped until the process ends, since whoever has the buffer may still read and write it.
   */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#source?.[Symbol.dispose]();
    unviewed.unregister(this);
    viewed.unregister(this);
    const buffer = this.#buffer;
    if (buffer !== undefined) this.#lose(buffer);
    const isViewed = this.#buffer !== undefined;
    this.#buffer?.transfer(0); // every view has length 0 from now on, and none the memory
    this.#buffer = undefined;
    if (this.#release?.() === false) return;
    if (this.#transferred) closeDescriptor(this.#native);
    else if (isViewed) retireViewed(this.#native);
    else unmap(this.#native);
  }

  /** The same as {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** How errors name the mapping, if it is open. */
  #use(doing: string): string {
    if (this.#closed) throw new TypeError(`Cannot ${doing} ${this.#what}: it is closed`);
    return this.#what;
  }
}

/** How errors name a mapping. */
function nameOf(name: string | undefined): string {
  return name === undefined ? "a region" : `the region ${JSON.stringify(name)}`;
}

/** Another reference to what a message carried. */
function again(memory: SharedMemory | FileDescriptor): SharedMemory | FileDescriptor {
  const { held: { library } } = memory;
  const object = memory.held.borrow("share a region");
  library.xpc.xpc_retain(object);
  return memory instanceof SharedMemory
    ? new SharedMemory(library, object)
    : new FileDescriptor(library, object);
}
