/**
 * What messages count for while they are under way, and how much may be: see "Requests and messages" in `PROTOCOL.md`.
 *
 * @module
 */
import { Endpoint } from "../xpc/endpoint.ts";
import { FileDescriptor, MAXIMUM_DEPTH, SharedMemory, type XpcRecord, type XpcValue } from "../xpc/mod.ts";

/** The most bytes that one side has under way to the other: of messages, and as much again of requests. */
export const MAX_UNDER_WAY_BYTES = 16 * 2 ** 20;

/** The most messages that one side has under way to the other. */
export const MAX_MESSAGES = 8192;

/** The most requests that one side has under way to the other. */
export const MAX_REQUESTS = 256;

/** A receiver bears more than an honest sender sends, by this factor: the two may weigh a little differently. */
export const TOLERANCE = 2;

/** What a value counts for beside its content, in bytes. */
const VALUE_BYTES = 64;

/** What a descriptor, an endpoint or shared memory counts for, in bytes: descriptors are scarcer than bytes. */
const DESCRIPTOR_BYTES = 16 * 1024;

/** What a value counts for, in bytes. What is nested deeper than a message may be counts for nothing: it is refused. */
export function weightOf(value: XpcValue | undefined, depth = 0): number {
  if (typeof value === "string") return VALUE_BYTES + value.length;
  if (typeof value !== "object" || value === null) return VALUE_BYTES;
  if (value instanceof Uint8Array) return VALUE_BYTES + value.byteLength;
  if (value instanceof FileDescriptor || value instanceof Endpoint || value instanceof SharedMemory) {
    return DESCRIPTOR_BYTES;
  }
  let weight = VALUE_BYTES;
  if (depth > MAXIMUM_DEPTH) return weight;
  if (Array.isArray(value)) {
    for (const item of value) weight += weightOf(item, depth + 1);
    return weight;
  }
  for (const [key, item] of Object.entries(value as XpcRecord)) {
    if (item !== undefined) weight += key.length + weightOf(item, depth + 1);
  }
  return weight;
}
