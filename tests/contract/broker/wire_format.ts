/** The wire format of `ffi/native/linux/wire_encode.c`, read and written value by value. */
import { Int64, type XpcRecord, type XpcValue } from "../../../src/xpc/mod.ts";

/** A value with its tag, so that what was read is written as the same bytes. */
export type Node =
  | { tag: 1 | 12; flag?: number }
  | { tag: 2; flag: number }
  | { tag: 3 | 4 | 5 | 6; number: bigint }
  | { tag: 7; bytes: Uint8Array }
  | { tag: 8; text: string }
  | { tag: 13; items: Node[] }
  | { tag: 14; entries: [key: string, value: Node][] };

/** Stands for the descriptor of an endpoint in a request. */
export const ENDPOINT = "endpoint";

const utf8 = new TextEncoder();

/** What a request looks like on the wire: the keys ascending. The string "endpoint" under `endpoint` is one. */
export function nodeOf(value: XpcValue | undefined, key = ""): Node {
  if (key === "endpoint" && value === ENDPOINT) return { tag: 12, flag: 1 };
  if (value === null || value === undefined) return { tag: 1 };
  if (typeof value === "boolean") return { tag: 2, flag: Number(value) };
  if (value instanceof Int64) return { tag: 3, number: BigInt.asUintN(64, value.value) };
  if (typeof value === "bigint") return { tag: 4, number: value };
  if (typeof value === "number") {
    return { tag: 5, number: new BigUint64Array(new Float64Array([value]).buffer)[0]! };
  }
  if (value instanceof Date) return { tag: 6, number: BigInt(value.getTime()) * 1_000_000n };
  if (value instanceof Uint8Array) return { tag: 7, bytes: value };
  if (typeof value === "string") return { tag: 8, text: value };
  if (Array.isArray(value)) return { tag: 13, items: value.map((item: XpcValue) => nodeOf(item)) };
  const entries = Object.entries(value as XpcRecord).sort(([a], [b]) => a < b ? -1 : 1);
  return { tag: 14, entries: entries.map(([name, item]) => [name, nodeOf(item, name)]) };
}

/** Writes a value. */
export function write(node: Node): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  const u32 = (value: number): void => void parts.push(new Uint8Array(new Uint32Array([value]).buffer));
  const text = (value: string): void => {
    const bytes = utf8.encode(value);
    u32(bytes.length);
    parts.push(bytes, new Uint8Array(1));
  };
  const put = (node: Node): void => {
    parts.push(new Uint8Array([node.tag]));
    if ("number" in node) parts.push(new Uint8Array(new BigUint64Array([node.number]).buffer));
    else if ("text" in node) text(node.text);
    else if ("bytes" in node) {
      u32(node.bytes.length);
      parts.push(node.bytes);
    } else if ("items" in node) {
      u32(node.items.length);
      node.items.forEach(put);
    } else if ("entries" in node) {
      u32(node.entries.length);
      for (const [key, value] of node.entries) {
        text(key);
        put(value);
      }
    } else if (node.flag !== undefined) parts.push(new Uint8Array([node.flag]));
  };
  put(node);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Reads a value; writing it gives the same bytes, or the test fails. */
export function read(bytes: Uint8Array): Node {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const u32 = (): number => view.getUint32((at += 4) - 4, true);
  const take = (length: number): Uint8Array => bytes.slice(at, at += length);
  const text = (): string => {
    const value = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(take(u32()));
    at++; // NUL
    return value;
  };
  const get = (): Node => {
    const tag = view.getUint8(at++);
    switch (tag) {
      case 1:
        return { tag };
      case 2:
      case 12:
        return { tag, flag: view.getUint8(at++) };
      case 3:
      case 4:
      case 5:
      case 6:
        return { tag, number: view.getBigUint64((at += 8) - 8, true) };
      case 7:
        return { tag, bytes: take(u32()) };
      case 8:
        return { tag, text: text() };
      case 13:
        return { tag, items: Array.from({ length: u32() }, get) };
      case 14:
        return { tag, entries: Array.from({ length: u32() }, (): [string, Node] => [text(), get()]) };
      default:
        throw new Error(`Cannot read a packet: no value has the tag ${tag}`);
    }
  };
  return get();
}
