import type { Library } from "../../ffi/load.ts";
import { cString } from "../../ffi/memory.ts";
import type { XpcObject } from "../../ffi/types.ts";
import { Endpoint } from "./endpoint.ts";
import { FileDescriptor } from "./file_descriptor.ts";
import { Int64 } from "./int64.ts";
import { SharedMemory } from "./shared_memory.ts";
import { Uuid } from "./uuid.ts";
import {
  MAX_MESSAGE_ELEMENTS,
  MAXIMUM_DEPTH,
  MAXIMUM_MESSAGE_BYTES,
  type XpcRecord,
  type XpcValue,
} from "./values.ts";

/** Builds XPC objects; one for each message, since it counts its bytes and its elements. */
class Encoder {
  readonly #library: Library;
  #bytes = 0;
  #elements = 0;

  constructor(library: Library) {
    this.#library = library;
  }

  /** Puts the entries of a record into a dictionary. */
  fill(dictionary: XpcObject, record: XpcRecord, path: string, depth: number): void {
    if (depth > MAXIMUM_DEPTH) {
      throw new RangeError(`Cannot send ${path}: it is nested deeper than ${MAXIMUM_DEPTH} levels`);
    }
    for (const [key, value] of Object.entries(record)) {
      if (value === undefined) continue;
      this.#countElements(1, path);
      const name = this.#text(key, `the key ${JSON.stringify(key)} of ${path}`);
      const object = this.#value(value, `${path}.${key}`, depth);
      this.#library.xpc.xpc_dictionary_set_value(dictionary, name, object);
      this.#library.xpc.xpc_release(object);
    }
  }

