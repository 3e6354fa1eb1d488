import { isTileBytes } from "../sync/tiles.ts";
import type { XpcValue } from "../xpc/mod.ts";
import { STRIDE, TILES_HEADER_BYTES } from "./layout.ts";
import { integerOf } from "./protocol.ts";

/** The bytes behind the data of a region that its tiles take, with those that only align them. */
export function bytesBehind(byteLength: number, tileBytes: number): number {
  const tilesAt = Math.ceil(byteLength / STRIDE) * STRIDE;
  return tilesAt - byteLength + TILES_HEADER_BYTES + Math.ceil(byteLength / tileBytes) * 8;
}

/** The length of a tile; 0 where the server has none; `undefined` where what it says cannot be. */
export function tileBytesOf(value: XpcValue | undefined): number | undefined {
  if (value === undefined) return 0;
  const tileBytes = integerOf(value, Number.MAX_SAFE_INTEGER);
  return tileBytes !== undefined && isTileBytes(tileBytes) ? tileBytes : undefined;
}
