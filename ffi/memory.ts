/**
 * Reads what native code points at. Everything is copied, or mapped for as long as its owner says.
 *
 * @module
 */
import type { Address, CString } from "./types.ts";

const decoder = new TextDecoder();

/** The address that a word of a C struct holds, or `null`. */
export function handleAt<H extends Deno.PointerObject>(view: DataView, byteOffset: number): H | null {
  return Deno.UnsafePointer.create<H>(view.getBigUint64(byteOffset, true) as never) as H | null;
}

/** The number that stands for a handle: equal for equal handles, so a key for maps. */
export function valueOf(handle: Deno.PointerValue): bigint {
  return Deno.UnsafePointer.value(handle);
}

/** A copy of a NUL-terminated string; what is not UTF-8 becomes U+FFFD. */
export function copyString(chars: CString): string {
  return Deno.UnsafePointerView.getCString(chars);
}

/** A copy of `byteLength` bytes as a string; what is not UTF-8 becomes U+FFFD. */
export function copyText(pointer: Deno.PointerValue, byteLength: number): string {
  if (pointer === null || byteLength === 0) return "";
  return decoder.decode(Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength));
}

/** A copy of `byteLength` bytes. */
export function copyBytes(pointer: Deno.PointerValue, byteLength: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(byteLength);
  if (pointer !== null && byteLength > 0) {
    bytes.set(new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, byteLength)));
  }
  return bytes;
}

/** The mapping itself as a buffer, no copy: the caller detaches it before it unmaps. */
export function bufferOf(address: Address, byteLength: number): ArrayBuffer {
  return Deno.UnsafePointerView.getArrayBuffer(address, byteLength);
}

/** The address `byteOffset` bytes further. */
export function offset(address: Address, byteOffset: number): Address {
  return Deno.UnsafePointer.offset(address, byteOffset) as Address;
}

/** A string as C wants it. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