  #count(byteLength: number, path: string): void {
    this.#bytes += byteLength + 16;
    if (this.#bytes > MAXIMUM_MESSAGE_BYTES) {
      throw new RangeError(
        `Cannot send ${path}: the message exceeds ${MAXIMUM_MESSAGE_BYTES} bytes; share a region instead`,
      );
    }
  }

  #countElements(count: number, path: string): void {
    this.#elements += count;
    if (this.#elements > MAX_MESSAGE_ELEMENTS) {
      throw new RangeError(
        `Cannot send ${path}: the message holds more than ${MAX_MESSAGE_ELEMENTS} values; ` +
          "send numbers as a Uint8Array, or share a region instead",
      );
    }
  }

  #text(text: string, path: string): Uint8Array<ArrayBuffer> {
    if (text.includes("\0")) throw new TypeError(`Cannot send ${path}: it holds a NUL character`);
    if (!text.isWellFormed()) throw new TypeError(`Cannot send ${path}: it holds a lone surrogate`);
    this.#count(text.length, path); // before the copy is made; at least one byte a code unit
    const bytes = cString(text);
    this.#count(bytes.length - text.length, path);
    return bytes;
  }

  #integer(value: bigint, path: string): XpcObject | null {
    const { xpc } = this.#library;
    if (BigInt.asUintN(64, value) === value) return xpc.xpc_uint64_create(value);
    if (BigInt.asIntN(64, value) === value) return xpc.xpc_int64_create(value);
    throw new RangeError(`Cannot send ${path}: ${value} does not fit into 64 bits`);
  }

  #date(value: Date, path: string): XpcObject | null {
    const milliseconds = value.getTime();
    // Nanoseconds since 1970 in 64 bits: the years 1678 to 2261.
    if (!(Math.abs(milliseconds) < 2 ** 63 / 1e6)) {
      throw new RangeError(`Cannot send ${path}: the date ${milliseconds} is invalid or out of range`);
    }
    return this.#library.xpc.xpc_date_create(BigInt(milliseconds) * 1_000_000n);
  }

  /** Makes an object, whose one reference is the caller's. */
  #value(value: XpcValue, path: string, depth: number): XpcObject {
    const { xpc } = this.#library;
    this.#count(0, path);
    let object: XpcObject | null;
    if (value === null) object = xpc.xpc_null_create();
    else if (typeof value === "boolean") object = xpc.xpc_bool_create(value);
    else if (typeof value === "number") object = xpc.xpc_double_create(value);
    else if (typeof value === "bigint") object = this.#integer(value, path);
    else if (typeof value === "string") object = xpc.xpc_string_create(this.#text(value, path));
    else if (typeof value !== "object") {
      throw new TypeError(`Cannot send ${path}: a ${typeof value} has no XPC type`);
    } else if (value instanceof Uint8Array) object = this.#data(value, path);
    else if (value instanceof Date) object = this.#date(value, path);
    else if (value instanceof Int64) object = xpc.xpc_int64_create(value.value);
    else if (value instanceof Uuid) object = xpc.xpc_uuid_create(value.bytes.slice());
    else if (value instanceof FileDescriptor) object = xpc.xpc_retain(value.held.borrow(`send ${path}`));
    else if (value instanceof Endpoint) object = xpc.xpc_retain(value.held.borrow(`send ${path}`));
    else if (value instanceof SharedMemory) object = xpc.xpc_retain(value.held.borrow(`send ${path}`));
    else if (Array.isArray(value)) object = this.#array(value, path, depth + 1);
    else object = this.#record(value as XpcRecord, path, depth + 1);
    if (object === null) throw new Error(`Cannot send ${path}: no memory for an XPC object`);
    return object;
  }

  #data(value: Uint8Array, path: string): XpcObject | null {
    this.#count(value.byteLength, path);
    // A view of shared memory may change or vanish under the native copy: it gets a copy of our own.
    return this.#library.xpc.xpc_data_create(new Uint8Array(value), BigInt(value.byteLength));
  }

  #array(value: readonly XpcValue[], path: string, depth: number): XpcObject | null {
    if (depth > MAXIMUM_DEPTH) {
      throw new RangeError(`Cannot send ${path}: it is nested deeper than ${MAXIMUM_DEPTH} levels`);
    }
    this.#countElements(value.length, path);
    const { xpc } = this.#library;
    const array = xpc.xpc_array_create(null, 0n);
    if (array === null) return null;
    try {
      for (let index = 0; index < value.length; index++) {
        const item = value[index];
        if (item === undefined) {
          throw new TypeError(`Cannot send ${path}[${index}]: undefined has no XPC type`);
        }
        const object = this.#value(item, `${path}[${index}]`, depth);
        xpc.xpc_array_append_value(array, object);
        xpc.xpc_release(object);
      }
    } catch (error) {
      xpc.xpc_release(array);
      throw error;
    }
    return array;
  }

  #record(value: XpcRecord, path: string, depth: number): XpcObject | null {
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) {
      throw new TypeError(`Cannot send ${path}: a ${value.constructor?.name ?? "class"} has no XPC type`);
    }
    const { xpc } = this.#library;
    const dictionary = xpc.xpc_dictionary_create(null, null, 0n);
    if (dictionary === null) return null;
    try {
      this.fill(dictionary, value, path, depth);
    } catch (error) {
      xpc.xpc_release(dictionary);
      throw error;
    }
    return dictionary;
  }
}

/**
 * Makes a dictionary of a record.
 *
 * @throws {TypeError} for a value that XPC has no type for
 * @throws {RangeError} for a message that is too deep or too large, or a value that is out of range
 */
export function encode(library: Library, record: XpcRecord): XpcObject {
  const dictionary = library.xpc.xpc_dictionary_create(null, null, 0n);
  if (dictionary === null) throw new Error("Cannot make a message: no memory for an XPC object");
  try {
    fill(library, dictionary, record);
  } catch (error) {
    library.xpc.xpc_release(dictionary);
    throw error;
  }
  return dictionary;
}

/** Puts the entries of a record into an existing dictionary, such as a reply. Throws what {@linkcode encode} throws. */
export function fill(library: Library, dictionary: XpcObject, record: XpcRecord): void {
  new Encoder(library).fill(dictionary, record, "message", 1);
}
