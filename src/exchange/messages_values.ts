import type { Endpoint } from "../xpc/endpoint.ts";
import type { Int64 } from "../xpc/int64.ts";
import type { FileDescriptor, SharedMemory, XpcRecord, XpcValue } from "../xpc/mod.ts";
import type { Uuid } from "../xpc/uuid.ts";
import { type ReadableRegion, Region, type WritableRegion } from "./region.ts";

/**
 * What a message holds: a value of `@xpc/shmem/xpc`, with regions anywhere in it. A region arrives as a
 * {@linkcode RegionHandle}. Strings hold no NUL; what is `undefined` in an object is left out.
 */
export type MessageValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Date
  | Uint8Array
  | Int64
  | Uuid
  | FileDescriptor
  | Endpoint
  | SharedMemory
  | Region
  | RegionHandle
  | readonly MessageValue[]
  | MessageRecord;

/** An object in a message. */
export interface MessageRecord {
  /** A value by its key. */
  readonly [key: string]: MessageValue | undefined;
}

/** How to open a region that came in a message. */
export interface HandleOptions {
  /**
   * Whether to write: gives a {@linkcode WritableRegion}. The server always gets one.
   *
   * @default {false}
   */
  write?: boolean | undefined;
  /** Ends the wait for the server. */
  signal?: AbortSignal | undefined;
}

/** Opens a region by its name. */
export type RegionOpener = (name: string, options: HandleOptions) => Promise<ReadableRegion | WritableRegion>;

/**
 * A region that came in a message: its name, which costs nothing until it is opened. It can be sent on.
 *
 * @example
 * ```ts
 * import { assert } from "@std/assert";
 * import { connect, RegionHandle, serve } from "@xpc/shmem";
 *
 * await using server = await serve("com.example.handle", {
 *   regions: { frame: { byteLength: 4096 } },
 *   request: () => ({ drawn: server.region("frame") }),
 * });
 * await using client = await connect("com.example.handle");
 * const { drawn } = await client.request("draw") as { drawn: RegionHandle };
 * assert(drawn instanceof RegionHandle);
 * const frame = await drawn.open();
 * assert(frame.byteLength === 4096);
 * ```
 */
export class RegionHandle {
  /** The region's name. */
  readonly name: string;
  /** The generation that was sent. {@linkcode open} gives the newest. */
  readonly generation: number;
  readonly #open: RegionOpener;

  /** @internal */
  constructor(name: string, generation: number, open: RegionOpener) {
    this.name = name;
    this.generation = generation;
    this.#open = open;
  }

  /**
   * Opens the region: on a client as `Client.open` does; on the server it is the server's own region.
   *
   * @param options whether to write, and when to give up
   * @returns the region, in its newest generation
   * @throws {Deno.errors.NotFound} if the server has no such region any more
   * @throws {Deno.errors.NotCapable} if it is to be written, and clients may only read it
   */
  open(options: HandleOptions & { write: true }): Promise<WritableRegion>;
  /**
   * Opens the region to read it only; otherwise as above.
   *
   * @param options when to give up
   * @returns the region
   */
  open(options?: HandleOptions): Promise<ReadableRegion | WritableRegion>;
  open(options: HandleOptions = {}): Promise<ReadableRegion | WritableRegion> {
    return this.#open(this.name, options);
  }
}

/** The key that marks what stands for a region. No other object of a message has it. */
const MARK = "@xpc/shmem";

/**
 * Replaces regions by what stands for them. Gives the same value if there is none in it.
 *
 * @throws {TypeError} if an object has the key that marks a region
 */
export function packValue(value: MessageValue | undefined, depth = 0): XpcValue {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value as XpcValue;
  if (value instanceof Region || value instanceof RegionHandle) {
    return { [MARK]: "region", name: value.name, generation: BigInt(value.generation) };
  }
  if (depth > MOST_LEVELS) return value as XpcValue; // sending it throws
  if (Array.isArray(value)) return packArray(value, depth);
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return value as XpcValue; // sending it checks the class
  return packRecord(value as MessageRecord, depth);
}

/** Deeper than any message. */
const MOST_LEVELS = 64;

function packArray(value: readonly MessageValue[], depth: number): readonly XpcValue[] {
  let packed: XpcValue[] | undefined;
  for (let index = 0; index < value.length; index++) {
    const item = packValue(value[index], depth + 1);
    if (item === value[index]) continue;
    packed ??= [...value as readonly XpcValue[]];
    packed[index] = item;
  }
  return packed ?? value as readonly XpcValue[];
}

function packRecord(value: MessageRecord, depth: number): XpcRecord {
  if (Object.hasOwn(value, MARK)) {
    throw new TypeError(`Cannot send an object with the key "${MARK}": that key marks regions`);
  }
  let packed: Record<string, XpcValue | undefined> | undefined;
  for (const [key, before] of Object.entries(value)) {
    const item = packValue(before, depth + 1);
    if (item === before) continue;
    packed ??= Object.assign(Object.create(null), value) as Record<string, XpcValue | undefined>;
    packed[key] = item;
  }
  return packed ?? value as XpcRecord;
}

/** Replaces what stands for regions by handles, in a value that was received and is ours. */
export function unpackValue(value: XpcValue, open: RegionOpener): MessageValue {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) {
    const items = value as MessageValue[];
    for (let index = 0; index < items.length; index++) items[index] = unpackValue(value[index]!, open);
    return items;
  }
  if (Object.getPrototypeOf(value) !== null) return value as MessageValue; // of a class
  const record = value as Record<string, XpcValue>;
  const { name, generation } = record;
  if (record[MARK] === "region" && typeof name === "string" && typeof generation === "bigint") {
    return new RegionHandle(name, Number(generation), open);
  }
  const unpacked = record as Record<string, MessageValue>;
  for (const key of Object.keys(record)) unpacked[key] = unpackValue(record[key]!, open);
  return unpacked;
}
