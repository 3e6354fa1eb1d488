import type { Library } from "../../ffi/load.ts";
import { copyBytes, copyString, copyText, handleAt, valueOf } from "../../ffi/memory.ts";
import type { CString, XpcObject } from "../../ffi/types.ts";
import { Endpoint } from "./endpoint.ts";
import { FileDescriptor } from "./file_descriptor.ts";
import { SharedMemory } from "./shared_memory.ts";
import { Uuid } from "./uuid.ts";
import {
  disposeValue,
  MAX_MESSAGE_ELEMENTS,
  MAXIMUM_DEPTH,
  MAXIMUM_MESSAGE_BYTES,
  type XpcRecord,
  type XpcValue,
} from "./values.ts";

/** Thrown for a message that we refuse: it is too deep or too large, or holds a value of an unknown type. */
export class MalformedMessage extends Error {}

type Read = (decoder: Decoder, object: XpcObject, depth: number) => XpcValue;

/** How to read a value of each type, by the address of the type's constant. */
type Readers = ReadonlyMap<bigint, Read>;

const readersOf = new WeakMap<Library, Readers>();

function readers(library: Library): Readers {
  let found = readersOf.get(library);
  if (found === undefined) {
    const { xpc } = library;
    found = new Map<bigint, Read>([
      [valueOf(xpc._xpc_type_null), () => null],
      [valueOf(xpc._xpc_type_bool), (_, object) => xpc.xpc_bool_get_value(object)],
      [valueOf(xpc._xpc_type_int64), (_, object) => xpc.xpc_int64_get_value(object)],
      [valueOf(xpc._xpc_type_uint64), (_, object) => xpc.xpc_uint64_get_value(object)],
      [valueOf(xpc._xpc_type_double), (_, object) => xpc.xpc_double_get_value(object)],
      [
        valueOf(xpc._xpc_type_date),
        (_, object) => new Date(Number(xpc.xpc_date_get_value(object) / 1_000_000n)),
      ],
      [valueOf(xpc._xpc_type_data), (decoder, object) => decoder.data(object)],
      [valueOf(xpc._xpc_type_string), (decoder, object) => decoder.text(object)],
      [valueOf(xpc._xpc_type_uuid), (_, object) => new Uuid(copyBytes(xpc.xpc_uuid_get_bytes(object), 16))],
      [valueOf(xpc._xpc_type_fd), (decoder, object) => new FileDescriptor(library, decoder.keep(object))],
      [valueOf(xpc._xpc_type_endpoint), (decoder, object) => new Endpoint(library, decoder.keep(object))],
      [valueOf(xpc._xpc_type_shmem), (decoder, object) => new SharedMemory(library, decoder.keep(object))],
      [valueOf(xpc._xpc_type_array), (decoder, object, depth) => decoder.array(object, depth + 1)],
      [valueOf(xpc._xpc_type_dictionary), (decoder, object, depth) => decoder.record(object, depth + 1)],
    ]);
    readersOf.set(library, found);
  }
  return found;
}

/** Reads XPC objects; one for each message, since it counts its bytes and its elements. */
class Decoder {
  readonly #library: Library;
  readonly #readers: Readers;
  #bytes = 0;
  #elements = 0;

  constructor(library: Library) {
    this.#library = library;
    this.#readers = readers(library);
  }

  #count(byteLength: number): number {
    this.#bytes += byteLength + 16;
    if (this.#bytes > MAXIMUM_MESSAGE_BYTES) {
      throw new MalformedMessage(`Cannot read a message: it exceeds ${MAXIMUM_MESSAGE_BYTES} bytes`);
    }
    return byteLength;
  }

  /** Counts the values of an array or a dictionary, before any of them is read. */
  #countElements(count: number): void {
    this.#elements += count;
    if (this.#elements > MAX_MESSAGE_ELEMENTS) {
      throw new MalformedMessage(`Cannot read a message: it holds more than ${MAX_MESSAGE_ELEMENTS} values`);
    }
  }

  #descend(depth: number): void {
    if (depth > MAXIMUM_DEPTH) {
      throw new MalformedMessage(`Cannot read a message: it is nested deeper than ${MAXIMUM_DEPTH} levels`);
    }
  }

  keep(object: XpcObject): XpcObject {
    this.#library.xpc.xpc_retain(object);
    return object;
  }

  data(object: XpcObject): Uint8Array {
    const { xpc } = this.#library;
    const byteLength = this.#count(Number(xpc.xpc_data_get_length(object)));
    return copyBytes(xpc.xpc_data_get_bytes_ptr(object), byteLength);
  }

  text(object: XpcObject): string {
    const { xpc } = this.#library;
    const byteLength = this.#count(Number(xpc.xpc_string_get_length(object)));
    return copyText(xpc.xpc_string_get_string_ptr(object), byteLength);
  }

  array(object: XpcObject, depth: number): XpcValue[] {
    this.#descend(depth);
    const { xpc } = this.#library;
    const count = Number(xpc.xpc_array_get_count(object));
    this.#countElements(count);
    this.#count(count * 8);
    const items: XpcValue[] = [];
    try {
      for (let index = 0; index < count; index++) {
        const item = xpc.xpc_array_get_value(object, BigInt(index));
        if (item === null) {
          throw new MalformedMessage("Cannot read a message: an array is shorter than it says");
        }
        items.push(this.value(item, depth));
      }
    } catch (error) {
      disposeValue(items);
      throw error;
    }
    return items;
  }

  record(object: XpcObject, depth: number): XpcRecord {
    this.#descend(depth);
    const { xpc, shim } = this.#library;
    const count = Number(xpc.xpc_dictionary_get_count(object));
    this.#countElements(count);
    this.#count(count * 16);
    const keys = new DataView(new ArrayBuffer(Math.max(count, 1) * 8));
    const values = new DataView(new ArrayBuffer(Math.max(count, 1) * 8));
    const found = Math.min(shim.shim_dictionary_entries(object, keys, values, count), count);
    // Without a prototype: a peer may send the key "__proto__".
    const record: Record<string, XpcValue> = Object.create(null);
    try {
      for (let index = 0; index < found; index++) {
        const key = handleAt<CString>(keys, index * 8);
        const value = handleAt<XpcObject>(values, index * 8);
        if (key === null || value === null) {
          throw new MalformedMessage("Cannot read a message: an entry is empty");
        }
        const name = copyString(key);
        this.#count(name.length);
        record[name] = this.value(value, depth);
      }
    } catch (error) {
      disposeValue(record);
      throw error;
    }
    return record;
  }

  value(object: XpcObject, depth: number): XpcValue {
    this.#count(0);
    const type = this.#library.xpc.xpc_get_type(object);
    const read = this.#readers.get(valueOf(type));
    if (read === undefined) {
      throw new MalformedMessage("Cannot read a message: it holds a value of an unknown type");
    }
    return read(this, object, depth);
  }
}

/**
 * Makes a record of a dictionary, which stays the caller's.
 *
 * @throws {MalformedMessage} if we refuse it
 */
export function decode(library: Library, dictionary: XpcObject): XpcRecord {
  return new Decoder(library).record(dictionary, 1);
}
