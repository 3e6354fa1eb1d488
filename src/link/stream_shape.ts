import type { XpcRecord } from "../xpc/mod.ts";
import { MAXIMUM_SLOTS, STREAM_HEADER_BYTES } from "./layout.ts";
import { integerOf } from "./protocol.ts";

/** Where the slots of a stream lie in its memory. */
export interface StreamShape {
  /** The most bytes of a frame. */
  readonly byteLength: number;
  /** How many slots there are. */
  readonly slots: number;
  /** Where the first begins, in bytes. */
  readonly offset: number;
  /** How far apart they are, in bytes. */
  readonly stride: number;
}

/** Slots begin at multiples of this, in bytes: the largest page of the systems that we run on. */
const ALIGNMENT = 16384;

function align(byteLength: number): number {
  return Math.ceil(byteLength / ALIGNMENT) * ALIGNMENT;
}

/** Lays the slots out. */
export function makeShape(byteLength: number, slots: number): StreamShape {
  return { byteLength, slots, offset: align(STREAM_HEADER_BYTES), stride: align(byteLength) };
}

/** The bytes of a stream's memory. */
export function bytesOf({ slots, offset, stride }: StreamShape): number {
  return offset + slots * stride;
}

/** Reads the shape in a server's reply, and checks it: no slot may lie outside of the memory or over another. */
export function shapeOf(reply: XpcRecord): StreamShape | undefined {
  const most = Number.MAX_SAFE_INTEGER;
  const byteLength = integerOf(reply["byteLength"], most);
  const slots = integerOf(reply["slots"], MAXIMUM_SLOTS);
  const offset = integerOf(reply["offset"], most);
  const stride = integerOf(reply["stride"], most);
  if (byteLength === undefined || slots === undefined || offset === undefined || stride === undefined) {
    return undefined;
  }
  const shape = { byteLength, slots, offset, stride };
  const isSound = byteLength > 0 && slots >= 2 && offset >= STREAM_HEADER_BYTES && offset % ALIGNMENT === 0 &&
    stride >= byteLength && stride % ALIGNMENT === 0 && bytesOf(shape) <= most;
  return isSound ? shape : undefined;
}
